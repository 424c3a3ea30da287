import type { DrillFacts, DrillSegregation, DrillVerdict } from "./drill-verdict.ts";

/** Records that can be gone through more than once, and need not be in memory together: an array is one, and so is what a catalog reads as it is asked. */
export interface Records<T> extends Iterable<T> {
  readonly length: number;
}

/** Every run and every slot of the period, those that did not happen too: what an auditor samples from. */
export interface Population {
  readonly runs: Records<RunRecord>;
  readonly drills: Records<DrillRecord>;
}

/** The same, in memory. */
export interface HeldPopulation extends Population {
  readonly runs: readonly RunRecord[];
  readonly drills: readonly DrillRecord[];
}

/** At most `limit` of the records, those that tell something before the others, each group in its order. Stops reading once there are enough. */
export function mostTelling<T>(records: Records<T>, limit: number, isTelling: (record: T) => boolean): readonly T[] {
  if (records.length <= limit) return [...records];
  const telling: T[] = [];
  const others: T[] = [];
  for (const record of records) {
    if (isTelling(record)) telling.push(record);
    else if (others.length < limit) others.push(record);
    if (telling.length === limit) break;
  }
  return [...telling, ...others].slice(0, limit);
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
  /** Whether it ran on another machine than its source; null: not on record. */
  readonly segregation: DrillSegregation | null;
}
