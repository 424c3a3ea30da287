import type { BackupType } from "./backup-id.ts";

/** Something that would go wrong, or read better than it is, in a simulated time. Many moments of one kind are one problem: first, last, how often, how bad. */
export interface SimulatedProblem {
  readonly kind:
    | "unprotected"
    | "rpo"
    | "rto"
    | "budget"
    | "overrun"
    | "late"
    | "missed"
    | "full-instead"
    | "never"
    | "held-for-dependents"
    | "single-points"
    | "window-short"
    | "never-expires"
    | "orphan";
  /** breach: an objective or a promise of the policy is not held. warning: it holds elsewhere, or fails on an assumption alone. note: as designed, and good to know. */
  readonly severity: "breach" | "warning" | "note";
  readonly repository: string | null;
  readonly type: BackupType | "log" | null;
  readonly from: Date;
  readonly until: Date;
  readonly times: number;
  readonly worstSeconds: number | null;
  readonly objectiveSeconds: number | null;
  /** It follows from an assumed size or speed, not from the policy. */
  readonly assumed: boolean;
  readonly message: string;
  readonly hint: string | null;
}

export type ProblemAbout = Pick<SimulatedProblem, "kind" | "severity" | "repository" | "type" | "objectiveSeconds" | "assumed">;

interface Moment {
  readonly from: Date;
  readonly until: Date;
  readonly seconds?: number;
  readonly times?: number;
}

export interface Tally {
  readonly about: ProblemAbout;
  from: Date;
  until: Date;
  times: number;
  worstSeconds: number | null;
}

/** Adds up moments by what they are about. */
export class ProblemTallies {
  readonly #tallies = new Map<string, Tally>();

  add(about: ProblemAbout, { from, until, seconds, times = 1 }: Moment): void {
    const key = [about.kind, about.repository, about.type].join(" ");
    const tally = this.#tallies.get(key);
    if (tally === undefined) {
      this.#tallies.set(key, { about, from, until, times, worstSeconds: seconds ?? null });
      return;
    }
    if (from < tally.from) tally.from = from;
    if (until > tally.until) tally.until = until;
    tally.times += times;
    if (seconds !== undefined) tally.worstSeconds = Math.max(tally.worstSeconds ?? 0, seconds);
  }

  values(): Tally[] {
    return [...this.#tallies.values()];
  }
}
