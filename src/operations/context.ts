import type { Clock } from "../clock.ts";

/** What every operation is given: time, a way to be stopped, and somewhere to say how far it is. */
export interface OperationContext {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  /** Something worth knowing that is no failure: shown to the person, written to the log. */
  readonly onNotice: (notice: string) => void;
}

export interface Progress {
  readonly phase: string;
  readonly doneBytes: number;
  /** Null where it is not known yet. */
  readonly totalBytes: number | null;
}
