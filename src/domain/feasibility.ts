import type { BackupType } from "./backup-id.ts";
import { formatDuration } from "./duration.ts";
import type { RetentionRule } from "./retention.ts";
import { dueWork, longestIntervalSeconds, slotsBetween } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";

/** Whether a policy can hold the objectives at all, before anything has run. A policy that cannot is not wrong to write, but it must not look as if it could. */

export interface FeasibilityInput {
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  readonly backups: readonly FeasibilityBackup[];
  readonly log: FeasibilityLog | null;
  /** False: of this kind of source there is no log. */
  readonly canLog?: boolean;
  /** Up to so many seconds after its slot a backup begins. */
  readonly jitterSeconds?: number;
}

export interface FeasibilityBackup {
  readonly type: BackupType;
  readonly schedule: Schedule;
  readonly retention: RetentionRule;
  /** Names of repositories, in order: the first is read from first. */
  readonly repositories: readonly string[];
  readonly recoveryTimeBudgetSeconds: number | null;
}

export interface FeasibilityLog {
  readonly schedule: Schedule | { readonly kind: "stream" };
  readonly retentionSeconds: number;
  readonly repositories: readonly string[];
  readonly recoveryTimeBudgetSeconds: number | null;
}

export interface Finding {
  /** infeasible: an objective or a part of the policy cannot hold as written. warning: it holds, but not everywhere or not as it reads. */
  readonly severity: "infeasible" | "warning";
  /** Keys from the top of the policy file to the line that causes it. */
  readonly path: readonly string[];
  readonly message: string;
  readonly hint: string;
}

/** Everything about a policy that cannot hold, or reads better than it is, in the order of the file. */
export function findInfeasible(input: FeasibilityInput): Finding[] {
  return [...aboutJitter(input), ...input.backups.flatMap((backup) => aboutBackup(backup, input)), ...(input.log === null ? aboutMissingLog(input) : aboutLog(input.log, input))];
}

function aboutBackup(backup: FeasibilityBackup, { backups, objectives }: FeasibilityInput): Finding[] {
  const path = ["backups", backup.type];
  const full = backups.find((other) => other.type === "full");
  const findings = overBudget(backup.type, [...path, "recoveryTimeBudget"], backup.recoveryTimeBudgetSeconds, objectives.rtoSeconds);
  if (backup.type === "full" || full === undefined) return findings;
  const orphaned = backup.repositories.filter((repository) => !full.repositories.includes(repository));
  if (orphaned.length > 0) {
    findings.push({
      severity: "infeasible",
      path: [...path, "repositories"],
      message: `${backup.type} backups go to ${list(orphaned)}, where no full backup goes: a copy must restore by itself`,
      hint: `add ${list(orphaned)} to the repositories of full, or remove it here`,
    });
  }
  return [...findings, ...outlivesFull(backup, full), ...neverRuns(backup, backups)];
}

/** Work that waits longer than until its next slot would be passed over for it. */
function aboutJitter({ backups, jitterSeconds = 0 }: FeasibilityInput): Finding[] {
  const [tightest] = backups.map(({ type, schedule }) => ({ type, seconds: shortestIntervalSeconds(schedule) })).toSorted((a, b) => a.seconds - b.seconds);
  if (tightest === undefined || jitterSeconds < tightest.seconds) return [];
  const interval = formatDuration(tightest.seconds);
  return [
    {
      severity: "infeasible",
      path: ["jitter"],
      message: `a jitter of up to ${formatDuration(jitterSeconds)} reaches into the next slot: ${tightest.type} backups come every ${interval}`,
      hint: `less than ${interval}; a tenth of it spreads the load well enough`,
    },
  ];
}

/** A kept backup keeps its full: so its retention is in truth also that of fulls. */
function outlivesFull(backup: FeasibilityBackup, full: FeasibilityBackup): Finding[] {
  const [own, base] = [reachSeconds(backup), reachSeconds(full)];
  if (own <= base) return [];
  return [
    {
      severity: "warning",
      path: ["backups", backup.type, "retention"],
      message: `${backup.type} backups are kept up to ${formatDuration(own)}, full backups up to ${formatDuration(base)}: the full each was made from stays as long, held for it`,
      hint: `keep full backups at least ${formatDuration(own)}, or ${backup.type} backups not longer than ${formatDuration(base)}`,
    },
  ];
}

