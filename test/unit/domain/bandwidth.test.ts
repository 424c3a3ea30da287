import { expect, test } from "vitest";
import { rateAt } from "../../../src/domain/bandwidth.ts";

const RULES = [
  { window: "08:00-18:00", bytesPerSecond: 50 },
  { window: "Friday 12:00-20:00", bytesPerSecond: 20 },
  { window: "22:00-02:00 Europe/Berlin", bytesPerSecond: 5 },
];

test.each([
  ["2026-11-26T07:59:59Z", null],
  ["2026-11-26T08:00:00Z", 50],
  ["2026-11-26T18:00:00Z", null],
  // Friday: the lower of two.
  ["2026-11-27T13:00:00Z", 20],
  ["2026-11-27T19:00:00Z", 20],
  // 22:00 in Berlin is 21:00 UTC in winter and 20:00 in summer.
  ["2026-11-26T20:59:00Z", null],
  ["2026-11-26T21:00:00Z", 5],
  ["2026-07-27T20:00:00Z", 5],
])("at %s it is %s", (at, rate) => {
  expect(rateAt(RULES, new Date(at))).toBe(rate);
});

test("without rules it is as fast as it goes", () => {
  expect(rateAt([], new Date())).toBeNull();
});
