import { expect, test } from "vitest";
import { isInWindow } from "../../../src/domain/daily-window.ts";

const at = (clock: string): Date => new Date(`2026-11-21T${clock}Z`);

test.each<[readonly string[], string, boolean]>([
  [[], "12:00:00", true],
  [["02:00-04:00"], "02:00:00", true],
  [["02:00-04:00"], "03:59:59.999", true],
  [["02:00-04:00"], "04:00:00", false],
  [["02:00-04:00"], "01:59:59.999", false],
  [["22:30-01:15"], "23:00:00", true],
  [["22:30-01:15"], "00:00:00", true],
  [["22:30-01:15"], "01:15:00", false],
  [["22:30-01:15"], "22:29:59", false],
  [["02:00-04:00", "12:00-13:00"], "12:30:00", true],
])("%j at %s: %s", (windows, clock, expected) => {
  expect(isInWindow(windows, at(clock))).toBe(expected);
});