function neverRuns(backup: FeasibilityBackup, backups: readonly FeasibilityBackup[]): Finding[] {
  const slots = slotsBetween(backup.schedule, SAMPLE_FROM, SAMPLE_UNTIL, SAMPLE_SLOTS);
  const runs = slots.some((slot) => {
    const inputs = backups.map(({ type, schedule }) => ({ type, schedule, lastHandled: new Date(slot.getTime() - 1000) }));
    return dueWork(inputs, slot).decisions.some((decision) => decision.type === backup.type && decision.decision === "run");
  });
  if (runs) return [];
  return [
    {
      severity: "infeasible",
      path: ["backups", backup.type, "schedule"],
      message: `${backup.type} backups never run: each falls due within the same hour as a stronger backup`,
      hint: "choose another hour, or remove this type",
    },
  ];
}

function aboutMissingLog({ backups, objectives: { rpoSeconds }, canLog = true }: FeasibilityInput): Finding[] {
  const hint = canLog ? STREAM : `back up at least every ${formatDuration(rpoSeconds)}, or write the objective that can be held: objectives: { rpo: … }`;
  const lossSeconds = backupIntervalSeconds(backups);
  const loss = describeLoss(lossSeconds);
  const path = ["backups"];
  if (lossSeconds > rpoSeconds) {
    return [
      {
        severity: "infeasible",
        path,
        message: `${canLog ? "without log backups" : "between backups"} up to ${loss} of changes are lost, and the recovery point objective is ${formatDuration(rpoSeconds)}`,
        hint,
      },
    ];
  }
  if (!canLog) return [];
  return [
    {
      severity: "warning",
      path,
      message: `without log backups the source can only be brought back to the end of a backup, not to a time between (up to ${loss} apart)`,
      hint,
    },
  ];
}

function aboutLog(log: FeasibilityLog, input: FeasibilityInput): Finding[] {
  return [
    ...aboutLogInterval(log.schedule, input.objectives.rpoSeconds),
    ...aboutLogRetention(log, input.backups),
    ...aboutCopies(log, input),
    ...overBudget("log", ["backups", "log", "recoveryTimeBudget"], log.recoveryTimeBudgetSeconds, input.objectives.rtoSeconds),
  ];
}

const STREAM = "stream the log: log: { schedule: stream, … }";

function aboutLogInterval(schedule: FeasibilityLog["schedule"], rpoSeconds: number): Finding[] {
  if (schedule.kind === "stream") return [];
  const interval = intervalSeconds(schedule);
  if (interval < rpoSeconds) return [];
  const [loss, rpo] = [describeLoss(interval), formatDuration(rpoSeconds)];
  const path = ["backups", "log", "schedule"];
  if (interval > rpoSeconds)
    return [{ severity: "infeasible", path, message: `a log backup every ${loss} loses up to ${loss}, and the recovery point objective is ${rpo}`, hint: STREAM }];
  return [{ severity: "warning", path, message: `a log backup every ${loss} leaves no time to store it within the recovery point objective of ${rpo}`, hint: STREAM }];
}

/** WAL is of use from the start of a backup on: none is kept that long, and the window ends where the backups do. */
function aboutLogRetention(log: FeasibilityLog, backups: readonly FeasibilityBackup[]): Finding[] {
  const longest = Math.max(...backups.map(reachSeconds));
  if (log.retentionSeconds <= longest) return [];
  return [
    {
      severity: "warning",
      path: ["backups", "log", "retention"],
      message: `the log is kept ${formatDuration(log.retentionSeconds)}, but no backup to start from is kept longer than ${formatDuration(longest)}`,
      hint: `keep full backups at least ${formatDuration(log.retentionSeconds)}, or the log not longer than ${formatDuration(longest)}`,
    },
  ];
}

