import type { DrillFacts, DrillSegregation, DrillVerdict } from "./drill-verdict.ts";

/** Of records that went by, how many there were. */
export interface Counted {
  readonly length: number;
}

/** Every run and every slot of the period, those that did not happen too: what an auditor samples from. */
export interface HeldPopulation {
  readonly runs: readonly RunRecord[];
  readonly drills: readonly DrillRecord[];
}

/** Of many records those that are shown. */
export interface Told<T> extends Counted {
  readonly shown: readonly T[];
}

/** Chooses at most `limit` records as they go by: all, or of too many those that tell something before the others, each group in its order. */
export class MostTelling<T> {
  readonly #limit: number;
  readonly #isTelling: (record: T) => boolean;
  readonly #first: T[] = [];
  readonly #telling: T[] = [];
  #length = 0;

  constructor(limit: number, isTelling: (record: T) => boolean) {
    this.#limit = limit;
    this.#isTelling = isTelling;
  }

  take(record: T): void {
    this.#length++;
    if (this.#first.length < this.#limit) this.#first.push(record);
    if (this.#telling.length < this.#limit && this.#isTelling(record)) this.#telling.push(record);
  }

  told(): Told<T> {
    const length = this.#length;
    if (length <= this.#limit) return { length, shown: this.#first };
    // Among the first there are as many others as there is room for.
    const others = this.#first.filter((record) => !this.#isTelling(record));
    return { length, shown: [...this.#telling, ...others].slice(0, this.#limit) };
  }
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
