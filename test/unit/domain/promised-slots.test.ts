import { expect, test } from "vitest";
import { findMissing, joinPromises } from "../../../src/domain/promised-slots.ts";
import type { PromisedByMany, SlotsOnRecord } from "../../../src/domain/promised-slots.ts";
import type { Schedule } from "../../../src/domain/schedule.ts";

const QUARTERS: Schedule = { kind: "every", seconds: 900 };
const day = { from: new Date("2026-11-01T00:00:00Z"), to: new Date("2026-11-02T00:00:00Z") };

function promise(from: string, until: string, schedule: Schedule = QUARTERS): PromisedByMany {
  return { from: `2026-11-${from}Z`, until: `2026-11-${until}Z`, schedule, operation: "log", type: "log", sources: ["orders"] };
}

function record(from: string, until: string | null = null, schedule: Schedule | null = QUARTERS): SlotsOnRecord {
  const at = (text: string): number => Date.parse(`2026-11-01T${text}:00.000Z`);
  return { fromMs: at(from), untilMs: until === null ? null : at(until), schedule };
}

test("promises made day by day are one, until a schedule or a source is another", () => {
  const joined = joinPromises([promise("01T00:00:00.000", "01T23:59:59.999"), promise("01T23:59:59.999", "02T23:59:59.999"), promise("03T01:00:00.000", "03T23:59:59.999")]);
  expect(joined.map(({ from, until }) => [from.slice(8, 16), until.slice(8, 16)])).toEqual([
    ["01T00:00", "02T23:59"],
    ["03T01:00", "03T23:59"],
  ]);
  const other = promise("01T23:59:59.999", "02T23:59:59.999", { kind: "every", seconds: 3600 });
  expect(joinPromises([promise("01T00:00:00.000", "01T23:59:59.999"), other])).toHaveLength(2);
});

test("what intervals and single records cover between them is not missing, and the hole between two intervals is", () => {
  const ranges = [promise("01T00:00:00.000", "01T12:00:00.000")];
  expect(findMissing(ranges, day, [record("00:00", "06:00"), record("06:30"), record("06:45", "12:00")], 10)).toEqual({
    promised: 48,
    missing: 1,
    named: ["2026-11-01T06:15:00.000Z"],
  });
});

test("an interval of another schedule covers no more than its own slots", () => {
  const hours: Schedule = { kind: "every", seconds: 3600 };
  const ranges = [promise("01T00:00:00.000", "01T02:00:00.000")];
  expect(findMissing(ranges, day, [record("00:00", "02:00", hours)], 0)).toMatchObject({ promised: 8, missing: 6 });
  const found = findMissing(ranges, day, [record("00:00", "01:00", hours), record("01:15", "02:00")], 10);
  expect(found).toEqual({ promised: 8, missing: 3, named: ["00:15", "00:30", "00:45"].map((at) => `2026-11-01T${at}:00.000Z`) });
});

test("a slot that two hosts promised counts once, and nothing beyond the period counts", () => {
  const twice = [promise("01T00:00:00.000", "01T01:00:00.000"), promise("01T00:30:00.000", "02T01:00:00.000")];
  expect(findMissing(twice, { from: day.from, to: new Date("2026-11-01T01:30:00Z") }, [], 1)).toEqual({ promised: 5, missing: 5, named: ["2026-11-01T00:15:00.000Z"] });
});
