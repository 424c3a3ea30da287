import type { BackupType } from "./backup-id.ts";
import { findInfeasible } from "./feasibility.ts";
import type { FeasibilityBackup, FeasibilityInput } from "./feasibility.ts";
import { describeRetention, describeSchedule } from "./schedule-words.ts";
import { dueWork, longestIntervalSeconds, nextSlot } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";

/** What a policy says, for people: what runs when, what is kept where until when, and which objectives that can hold. */

/** How a repository locks what is written in it. */
export interface LockRule {
  readonly mode: "governance" | "compliance";
  /** Beyond what retention wants. */
  readonly marginSeconds: number;
}

export interface ExplainInput extends FeasibilityInput {
  /** Of the repositories that lock. */
  readonly locks?: ReadonlyMap<string, LockRule>;
  readonly verify: Schedule | null;
  readonly drills: Schedule | null;
  readonly expire: Schedule;
  readonly now: Date;
}

export interface ExplainedRun {
  readonly type: BackupType | "log" | "verify" | "drill" | "expire";
  readonly when: string;
  /** The next slots that run, oldest first; empty for a stream. */
  readonly next: readonly Date[];
  /** Slots of the next 92 days at which a stronger backup runs in its place. */
  readonly superseded: number | null;
  readonly kept: string | null;
  readonly repositories: readonly string[];
  readonly recoveryTimeBudgetSeconds: number | null;
}

export interface ExplainedCopy {
  readonly repository: string;
  /** Whether the log is streamed here, comes on schedule, or not at all. */
  readonly log: "streamed" | "scheduled" | null;
  /** From one log backup (without a log: one backup) to the next: what this copy by itself loses at worst. Null where it is streamed, and where nothing more comes. */
  readonly lossSeconds: number | null;
  readonly holdsRpo: boolean;
  /** Length of the window in which any time can be brought back; null: only the ends of backups. */
  readonly windowSeconds: number | null;
  /** Null: nothing in it is locked, or no inventory says. */
  readonly lock: ExplainedLock | null;
}

/** For how long what is written in a copy can be deleted by nobody. */
interface ExplainedLock extends LockRule {
  /** By type, counted from when a backup begins; what a count keeps for longer is locked on by the expiry. */
  readonly backups: readonly { readonly type: BackupType; readonly seconds: number }[];
  /** Of each WAL segment; null: no log comes here. */
  readonly walSeconds: number | null;
}

export interface Explanation {
  readonly runs: readonly ExplainedRun[];
  readonly copies: readonly ExplainedCopy[];
  /** The longest recovery-time budget: what the policy itself allows a recovery to take. */
  readonly slowestBudgetSeconds: number | null;
}

export function explainPolicy(input: ExplainInput): Explanation {
  const { backups, log, now } = input;
  const budgets = [...backups, ...(log === null ? [] : [log])].flatMap(({ recoveryTimeBudgetSeconds }) => recoveryTimeBudgetSeconds ?? []);
  return {
    runs: [...backups.map((backup) => explainBackup(backup, backups, now)), ...explainLog(input), ...explainOthers(input)],
    copies: explainCopies(input),
    slowestBudgetSeconds: budgets.length === 0 ? null : Math.max(...budgets),
  };
}

/** Whether a policy could hold an objective at all, by the same findings that `validate` shows. */
export function canHoldRpo({ backups, log }: Pick<FeasibilityInput, "backups" | "log">, rpoSeconds: number): "yes" | "barely" | "no" {
  const findings = findInfeasible({ backups, log, objectives: { rpoSeconds, rtoSeconds: Infinity } }).filter(({ path }) => isAboutLoss(path));
  if (findings.some(({ severity }) => severity === "infeasible")) return "no";
  return findings.length > 0 ? "barely" : "yes";
}

const isAboutLoss = (path: readonly string[]): boolean => path.length === 1 || (path[1] === "log" && path[2] === "schedule");

const SHOWN = 3;
/** A quarter shows what weeks and months have in common; a slot a minute would make even that long. */
const LOOK_AHEAD_MS = 92 * 86_400_000;
const MAX_SLOTS = 1000;

