import type { Lsn } from "./lsn.ts";
import type { Micros } from "./timestamp.ts";

/** What is known of one copy and of the server at one moment. */
export interface ExposureInput {
  /** How far the copy's WAL reaches without a gap from a restorable backup; null where nothing can be restored. */
  readonly recoverableTo: Lsn | null;
  /** Until when everything that was committed is known to be in it. */
  readonly completeUntil: Micros | null;
  readonly serverPosition: Lsn;
  readonly serverNow: Micros;
}

/**
 * The age of the oldest commit that the copy could not bring back. 0 when caught up: an idle database is not exposed. Where it is not caught up, this is an upper bound: something was written after
 * `completeUntil`, and the oldest lost commit cannot be older than that. Null: nothing can be restored, or it is not known since when.
 */
export function exposureSeconds({ recoverableTo, completeUntil, serverPosition, serverNow }: ExposureInput): number | null {
  if (recoverableTo === null) return null;
  if (serverPosition <= recoverableTo) return 0;
  if (completeUntil === null) return null;
  return Math.max(0, Number(serverNow - completeUntil) / 1_000_000);
}

export function exposureBytes({ recoverableTo, serverPosition }: ExposureInput): number | null {
  return recoverableTo === null ? null : Number(serverPosition > recoverableTo ? serverPosition - recoverableTo : 0n);
}
