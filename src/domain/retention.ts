import type { BackupType } from "./backup-id.ts";
import { formatDuration } from "./duration.ts";

/**
 * Which backups of one source stay, and why. A backup stays in its own right while a rule, a pin or a hold wants it; it stays for the sake of others
 * while a backup that stays was made from it. So nothing kept is ever an orphan, and the newest full that can be restored stays whatever the rules say.
 */

/** How long backups of one type are kept. A backup is kept while any of these wants it. */
export interface RetentionRule {
  /** Age up to which every backup is kept. */
  readonly keepForSeconds: number | null;
  /** The newest n are kept, however old. */
  readonly keepLast: number | null;
  /** Grandfather-father-son: the last backup of each of the newest n days, ISO weeks, months, years (UTC) that have one. */
  readonly daily: number | null;
  readonly weekly: number | null;
  readonly monthly: number | null;
  readonly yearly: number | null;
}

/** What retention looks at, of a backup set in one repository. */
export interface RetainedBackup {
  readonly id: string;
  readonly type: BackupType;
  /** The moment it brings back: its age is counted from here. */
  readonly at: Date;
  /** Ids of the backups it refers to. Those that are not in the list are ignored. */
  readonly ancestors: readonly string[];
  /** One with page corruption is kept for its age only: it must never push a clean one out of a count. */
  readonly state: "complete" | "complete_with_corruption";
  /** Kept until a person unpins it. */
  readonly pinned?: boolean;
  /** Under legal hold. */
  readonly held?: boolean;
  /** Until when its store lets nobody delete it; null or in the past: it can go. */
  readonly lockedUntil?: Date | null;
}

export interface ExpiryDecision {
  readonly id: string;
  readonly keep: boolean;
  /** Why, for people; never empty. */
  readonly reasons: readonly string[];
  /** The kept backups that were made from it, oldest first. */
  readonly heldBy: readonly string[];
  /** Kept in its own right. False: kept only for those in `heldBy` (or not at all), and not offered as a recovery point. */
  readonly recoveryPoint: boolean;
  /** When it goes, if age alone decides, also for those that hold it; null where counts, people or the backups to come decide. */
  readonly expiresAt: Date | null;
  /** Nothing wants it any more, and its store does not let it go before then: it is no recovery point, and goes later. Else null. */
  readonly lockedUntil: Date | null;
}

export interface ExpiryInput {
  /** All backups of one source in one repository, in any order. */
  readonly backups: readonly RetainedBackup[];
  /** A type without a rule is kept: nobody has said that it may go. */
  readonly rules: ReadonlyMap<BackupType, RetentionRule>;
  readonly now: Date;
}

/** What stays and what goes, in the order of the input. Planning again on what stays keeps all of it. */
export function planExpiry({ backups, rules, now }: ExpiryInput): ExpiryDecision[] {
  const claims = ownClaims(backups, rules, now);
  const locks = lockClaims(backups, claims, now);
  // What cannot go keeps what it was made from as well: half a chain would be damage.
  const staying = new Map(backups.map(({ id }) => [id, [...(claims.get(id) ?? []), ...(locks.get(id) ?? [])]]));
  const heldBy = holders(backups, staying);
  return backups.map((backup) => {
    const own = claims.get(backup.id) ?? [];
    const [lock] = locks.get(backup.id) ?? [];
    const holding = heldBy.get(backup.id) ?? [];
    const keep = own.length > 0 || holding.length > 0 || lock !== undefined;
    const reasons = [...own.map((claim) => claim.reason), ...(own.length === 0 && holding.length > 0 ? ["held for dependents"] : [])];
    const isOver = reasons.length === 0;
    return {
      id: backup.id,
      keep,
      reasons: isOver ? [...(lock === undefined ? [] : [lock.reason]), whyGone(backup, rules.get(backup.type))] : reasons,
      heldBy: holding,
      recoveryPoint: own.length > 0,
      expiresAt: keep ? latest([...own, ...(isOver && lock !== undefined ? [lock] : []), ...holding.flatMap((id) => staying.get(id) ?? [])]) : null,
      lockedUntil: isOver ? (lock?.until ?? null) : null,
    };
  });
}

/** Of those that no rule and nobody wants: the lock that keeps them all the same. */
function lockClaims(backups: readonly RetainedBackup[], claims: Claims, now: Date): Claims {
  return new Map(
    backups.map(({ id, lockedUntil: until = null }) => {
      const isOver = (claims.get(id) ?? []).length === 0;
      return [id, isOver && until !== null && until > now ? [{ reason: `locked until ${until.toISOString()}`, until }] : []];
    }),
  );
}

/** One reason to keep a backup in its own right, and until when; null: not for a time that is known now. */
interface Claim {
  readonly reason: string;
  readonly until: Date | null;
}

type Claims = ReadonlyMap<string, readonly Claim[]>;

