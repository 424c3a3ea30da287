import { BACKUP_TYPES } from "./backup-id.ts";
import type { BackupType } from "./backup-id.ts";
import { lockedOnly, planLocks } from "./lock-plan.ts";
import { planExpiry } from "./retention.ts";
import type { ExpiryDecision, RetainedBackup, RetentionRule } from "./retention.ts";
import type { SimulationModel } from "./simulation-model.ts";

const DAY_MS = 86_400_000;

/** A backup that a simulation made. */
export interface SimulatedBackup extends RetainedBackup {
  readonly startedAt: Date;
  readonly readBytes: number;
  readonly storedBytes: number;
  readonly repositories: readonly string[];
}

/** What a copy holds at a moment. */
export interface CopyDay {
  readonly repository: string;
  readonly full: number;
  readonly differential: number;
  readonly incremental: number;
  /** Fulls that others were made from, or could be. */
  readonly chains: number;
  /** Backups of the longest chain, its full included. */
  readonly longestChain: number;
  /** Kept only because a kept backup was made from them; no longer offered as recovery points. */
  readonly heldForDependents: number;
  /** Wanted by nobody, and locked still. */
  readonly lockedOnly: number;
  readonly recoveryPoints: number;
  readonly backupBytes: number;
  readonly walBytes: number;
  /** Any time from here on can be brought back; null: only the ends of backups. */
  readonly recoverableFrom: Date | null;
  readonly oldestRecoveryPoint: Date | null;
}

export interface CopyRules {
  readonly repository: string;
  readonly rules: ReadonlyMap<BackupType, RetentionRule>;
  /** Null: WAL is never expired here. */
  readonly logRetentionSeconds: number | null;
  readonly hasLog: boolean;
  /** Null: nothing is locked here. */
  readonly lockMarginSeconds?: number | null;
}

/** One repository's share of a simulation: what is in it, and what retention takes out of it again. */
export class SimulatedCopy {
  readonly place: CopyRules;
  #backups: readonly SimulatedBackup[] = [];
  #decisions: ReadonlyMap<string, ExpiryDecision> = new Map();
  /** Until then planning again would keep the same: decisions follow from what is there, and from age. */
  #settledUntil = new Date(0);
  #walFrom: Date | null = null;
  /** Since when a backup stays for others only. */
  readonly heldSince = new Map<string, Date>();
  /** The end of the first backup there ever was. */
  firstAt: Date | null = null;

  constructor(place: CopyRules) {
    this.place = place;
  }

  get backups(): readonly SimulatedBackup[] {
    return this.#backups;
  }

  add(backup: SimulatedBackup): void {
    this.#backups = [...this.#backups, { ...backup, lockedUntil: this.#firstLock(backup) }];
    this.firstAt ??= backup.at;
    this.#walFrom ??= this.place.hasLog ? backup.startedAt : null;
    this.#settledUntil = new Date(0);
  }

  /** As `holdfast expire` does it: backups first, then the log behind the backup that the window begins with. Returns what went. */
  expire(now: Date): readonly SimulatedBackup[] {
    this.#expireLog(now);
    if (now < this.#settledUntil) return [];
    const decisions = planExpiry({ backups: this.#backups, rules: this.place.rules, now });
    this.#decisions = new Map(decisions.map((decision) => [decision.id, decision]));
    this.#extendLocks(decisions, now);
    const gone = this.#backups.filter(({ id }) => this.#decisions.get(id)?.keep === false);
    this.#backups = this.#backups.filter(({ id }) => this.#decisions.get(id)?.keep === true);
    for (const { id, keep, recoveryPoint } of decisions) if (keep && !recoveryPoint && !this.heldSince.has(id)) this.heldSince.set(id, now);
    this.#settledUntil = nextChange(decisions, now);
    this.#expireLog(now);
    return gone;
  }

  /** As it is set when a backup is written: the age to which its type is kept, and the margin. */
  #firstLock({ type, startedAt, at }: SimulatedBackup): Date | null {
    const { rules, lockMarginSeconds = null } = this.place;
    if (lockMarginSeconds === null) return null;
    const kept = rules.get(type)?.keepForSeconds ?? 0;
    return new Date(Math.max(startedAt.getTime() + kept * 1000, at.getTime()) + lockMarginSeconds * 1000);
  }

  #extendLocks(decisions: readonly ExpiryDecision[], now: Date): void {
    const { lockMarginSeconds: marginSeconds = null } = this.place;
    if (marginSeconds === null) return;
    const locked = this.#backups.map(({ id, at, lockedUntil = null }) => ({ id, at, lockedUntil }));
    const longer = new Map(planLocks({ backups: locked, decisions, marginSeconds, now }).map(({ id, until }) => [id, until]));
    this.#backups = this.#backups.map((backup) => ({ ...backup, lockedUntil: longer.get(backup.id) ?? backup.lockedUntil ?? null }));
  }

  /** The newest clean backup that was complete before the window; WAL is kept from its start. Null while there is none: then all WAL stays. */
  #windowBase(now: Date): SimulatedBackup | null {
    const { hasLog, logRetentionSeconds } = this.place;
    if (!hasLog || logRetentionSeconds === null) return null;
    const start = now.getTime() - logRetentionSeconds * 1000;
    return this.#backups.findLast(({ at, state }) => state === "complete" && at.getTime() <= start) ?? null;
  }

  #expireLog(now: Date): void {
    const base = this.#windowBase(now);
    if (base !== null && (this.#walFrom === null || base.startedAt > this.#walFrom)) this.#walFrom = base.startedAt;
  }

  /** From when on any time can be brought back: the end of the first backup that has all WAL after it. */
  recoverableFrom(): Date | null {
    const from = this.#walFrom;
    return from === null ? null : (this.#backups.find(({ startedAt, state }) => state === "complete" && startedAt >= from)?.at ?? null);
  }

  day(now: Date, model: SimulationModel): CopyDay {
    const only = lockedOnly([...this.#decisions.values()]);
    const points = this.#backups.filter(({ id }) => this.#decisions.get(id)?.recoveryPoint !== false);
    const of = (type: BackupType): number => this.#backups.filter((backup) => backup.type === type).length;
    const walFrom = this.#walFrom ?? now;
    const own = this.#backups.filter(({ startedAt }) => startedAt < walFrom).reduce((sum, { startedAt, at }) => sum + model.walBytes(startedAt, at), 0);
    const [full, differential, incremental] = BACKUP_TYPES.map(of) as [number, number, number];
    return {
      repository: this.place.repository,
      full,
      differential,
      incremental,
      chains: full,
      longestChain: Math.max(0, ...this.#backups.map(({ ancestors }) => ancestors.length + 1)),
      heldForDependents: this.#backups.filter(({ id }) => !only.has(id)).length - points.length,
      lockedOnly: this.#backups.filter(({ id }) => only.has(id)).length,
      recoveryPoints: points.length,
      backupBytes: this.#backups.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
      walBytes: model.storedBytes(model.walBytes(walFrom, now) + own),
      recoverableFrom: this.recoverableFrom(),
      oldestRecoveryPoint: points[0]?.at ?? null,
    };
  }
}

/** When age takes the next one; and a day at most, because one that is held stops being a recovery point without a date of its own. */
function nextChange(decisions: readonly ExpiryDecision[], now: Date): Date {
  const ends = decisions.flatMap(({ keep, expiresAt }) => (keep && expiresAt !== null ? [expiresAt.getTime()] : []));
  return new Date(Math.min(now.getTime() + DAY_MS, ...ends));
}
