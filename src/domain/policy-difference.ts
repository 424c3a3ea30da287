import type { BackupType } from "./backup-id.ts";
import { BACKUP_TYPES } from "./backup-id.ts";
import { formatDuration } from "./duration.ts";
import type { FeasibilityBackup, FeasibilityLog } from "./feasibility.ts";
import type { PolicySelector } from "./policy-selection.ts";
import type { RetentionRule } from "./retention.ts";
import { describeRetention, describeSchedule } from "./schedule-words.ts";
import { longestIntervalSeconds } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import { VERIFY_TIERS } from "./verify-tier.ts";
import type { VerifyTier } from "./verify-tier.ts";
import type { Window } from "./window.ts";

/**
 * What a change of a policy does to the protection it gives. Where nobody can tell whether something got weaker (another question in a drill, other sources), it counts as weaker:
 * a second look costs a minute, and a hole that nobody saw costs the data.
 */
export interface PolicyChange {
  readonly direction: "weaker" | "stronger" | "other";
  /** `backups.full.retention`. */
  readonly key: string;
  readonly message: string;
}

/** What of a policy protects. */
export interface Protection {
  readonly appliesTo: PolicySelector | null;
  readonly changes: { readonly approval: "required" | "none" };
  readonly objectives: { readonly rtoSeconds: number | null; readonly rpoSeconds: number | null };
  readonly backups: ReadonlyMap<BackupType, FeasibilityBackup & { readonly verify: VerifyTier | null }>;
  readonly log: FeasibilityLog | null;
  readonly jitterSeconds: number;
  readonly verify: Verification | null;
  readonly drills: { readonly schedule: Schedule; readonly select: string; readonly checks: readonly { readonly name: string; readonly required: boolean }[] } | null;
  /** Programs that run around backups; what they do nobody here knows. */
  readonly hooks: unknown;
  readonly windows: { readonly heavy: readonly Window[]; readonly blackout: readonly { readonly window: Window }[] };
}

interface Verification {
  readonly schedule: Schedule;
  readonly tier: VerifyTier;
  /** How often WAL that came since is verified. */
  readonly walSeconds: number;
  /** What the scrub may take; null: there is none. A limit that is null is none. */
  readonly scrub: ScrubLimits | null;
}

interface ScrubLimits {
  readonly bytesPerSecond: number | null;
  readonly share: number | null;
}

export function policyDifference(before: Protection, after: Protection): PolicyChange[] {
  return [
    ...changedApproval(before, after),
    ...changedSelection(before, after),
    ...changedObjective("rto", before.objectives.rtoSeconds, after.objectives.rtoSeconds),
    ...changedObjective("rpo", before.objectives.rpoSeconds, after.objectives.rpoSeconds),
    ...BACKUP_TYPES.flatMap((type) => changedBackup(type, before.backups.get(type) ?? null, after.backups.get(type) ?? null)),
    ...changedLog(before.log, after.log),
    ...changedVerification(before.verify, after.verify),
    ...changedDrills(before.drills, after.drills),
    ...(same(before.hooks, after.hooks) ? [] : [change("weaker", "hooks", "other programs run around backups than before")]),
    ...changedWindows(before.windows, after.windows),
    ...changedDuration("jitter", "the jitter", before.jitterSeconds, after.jitterSeconds),
  ];
}

export function weakens(changes: readonly PolicyChange[]): boolean {
  return changes.some(({ direction }) => direction === "weaker");
}

type Direction = PolicyChange["direction"];

const change = (direction: Direction, key: string, message: string): PolicyChange => ({ direction, key, message });

function changedApproval(before: Protection, after: Protection): PolicyChange[] {
  if (before.changes.approval === after.changes.approval) return [];
  return after.changes.approval === "none"
    ? [change("weaker", "changes.approval", "what weakens this policy no longer waits for a second person")]
    : [change("stronger", "changes.approval", "what weakens this policy waits for a second person")];
}

function changedSelection(before: Protection, after: Protection): PolicyChange[] {
  return same(before.appliesTo, after.appliesTo) ? [] : [change("weaker", "appliesTo", "it applies to other sources than before: some may be left with less")];
}

/** Where a policy names none, tier and data class of a source decide: as far as the policy can tell, that may be the strictest or the loosest. */
function changedObjective(which: "rto" | "rpo", before: number | null, after: number | null): PolicyChange[] {
  const key = `objectives.${which}`;
  const what = which === "rto" ? "the recovery time objective" : "the recovery point objective";
  if (before === after) return [];
  if (after === null) return [change("weaker", key, `${what} of ${formatDuration(before ?? 0)} is left to the ${which === "rto" ? "tier" : "data class"} of each source`)];
  if (before === null)
    return [
      change("weaker", key, `${what} is ${formatDuration(after)} for every source, which is looser for those whose ${which === "rto" ? "tier" : "data class"} asks for less`),
    ];
  return [change(after > before ? "weaker" : "stronger", key, `${what} is ${formatDuration(after)}, and was ${formatDuration(before)}`)];
}