function ownClaims(backups: readonly RetainedBackup[], rules: ExpiryInput["rules"], now: Date): Claims {
  const claims = new Map<string, Claim[]>(backups.map((backup) => [backup.id, claimsOfPeople(backup)]));
  const newestFirst = backups.toSorted(byAge).toReversed();
  const claim = (backup: RetainedBackup, reason: string, until: Date | null = null): void => void claims.get(backup.id)?.push({ reason, until });

  for (const [type, all] of Map.groupBy(newestFirst, (backup) => backup.type)) {
    const rule = rules.get(type);
    if (rule === undefined) all.forEach((backup) => claim(backup, `no retention rule for ${type} backups`));
    else claimByRule(all, rule, now, claim);
  }
  const fulls = newestFirst.filter((backup) => backup.type === "full");
  const restorable = fulls.find(isClean);
  if (restorable !== undefined) claim(restorable, "the newest full that can be restored");
  else if (fulls[0] !== undefined) claim(fulls[0], "the newest full, and there is no clean one");
  return claims;
}

function claimsOfPeople({ pinned, held }: RetainedBackup): Claim[] {
  return [...(held === true ? [{ reason: "legal hold", until: null }] : []), ...(pinned === true ? [{ reason: "pinned", until: null }] : [])];
}

/** `all` are the backups of one type, newest first. */
function claimByRule(all: readonly RetainedBackup[], rule: RetentionRule, now: Date, claim: (backup: RetainedBackup, reason: string, until?: Date) => void): void {
  if (rule.keepForSeconds !== null) {
    const reason = `younger than ${formatDuration(rule.keepForSeconds)}`;
    for (const backup of all) {
      const until = endOfAge(backup, rule.keepForSeconds);
      if (now < until) claim(backup, reason, until);
    }
  }
  const clean = all.filter(isClean);
  for (const backup of clean.slice(0, rule.keepLast ?? 0)) claim(backup, `one of the newest ${rule.keepLast}`);
  for (const { unit, periodOf } of PERIODS) {
    const lastOfEach = [...Map.groupBy(clean, (backup) => periodOf(backup.at)).entries()].slice(0, rule[unit] ?? 0);
    for (const [period, [newest]] of lastOfEach) if (newest !== undefined) claim(newest, `the last of ${period}`);
  }
}

const DAY_MS = 86_400_000;

/** The periods of grandfather-father-son, in UTC. Backups come newest first, and so do the periods they fall into. */
const PERIODS = [
  { unit: "daily", periodOf: (at: Date) => at.toISOString().slice(0, 10) },
  { unit: "weekly", periodOf: isoWeek },
  { unit: "monthly", periodOf: (at: Date) => at.toISOString().slice(0, 7) },
  { unit: "yearly", periodOf: (at: Date) => at.toISOString().slice(0, 4) },
] as const;

/** `2026-W53`: weeks begin on Monday and belong to the year of their Thursday, so the days around New Year may be of the other year. */
export function isoWeek(at: Date): string {
  const day = Math.floor(at.getTime() / DAY_MS);
  // Day 0, 1970-01-01, was a Thursday.
  const thursday = day - ((((day + 3) % 7) + 7) % 7) + 3;
  const year = new Date(thursday * DAY_MS).getUTCFullYear();
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / DAY_MS) / 7) + 1;
  return `${year}-W${String(week).padStart(2, "0")}`;
}

/** For every backup, the kept ones that were made from it, oldest first. */
function holders(backups: readonly RetainedBackup[], claims: Claims): Map<string, string[]> {
  const byId = new Map(backups.map((backup) => [backup.id, backup]));
  const kept = new Set(backups.filter((backup) => (claims.get(backup.id) ?? []).length > 0).map((backup) => backup.id));
  for (const id of kept) for (const ancestor of ancestorsOf(id, byId)) kept.add(ancestor);
  const heldBy = new Map<string, string[]>();
  for (const backup of backups.toSorted(byAge)) {
    if (!kept.has(backup.id)) continue;
    for (const ancestor of ancestorsOf(backup.id, byId)) {
      const known = heldBy.get(ancestor);
      if (known === undefined) heldBy.set(ancestor, [backup.id]);
      else known.push(backup.id);
    }
  }
  return heldBy;
}

/** Everything a backup was made from, also where an ancestor's own ancestors were not repeated. */
function ancestorsOf(id: string, byId: ReadonlyMap<string, RetainedBackup>): Set<string> {
  const found = new Set(byId.get(id)?.ancestors.filter((ancestor) => byId.has(ancestor)));
  for (const ancestor of found) for (const further of byId.get(ancestor)?.ancestors ?? []) if (byId.has(further)) found.add(further);
  found.delete(id);
  return found;
}

function whyGone(backup: RetainedBackup, rule: RetentionRule | undefined): string {
  const age = rule?.keepForSeconds ?? null;
  const past = age === null ? "no rule keeps it" : `older than ${formatDuration(age)}, and no other rule keeps it`;
  return isClean(backup) ? past : `${past}: it has page corruption, so it does not count`;
}

/** Oldest first; ids decide where the time does not. */
function byAge(a: RetainedBackup, b: RetainedBackup): number {
  const [left, right] = [a.at.getTime(), b.at.getTime()];
  if (left !== right) return left - right;
  return a.id < b.id ? -1 : 1;
}

/** Until when all of these together keep it. */
function latest(claims: readonly Claim[]): Date | null {
  const ends = claims.map((claim) => claim.until?.getTime() ?? Infinity);
  const end = Math.max(...ends);
  return Number.isFinite(end) ? new Date(end) : null;
}

function endOfAge(backup: RetainedBackup, keepForSeconds: number): Date {
  return new Date(backup.at.getTime() + keepForSeconds * 1000);
}

function isClean(backup: RetainedBackup): boolean {
  return backup.state === "complete";
}
