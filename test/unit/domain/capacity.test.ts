import { expect, test } from "vitest";
import { projectFull } from "../../../src/domain/capacity.ts";
import type { CapacityReading } from "../../../src/domain/capacity.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.parse("2026-11-08T00:00:00Z");
const readings = (free: readonly (number | null)[]): CapacityReading[] =>
  free.map((freeBytes, hour) => ({ at: new Date(START_MS + hour * HOUR_MS).toISOString(), usedBytes: null, freeBytes }));

test("what shrinks by a tenth an hour is full ten hours after the beginning", () => {
  expect(projectFull(readings([1000, 900, 800, 700]))?.toISOString()).toBe("2026-11-08T10:00:00.000Z");
});

test("one reading that lies beside the others does not tell for all", () => {
  const full = projectFull(readings([1000, 900, 950, 700, 600]));
  expect(Math.abs((full?.getTime() ?? 0) - (START_MS + 10 * HOUR_MS))).toBeLessThan(HOUR_MS);
});

test.each([
  ["grows", [500, 600, 700]],
  ["stays", [500, 500, 500]],
  ["is not known", [null, null, null]],
  ["was read twice only", [900, 800]],
  ["shrinks so slowly that nobody will see the end", [1e15, 1e15 - 1, 1e15 - 2]],
])("there is no end in sight where free space %s", (_what, free) => {
  expect(projectFull(readings(free))).toBeNull();
});