type BackupRule = FeasibilityBackup & { readonly verify: VerifyTier | null };

function changedBackup(type: BackupType, before: BackupRule | null, after: BackupRule | null): PolicyChange[] {
  const key = `backups.${type}`;
  if (before === null || after === null) {
    if (before === after) return [];
    return after === null ? [change("weaker", key, `there are no ${type} backups any more`)] : [change("stronger", key, `there are ${type} backups`)];
  }
  const what = `${type} backups`;
  return [
    ...changedSchedule(`${key}.schedule`, `${what} run`, before.schedule, after.schedule),
    ...changedRetention(`${key}.retention`, what, before.retention, after.retention),
    ...changedRepositories(`${key}.repositories`, what, before.repositories, after.repositories),
    ...changedTier(`${key}.verify`, `${what} are verified as soon as they are made`, before.verify, after.verify),
    ...changedBudget(`${key}.recoveryTimeBudget`, what, before.recoveryTimeBudgetSeconds, after.recoveryTimeBudgetSeconds),
  ];
}

function changedLog(before: FeasibilityLog | null, after: FeasibilityLog | null): PolicyChange[] {
  const key = "backups.log";
  if (before === null || after === null) {
    if (before === after) return [];
    return after === null
      ? [change("weaker", key, "the log is not kept any more: only the ends of backups can be brought back")]
      : [change("stronger", key, "the log is kept: any time can be brought back")];
  }
  return [
    ...changedSchedule(`${key}.schedule`, "the log is stored", before.schedule, after.schedule),
    ...changedDuration(`${key}.retention`, "the window in which any time can be brought back", after.retentionSeconds, before.retentionSeconds),
    ...changedRepositories(`${key}.repositories`, "the log", before.repositories, after.repositories),
    ...changedBudget(`${key}.recoveryTimeBudget`, "the log", before.recoveryTimeBudgetSeconds, after.recoveryTimeBudgetSeconds),
  ];
}

/** Any fixed time: the same change always has the same difference. */
const SAMPLE_FROM = new Date(Date.UTC(2026, 0, 5));

type AnySchedule = Schedule | { readonly kind: "stream" };

function changedSchedule(key: string, what: string, before: AnySchedule, after: AnySchedule): PolicyChange[] {
  if (same(before, after)) return [];
  const interval = (schedule: AnySchedule): number => (schedule.kind === "stream" ? 0 : (longestIntervalSeconds(schedule, SAMPLE_FROM) ?? Number.POSITIVE_INFINITY));
  const [was, is] = [interval(before), interval(after)];
  const direction = is === was ? "other" : is > was ? "weaker" : "stronger";
  return [change(direction, key, `${what} ${describeSchedule(after)}, and ${direction === "weaker" ? "more often before" : "before"}: ${describeSchedule(before)}`)];
}

function changedRetention(key: string, what: string, before: RetentionRule, after: RetentionRule): PolicyChange[] {
  const parts = ["keepForSeconds", "keepLast", "daily", "weekly", "monthly", "yearly"] as const;
  const less = parts.some((part) => (after[part] ?? 0) < (before[part] ?? 0));
  const more = parts.some((part) => (after[part] ?? 0) > (before[part] ?? 0));
  if (!less && !more) return [];
  return [change(less ? "weaker" : "stronger", key, `${what} are kept ${describeRetention(after)}, and were kept ${describeRetention(before)}`)];
}

function changedRepositories(key: string, what: string, before: readonly string[], after: readonly string[]): PolicyChange[] {
  const lost = before.filter((name) => !after.includes(name));
  const won = after.filter((name) => !before.includes(name));
  const isMoved = lost.length === 0 && won.length === 0 && !same(before, after);
  const verb = what === "the log" ? "goes" : "go";
  return [
    ...lost.map((name) => change("weaker", key, `${what} no longer ${verb} to ${name}: one copy less`)),
    ...won.map((name) => change("stronger", key, `${what} ${verb} to ${name} too`)),
    ...(isMoved ? [change("other", key, `${what} ${verb} to the same repositories in another order: ${after.join(", ")}`)] : []),
  ];
}

function changedTier(key: string, what: string, before: VerifyTier | null, after: VerifyTier | null): PolicyChange[] {
  if (before === after) return [];
  const rank = (tier: VerifyTier | null): number => (tier === null ? -1 : VERIFY_TIERS.indexOf(tier));
  return [change(rank(after) < rank(before) ? "weaker" : "stronger", key, `${what} to tier ${after ?? "none"}, and before to ${before ?? "none"}`)];
}

function changedBudget(key: string, what: string, before: number | null, after: number | null): PolicyChange[] {
  return changedDuration(key, `the time that recovery from ${what} may take`, before ?? Number.POSITIVE_INFINITY, after ?? Number.POSITIVE_INFINITY);
}