/** Each copy by itself: only where backups and log are together can it bring back a time between backups. */
function aboutCopies(log: FeasibilityLog, { backups, objectives }: FeasibilityInput): Finding[] {
  const path = ["backups", "log", "repositories"];
  const withBackups = [...new Set(backups.flatMap((backup) => backup.repositories))];
  const withoutLog = withBackups.filter((repository) => !log.repositories.includes(repository));
  const logOnly = log.repositories.filter((repository) => !withBackups.includes(repository));
  if (withoutLog.length === withBackups.length) {
    return [
      {
        severity: "infeasible",
        path,
        message: "no repository has both backups and the log, so no copy can bring back a time between backups",
        hint: `add ${list(withBackups.slice(0, 1))} to the repositories of log`,
      },
    ];
  }
  return [
    ...withoutLog.map((repository): Finding => {
      const stored = backups.filter((backup) => backup.repositories.includes(repository));
      const loss = describeLoss(backupIntervalSeconds(stored));
      const message = `the copy in '${repository}' has no log: by itself it loses up to ${loss}, and the recovery point objective is ${formatDuration(objectives.rpoSeconds)}`;
      return { severity: "warning", path, message, hint: `add '${repository}' to the repositories of log, or accept it as a copy for the loss of the others` };
    }),
    ...logOnly.map((repository): Finding => {
      return { severity: "warning", path, message: `'${repository}' holds the log but no backup to start from`, hint: `add '${repository}' to the repositories of full` };
    }),
  ];
}

function overBudget(type: BackupType | "log", path: readonly string[], budgetSeconds: number | null, rtoSeconds: number): Finding[] {
  if (budgetSeconds === null || budgetSeconds <= rtoSeconds) return [];
  const message = `recovery from ${type === "log" ? "the log" : `${type === "incremental" ? "an" : "a"} ${type} backup`} may take its budget of ${formatDuration(budgetSeconds)}, and the recovery time objective is ${formatDuration(rtoSeconds)}`;
  return [{ severity: "warning", path, message, hint: `lower the budget to ${formatDuration(rtoSeconds)}; drills measure whether it is held` }];
}

/** Any fixed time will do: schedules are looked at from here so that the same policy always has the same findings. A Monday. */
const SAMPLE_FROM = new Date(Date.UTC(2026, 0, 5));
const SAMPLE_UNTIL = new Date(Date.UTC(2036, 0, 5));

/** Enough to leave the hour of a stronger backup even with a slot every five minutes; each costs well under a millisecond. */
const SAMPLE_SLOTS = 60;

/** What is lost at worst between backups: the longest interval of the type that comes most often. */
function backupIntervalSeconds(backups: readonly FeasibilityBackup[]): number {
  return Math.min(...backups.map((backup) => intervalSeconds(backup.schedule)));
}

/** Looking through a cron expression takes some milliseconds, and a policy has many sources. */
const known = new WeakMap<Schedule, number>();

function intervalSeconds(schedule: Schedule): number {
  const seconds = known.get(schedule) ?? longestIntervalSeconds(schedule, SAMPLE_FROM) ?? Infinity;
  known.set(schedule, seconds);
  return seconds;
}

const PERIOD_SECONDS = { daily: 86_400, weekly: 7 * 86_400, monthly: 31 * 86_400, yearly: 366 * 86_400 } as const;

/** The age to which a rule keeps the oldest backup it wants, if the schedule is kept. */
function reachSeconds({ retention, schedule }: FeasibilityBackup): number {
  const last = retention.keepLast === null ? 0 : retention.keepLast * intervalSeconds(schedule);
  const periods = (["daily", "weekly", "monthly", "yearly"] as const).map((unit) => (retention[unit] ?? 0) * PERIOD_SECONDS[unit]);
  return Math.max(retention.keepForSeconds ?? 0, last, ...periods);
}

/** Two weeks of slots show a week's rhythm. */
function shortestIntervalSeconds(schedule: Schedule): number {
  if (schedule.kind === "every") return schedule.seconds;
  const slots = slotsBetween(schedule, SAMPLE_FROM, SAMPLE_UNTIL, SAMPLE_SLOTS);
  return Math.min(...slots.slice(1).map((slot, i) => (slot.getTime() - (slots[i]?.getTime() ?? 0)) / 1000));
}

function describeLoss(seconds: number): string {
  return Number.isFinite(seconds) ? formatDuration(seconds) : "everything since the last one";
}

function list(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}
