/** How a copy keeps up with the others that are written at the same time. */
export interface CopyPace {
  /** For how long the others stood still because of it. */
  readonly heldUpMs: number;
  /** Since writing began. */
  readonly elapsedMs: number;
}

/** A backup may last a minute longer for the sake of a slow copy, and twice as long: beyond that the session on the source is held open for nothing but it. */
const ALLOWED_MS = 60_000;
const ALLOWED_SHARE = 0.5;

/** Whether a copy is to be given up in this backup, and made up for later by copying. */
export function isTooSlow({ heldUpMs, elapsedMs }: CopyPace): boolean {
  return heldUpMs > ALLOWED_MS + elapsedMs * ALLOWED_SHARE;
}