/** More is weaker. Give them the other way round where more is stronger: the words say which is which. */
function changedDuration(key: string, what: string, smaller: number, larger: number): PolicyChange[] {
  if (smaller === larger) return [];
  const isRetention = key.endsWith(".retention");
  const [before, after] = isRetention ? [larger, smaller] : [smaller, larger];
  return [change(larger > smaller ? "weaker" : "stronger", key, `${what} is ${words(after)}, and was ${words(before)}`)];
}

function words(seconds: number): string {
  return Number.isFinite(seconds) ? formatDuration(seconds) : "not limited";
}

function changedVerification(before: Protection["verify"], after: Protection["verify"]): PolicyChange[] {
  if (before === null || after === null) {
    if (before === after) return [];
    return after === null ? [change("weaker", "verify", "nothing is verified any more")] : [change("stronger", "verify", "what is stored is verified")];
  }
  return [
    ...changedSchedule("verify.schedule", "verification runs", before.schedule, after.schedule),
    ...changedTier("verify.tier", "verification goes", before.tier, after.tier),
    ...changedDuration("verify.wal", "the time after which new WAL is verified", before.walSeconds, after.walSeconds),
    ...changedScrub(before.scrub, after.scrub),
  ];
}

/** With less to spend it comes round later: damage is found later, perhaps after the last good copy has expired. */
function changedScrub(before: ScrubLimits | null, after: ScrubLimits | null): PolicyChange[] {
  if (same(before, after)) return [];
  if (before === null || after === null)
    return [
      after === null
        ? change("weaker", "verify.scrub", "what is stored is no longer verified piece by piece in the background")
        : change("stronger", "verify.scrub", "what is stored is verified piece by piece in the background"),
    ];
  const limit = (of: number | null): number => of ?? Number.POSITIVE_INFINITY;
  const isLess = limit(after.bytesPerSecond) < limit(before.bytesPerSecond) || limit(after.share) < limit(before.share);
  return [change(isLess ? "weaker" : "stronger", "verify.scrub", `the scrub takes ${describeScrub(after)}, and took ${describeScrub(before)}`)];
}

function describeScrub({ bytesPerSecond, share }: ScrubLimits): string {
  const limits = [bytesPerSecond === null ? [] : `${bytesPerSecond} bytes a second at most`, share === null ? [] : `${Math.round(share * 100)} % of the time`].flat();
  return limits.join(" and ");
}

function changedDrills(before: Protection["drills"], after: Protection["drills"]): PolicyChange[] {
  if (before === null || after === null) {
    if (before === after) return [];
    return after === null ? [change("weaker", "drills", "nothing is restored for proof any more")] : [change("stronger", "drills", "restores are drilled")];
  }
  return [
    ...changedSchedule("drills.schedule", "drills run", before.schedule, after.schedule),
    ...(before.select === after.select ? [] : [change("other", "drills.select", `drills choose ${after.select}, and chose ${before.select}`)]),
    ...before.checks.flatMap((check) => changedCheck(check, after.checks.find(({ name }) => name === check.name) ?? null)),
    ...after.checks.filter(({ name }) => !before.checks.some((check) => check.name === name)).map(({ name }) => change("stronger", "drills.checks", `a drill also asks: ${name}`)),
  ];
}

type Check = NonNullable<Protection["drills"]>["checks"][number];

function changedCheck(before: Check, after: Check | null): PolicyChange[] {
  const { name } = before;
  if (after === null) return [change("weaker", "drills.checks", `a drill no longer asks: ${name}`)];
  if (same(before, after)) return [];
  if (before.required && !after.required) return [change("weaker", "drills.checks", `a drill passes where '${name}' fails`)];
  const isOnlyRequired = same({ ...before, required: true }, { ...after, required: true });
  return [change(isOnlyRequired ? "stronger" : "weaker", "drills.checks", isOnlyRequired ? `a drill fails where '${name}' fails` : `'${name}' asks something else than before`)];
}

function changedWindows(before: Protection["windows"], after: Protection["windows"]): PolicyChange[] {
  const blackouts = ({ blackout }: Protection["windows"]): Window[] => blackout.map(({ window }) => window);
  const [was, is] = [blackouts(before), blackouts(after)];
  return [
    ...is.filter((window) => !was.includes(window)).map((window) => change("weaker", "windows.blackout", `no backup begins in ${window}`)),
    ...was.filter((window) => !is.includes(window)).map((window) => change("stronger", "windows.blackout", `backups begin in ${window} too`)),
    ...(same(before.heavy, after.heavy)
      ? []
      : [change("other", "windows.heavy", `full and incremental backups begin within ${anyTime(after.heavy)}, and before within ${anyTime(before.heavy)}`)]),
  ];
}

function anyTime(windows: readonly Window[]): string {
  return windows.length === 0 ? "any time" : windows.join(", ");
}

/** Plain values, as files give them. */
function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, sorted(part)]),
  );
}
