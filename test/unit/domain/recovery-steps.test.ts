import { expect, test } from "vitest";
import { RECOVERY_STEPS, remainingSteps } from "../../../src/domain/recovery-steps.ts";
import type { RecoveryStep, StepRecord } from "../../../src/domain/recovery-steps.ts";

const record = (step: RecoveryStep, outcome: StepRecord["outcome"]): StepRecord => ({ step, outcome, seconds: 1, detail: "", facts: {} });

test("a recovery has seven steps, and goes on at the first that is not done", () => {
  expect(RECOVERY_STEPS).toHaveLength(7);
  expect(remainingSteps([])).toEqual(RECOVERY_STEPS);
  expect(remainingSteps([record("assess", "done"), record("identify", "failed")])).toEqual(RECOVERY_STEPS.slice(1));
  expect(remainingSteps([record("assess", "done"), record("identify", "failed"), record("identify", "done")])).toEqual(RECOVERY_STEPS.slice(2));
  expect(remainingSteps(RECOVERY_STEPS.map((step) => record(step, "done")))).toEqual([]);
});
