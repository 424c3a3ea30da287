/** The recovery procedure: seven steps, each on record with its time, in this order. */
export const RECOVERY_STEPS = ["assess", "identify", "restore", "apply-logs", "verify", "connectivity", "resume"] as const;
export type RecoveryStep = (typeof RECOVERY_STEPS)[number];

export const STEP_TITLES: Readonly<Record<RecoveryStep, string>> = {
  assess: "assess damage and scope",
  identify: "identify the last good backup",
  restore: "restore",
  "apply-logs": "apply logs",
  verify: "verify data integrity",
  connectivity: "test application connectivity",
  resume: "resume normal operation",
};

/** What is not begun before somebody says so: from the one on something is written, from the other on people work with it. */
export const CONFIRMED_STEPS: readonly RecoveryStep[] = ["restore", "resume"];

export interface StepRecord {
  readonly step: RecoveryStep;
  readonly outcome: "done" | "failed";
  readonly seconds: number;
  readonly detail: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** The steps that are still to be done: a step that failed is done again, and whatever follows it. */
export function remainingSteps(records: readonly StepRecord[]): RecoveryStep[] {
  const done = new Set(records.filter(({ outcome }) => outcome === "done").map(({ step }) => step));
  const first = RECOVERY_STEPS.findIndex((step) => !done.has(step));
  return first === -1 ? [] : RECOVERY_STEPS.slice(first);
}
