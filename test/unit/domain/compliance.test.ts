import { expect, test } from "vitest";
import { failureProbabilityUpperBound95 } from "../../../src/domain/compliance.ts";
import { counted } from "../../../src/domain/control-wording.ts";

test.each([
  [1, 0.95],
  [4, 0.527],
  [12, 0.221],
  [52, 0.056],
  [59, 0.05],
  [120, 0.025],
  [299, 0.01],
])("%d clean drills bound the failure probability at %d", (drills, bound) => {
  expect(failureProbabilityUpperBound95(drills)).toBeCloseTo(bound, 3);
});

test("no drill bounds nothing", () => {
  expect(failureProbabilityUpperBound95(0)).toBeNull();
});

test("a count agrees with its noun", () => {
  expect([counted(1, "drill"), counted(0, "drill"), counted(2, "breach", "breaches")]).toEqual(["1 drill", "0 drills", "2 breaches"]);
});
