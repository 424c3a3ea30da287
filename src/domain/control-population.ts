import type { DrillFacts, DrillVerdict } from "./drill-verdict.ts";

/** Every run and every slot of the period, those that did not happen too: what an auditor samples from. */
export interface Population {
  readonly runs: readonly RunRecord[];
  readonly drills: readonly DrillRecord[];
}

/** What is on record of a run, or of slots that nothing ran for. */
export interface RunFacts {
  readonly id: string;
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly trigger: string;
  readonly scheduledFor: string | null;
  /** More than one for an interval of slots that were missed together, `until` its last. */
  readonly slots: number;
  readonly until: string | null;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly reason: string | null;
}

export interface RunRecord extends RunFacts {
  /** How many slots of the period it stands for; 0 for a run that no slot asked for. */
  readonly slots: number;
  readonly durationSeconds: number | null;
  readonly outcome: string;
  readonly backupId: string | null;
}

export interface DrillRecord extends DrillFacts {
  readonly run: string;
  readonly source: string;
  readonly scheduledFor: string | null;
  readonly slots: number;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly outcome: string;
  readonly reason: string | null;
  readonly verdict: DrillVerdict | null;
  readonly repository: string | null;
  readonly target: string | null;
  /** Put on record before the run, so that the point could not be chosen afterwards. */
  readonly seed: string | null;
  readonly checks: readonly { readonly name: string; readonly required: boolean; readonly outcome: string }[];
}
