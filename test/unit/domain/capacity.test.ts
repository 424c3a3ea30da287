import { describe, expect, test } from "vitest";
import { projectFull, TREND_MS, withinLimit } from "../../../src/domain/capacity.ts";
import type { CapacityReading } from "../../../src/domain/capacity.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START_MS = Date.parse("2026-11-08T00:00:00Z");
const readings = (free: readonly (number | null)[]): CapacityReading[] =>
  free.map((freeBytes, hour) => ({ at: new Date(START_MS + hour * HOUR_MS).toISOString(), usedBytes: null, freeBytes }));

const fullAt = (of: readonly CapacityReading[]): string | null => {
  const full = projectFull(of);
  return full.kind === "full" ? full.at.toISOString() : null;
};

test("what shrinks by a tenth an hour is full ten hours after the beginning", () => {
  expect(fullAt(readings([1000, 900, 800, 700]))).toBe("2026-11-08T10:00:00.000Z");
});

test("one reading that lies beside the others does not tell for all", () => {
  expect(Math.abs(Date.parse(fullAt(readings([1000, 900, 950, 700, 600])) ?? "") - (START_MS + 10 * HOUR_MS))).toBeLessThan(HOUR_MS);
});

test("where nothing is free, it is full", () => {
  expect(fullAt(readings([10, 0]))).toBe("2026-11-08T01:00:00.000Z");
});

test.each([
  ["was never measured", [], "it was never measured"],
  ["does not say", [null, null, null], "the place does not say how much is free, and no maxBytes does"],
  ["was read twice only", [900, 800], "it was measured for too short a time"],
  ["shrank slowly for some hours", [1000, 999, 998, 997], "it was measured for too short a time"],
  ["grew for some hours", [500, 600, 700], "it was measured for too short a time"],
])("a place that %s: nobody knows", (_what, free, reason) => {
  expect(projectFull(readings(free))).toEqual({ kind: "unknown", reason });
});

/** Two days, by the hour. */
const days = (of: (hour: number) => number): CapacityReading[] => readings(Array.from({ length: 48 }, (_, hour) => of(hour)));

test.each([
  ["grows", days((hour) => 500 + hour)],
  ["stays", days(() => 500)],
  ["shrinks so slowly that nobody will see the end", days((hour) => 1e15 - hour)],
])("after two days there is no end in sight where free space %s", (_what, of) => {
  expect(projectFull(of)).toEqual({ kind: "not_in_sight" });
});

/** Free space of a repository that fills up, hour by hour until it is full: by the day's work, weekly full backups, and expiry that takes a little back each night. */
function filling({ perHour, weekly, nightly, from }: { perHour: (hour: number) => number; weekly: number; nightly: number; from: number }): CapacityReading[] {
  const free: number[] = [];
  for (let left = from; left > 0 && free.length < 200 * 24;) {
    free.push(left);
    const hour = free.length;
    left -= perHour(hour) + (hour % 168 === 2 ? weekly : 0) - (hour % 24 === 3 ? nightly : 0);
  }
  return readings(free);
}

/** How many days before the end it was first said that it comes within two weeks, as somebody who looks every hour sees it. */
function daysOfWarning(all: readonly CapacityReading[]): number {
  const endMs = Date.parse(all.at(-1)?.at ?? "");
  const seen = all.findIndex(({ at }, index) => {
    const nowMs = Date.parse(at);
    const full = projectFull(all.slice(0, index + 1).filter((reading) => Date.parse(reading.at) >= nowMs - TREND_MS));
    return full.kind === "full" && full.at.getTime() - nowMs <= TREND_MS;
  });
  return seen === -1 ? -1 : (endMs - Date.parse(all[seen]?.at ?? "")) / DAY_MS;
}

test.each([
  ["evenly", { perHour: () => 10, weekly: 0, nightly: 0, from: 10 * 24 * 40 }],
  ["with a full backup each week", { perHour: () => 3, weekly: 1600, nightly: 0, from: 9000 }],
  ["with expiry each night", { perHour: () => 20, weekly: 0, nightly: 300, from: 7500 }],
  ["with both", { perHour: () => 20, weekly: 2000, nightly: 350, from: 15_000 }],
  ["at twice its rate from some day on", { perHour: (hour: number) => (hour < 24 * 20 ? 10 : 20), weekly: 0, nightly: 0, from: 10 * 24 * 20 + 20 * 24 * 18 }],
])("a repository that fills up %s is warned of at least 7 days before it is full, and not months", (_how, what) => {
  const warnedDays = daysOfWarning(filling(what));
  expect(warnedDays).toBeGreaterThanOrEqual(7);
  expect(warnedDays).toBeLessThan(40);
});

describe("a repository that may grow to so much", () => {
  const used = (...bytes: (number | null)[]): CapacityReading[] =>
    bytes.map((usedBytes, hour) => ({ at: new Date(START_MS + hour * HOUR_MS).toISOString(), usedBytes, freeBytes: null }));
  const free = (of: readonly CapacityReading[]): (number | null)[] => of.map(({ freeBytes }) => freeBytes);

  test("has what is left of it free, also where its place says nothing, and of earlier readings too", () => {
    const measured = used(100, 200, 300, 1100);
    expect(free(withinLimit(measured, 1000))).toEqual([900, 800, 700, 0]);
    expect(fullAt(withinLimit(used(100, 200, 300), 1000))).toBe("2026-11-08T09:00:00.000Z");
    expect(fullAt(withinLimit(used(100, 200, 300), 2000))).toBe("2026-11-08T19:00:00.000Z");
  });

  test("has no more free than its place, and what nobody knows stays unknown", () => {
    const [reading] = used(100);
    if (reading === undefined) throw new Error("one was made");
    expect(free(withinLimit([{ ...reading, freeBytes: 50 }], 1000))).toEqual([50]);
    expect(free(withinLimit([{ ...reading, freeBytes: 5000 }], 1000))).toEqual([900]);
    expect(free(withinLimit([{ ...reading, usedBytes: null, freeBytes: 50 }], 1000))).toEqual([50]);
    expect(free(withinLimit(used(null), 1000))).toEqual([null]);
    expect(withinLimit([reading], null)).toEqual([reading]);
  });
});