function explainBackup(backup: FeasibilityBackup, all: readonly FeasibilityBackup[], now: Date): ExplainedRun {
  const next: Date[] = [];
  let superseded = 0;
  const end = new Date(now.getTime() + LOOK_AHEAD_MS);
  let slot = nextSlot(backup.schedule, now);
  for (let i = 0; slot !== null && slot <= end && i < MAX_SLOTS; i++) {
    if (!runsAt(backup, all, slot)) superseded += 1;
    else if (next.length < SHOWN) next.push(slot);
    slot = nextSlot(backup.schedule, slot);
  }
  const { type, schedule, retention, repositories, recoveryTimeBudgetSeconds } = backup;
  return { type, when: describeSchedule(schedule), next, superseded, kept: describeRetention(retention), repositories, recoveryTimeBudgetSeconds };
}

/** As the scheduler decides it, when everything before was done in time. */
function runsAt(backup: FeasibilityBackup, all: readonly FeasibilityBackup[], slot: Date): boolean {
  const inputs = all.map(({ type, schedule }) => ({ type, schedule, lastHandled: new Date(slot.getTime() - 1000) }));
  return dueWork(inputs, slot).decisions.some(({ type, decision }) => type === backup.type && decision === "run");
}

function explainLog({ log, now }: ExplainInput): ExplainedRun[] {
  if (log === null) return [];
  const { schedule, repositories, retentionSeconds, recoveryTimeBudgetSeconds } = log;
  const kept = `${describeRetention({ ...NOTHING, keepForSeconds: retentionSeconds })}, from the backup before it on`;
  return [
    {
      type: "log",
      when: describeSchedule(schedule),
      next: schedule.kind === "stream" ? [] : nextSlots(schedule, now),
      superseded: null,
      kept,
      repositories,
      recoveryTimeBudgetSeconds,
    },
  ];
}

const NOTHING = { keepForSeconds: null, keepLast: null, daily: null, weekly: null, monthly: null, yearly: null } as const;

function explainOthers({ verify, drills, expire, now }: ExplainInput): ExplainedRun[] {
  const of = (type: ExplainedRun["type"], schedule: Schedule | null): ExplainedRun[] =>
    schedule === null
      ? []
      : [{ type, when: describeSchedule(schedule), next: nextSlots(schedule, now), superseded: null, kept: null, repositories: [], recoveryTimeBudgetSeconds: null }];
  return [...of("verify", verify), ...of("drill", drills), ...of("expire", expire)];
}

function nextSlots(schedule: Schedule, now: Date): Date[] {
  const slots: Date[] = [];
  for (let slot = nextSlot(schedule, now); slot !== null && slots.length < SHOWN; slot = nextSlot(schedule, slot)) slots.push(slot);
  return slots;
}

function explainLock({ backups, log, locks }: ExplainInput, repository: string): ExplainedLock | null {
  const rule = locks?.get(repository);
  if (rule === undefined) return null;
  const here = backups.filter(({ repositories }) => repositories.includes(repository));
  return {
    ...rule,
    backups: here.map(({ type, retention }) => ({ type, seconds: (retention.keepForSeconds ?? 0) + rule.marginSeconds })),
    walSeconds: log?.repositories.includes(repository) === true ? log.retentionSeconds + rule.marginSeconds : null,
  };
}

function explainCopies(input: ExplainInput): ExplainedCopy[] {
  const { backups, log, objectives, now } = input;
  const names = new Set(backups.flatMap(({ repositories }) => repositories));
  return [...names].map((repository): ExplainedCopy => {
    const stored = backups.filter(({ repositories }) => repositories.includes(repository));
    const hasLog = log?.repositories.includes(repository) === true;
    const lock = explainLock(input, repository);
    if (hasLog && log.schedule.kind === "stream") return { repository, log: "streamed", lossSeconds: null, holdsRpo: true, windowSeconds: log.retentionSeconds, lock };
    const schedules = hasLog ? [log.schedule] : stored.map(({ schedule }) => schedule);
    const losses = schedules.flatMap((schedule) => (schedule.kind === "stream" ? [] : (longestIntervalSeconds(schedule, now) ?? [])));
    const lossSeconds = losses.length === 0 ? null : Math.min(...losses);
    const holdsRpo = lossSeconds !== null && lossSeconds <= objectives.rpoSeconds;
    return { repository, log: hasLog ? "scheduled" : null, lossSeconds, holdsRpo, windowSeconds: hasLog ? log.retentionSeconds : null, lock };
  });
}
