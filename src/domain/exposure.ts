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

/** What is known of one copy: how far it reaches, and until when all that was committed is in that. */
export interface Reach {
  readonly recoverableTo: Lsn;
  readonly completeUntil: Micros | null;
}

/**
 * Until when everything that was committed is in a copy, with what an earlier look knew: where the server had written nothing beyond the copy, everything was in it by the server's own clock. So a commit
 * after an idle hour is not taken for an hour old. `isPrimary`: of a standby nobody knows what its primary has committed. A server that does
 * not answer (null) takes nothing away from what was known.
 */
export function completeUntilNow(
  { recoverableTo, completeUntil }: Reach,
  before: Reach | null,
  server: { readonly position: Lsn; readonly now: Micros; readonly isPrimary: boolean } | null,
): Micros | null {
  if (server?.isPrimary === true && server.position <= recoverableTo) return completeUntil === null || completeUntil < server.now ? server.now : completeUntil;
  // A copy that reaches less far than it did has lost something, and a clock that was set back says nothing.
  const known =
    before === null || before.recoverableTo > recoverableTo || before.completeUntil === null || (server !== null && before.completeUntil > server.now)
      ? null
      : before.completeUntil;
  if (known === null || completeUntil === null) return completeUntil ?? known;
  return known > completeUntil ? known : completeUntil;
}
