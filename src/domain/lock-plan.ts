import type { ExpiryDecision } from "./retention.ts";

/**
 * Until when objects must be locked, and which locks are to be made longer. A lock is set when an object is made, for as long as its type is kept and a margin; what keeps it longer (a
 * child, a pin, a count, a policy that changed) comes later, and the next expiry makes the lock longer. Shorter it never becomes.
 */

/** A backup, and the lock it has. */
export interface LockedBackup {
  readonly id: string;
  /** The moment it brings back. */
  readonly at: Date;
  /** Null: it is not locked. */
  readonly lockedUntil: Date | null;
}

export interface LockExtension {
  readonly id: string;
  readonly from: Date | null;
  readonly until: Date;
  readonly reason: string;
}

export interface LockPlanInput {
  readonly backups: readonly LockedBackup[];
  /** What retention decided about them. */
  readonly decisions: readonly ExpiryDecision[];
  readonly marginSeconds: number;
  readonly now: Date;
}

/** Nobody can say how long what a count or a person keeps will be kept: its lock is renewed in strides no longer than it has been kept so far, and than this. */
const LONGEST_STRIDE_MS = 30 * 86_400_000;

/** Backups whose locks would end before they may go, or too soon to be sure of. */
export function planLocks({ backups, decisions, marginSeconds, now }: LockPlanInput): LockExtension[] {
  const byId = new Map(backups.map((backup) => [backup.id, backup]));
  const only = lockedOnly(decisions);
  return decisions.flatMap((decision): LockExtension[] => {
    const backup = byId.get(decision.id);
    // What stays only for its lock needs no longer one.
    if (backup === undefined || !decision.keep || (decision.lockedUntil !== null && decision.heldBy.length === 0)) return [];
    const { needed, until } = lockNeed(decision.expiresAt, { since: backup.at, marginSeconds: only.has(decision.id) ? 0 : marginSeconds, now });
    if (backup.lockedUntil !== null && backup.lockedUntil >= needed) return [];
    return [{ id: backup.id, from: backup.lockedUntil, until, reason: decision.reasons.join("; ") }];
  });
}

/** Backups that stay for locks only, their own or those of what was made from them: they go when these end, and nothing is added to that. */
export function lockedOnly(decisions: readonly ExpiryDecision[]): ReadonlySet<string> {
  const wanted = new Set(decisions.filter(({ recoveryPoint }) => recoveryPoint).map(({ id }) => id));
  return new Set(decisions.filter(({ id, keep, heldBy }) => keep && ![id, ...heldBy].some((holder) => wanted.has(holder))).map(({ id }) => id));
}

/** The least a lock must last, and how long it is made where it does not: a little more, so that this does not have to be done at every turn. */
export function lockNeed(expiresAt: Date | null, { since, marginSeconds, now }: { since: Date; marginSeconds: number; now: Date }): { needed: Date; until: Date } {
  const marginMs = marginSeconds * 1000;
  if (expiresAt !== null) return { needed: expiresAt, until: new Date(expiresAt.getTime() + marginMs) };
  const stride = Math.max(0, Math.min(LONGEST_STRIDE_MS, now.getTime() - since.getTime()));
  return { needed: new Date(now.getTime() + marginMs), until: new Date(now.getTime() + marginMs + stride) };
}
