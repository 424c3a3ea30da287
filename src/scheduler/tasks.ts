import type { Command, CommandArgs } from "../catalog/commands.ts";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { BackupType } from "../domain/backup-id.ts";
import { mayBegin } from "../domain/window.ts";
import { dueSlots, dueWork } from "../domain/schedule.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { SourceConfig } from "../policy/types.ts";

/** The kinds of scheduled work, most urgent first. */
const TASK_OPERATIONS = ["log", "backup", "expire", "verify", "drill"] as const;
type TaskOperation = (typeof TASK_OPERATIONS)[number];

/** Something to do now, for the sake of one slot, or because somebody asked for it. Plain data: it travels to another thread. */
export interface Task {
  readonly source: string;
  readonly operation: TaskOperation;
  readonly type: BackupType | "log" | null;
  /** Null: no slot asks for it, but a command does. */
  readonly slot: string | null;
  readonly command: TaskCommand | null;
}

interface DueTask extends Task {
  readonly slot: string;
  readonly command: null;
}

/** What a job needs to know of the command that it carries out. */
interface TaskCommand {
  readonly id: string;
  readonly args: CommandArgs;
  readonly requestedBy: string;
}

/** Slots that will not be run, and why. More than one for an interval that is too long to list. */
export interface PassedOver {
  readonly source: string;
  readonly operation: TaskOperation;
  readonly type: BackupType | "log" | null;
  readonly outcome: "missed" | "superseded";
  readonly slot: string;
  readonly until: string | null;
  readonly slots: number;
  readonly reason: string;
}

export interface DueNow {
  readonly run: readonly DueTask[];
  readonly passedOver: readonly PassedOver[];
}

/** What the history says: the newest slot of each kind that was dealt with, and since when there is a backup to verify, drill and expire. */
export interface ScheduleHistory {
  lastHandled(operation: TaskOperation, type: string | null): Date | null;
  readonly firstBackupAt: Date | null;
}

const OLDER_REASON = "nothing ran at its time";

/** What is due for one source at `now`: a function of policy, history and time, whatever woke us. */
export function findDue(source: SourceConfig, history: ScheduleHistory, now: Date): DueNow {
  const backups = dueBackups(source, history, now);
  const others = otherSchedules(source).map(({ operation, type, schedule }) => dueOf(source, operation, type, schedule, history, now));
  return { run: [backups, ...others].flatMap((due) => due.run), passedOver: [backups, ...others].flatMap((due) => due.passedOver) };
}

function dueBackups(source: SourceConfig, history: ScheduleHistory, now: Date): DueNow {
  const inputs = [...source.policy.backups.values()].map(({ type, schedule }) => ({ type, schedule, lastHandled: history.lastHandled("backup", type) }));
  const { decisions, older } = dueWork(inputs, now);
  const common = { source: source.name, operation: "backup" } as const;
  const { heavy, blackout } = source.policy.windows;
  const windows = { heavy, blackout: blackout.map(({ window }) => window) };
  const at = { hasBackup: history.firstBackupAt !== null, now };
  return {
    run: decisions
      .filter(({ decision, type }) => decision === "run" && mayBegin(type, windows, at))
      .map(({ type, slot }) => ({ ...common, type, slot: slot.toISOString(), command: null })),
    passedOver: [
      ...older.map(({ type, from, until, count, reason }) => ({
        ...common,
        type,
        outcome: "missed" as const,
        slot: from.toISOString(),
        until: until.toISOString(),
        slots: count,
        reason,
      })),
      ...decisions.flatMap(({ type, slot, decision, reason }) =>
        decision === "run" ? [] : [{ ...common, type, outcome: decision, slot: slot.toISOString(), until: null, slots: 1, reason }],
      ),
    ],
  };
}

function otherSchedules({ policy }: SourceConfig): { operation: TaskOperation; type: "log" | null; schedule: Schedule }[] {
  const log = policy.log !== null && policy.log.schedule.kind !== "stream" ? [{ operation: "log" as const, type: "log" as const, schedule: policy.log.schedule }] : [];
  const verify = policy.verify === null ? [] : [{ operation: "verify" as const, type: null, schedule: policy.verify.schedule }];
  const drills = policy.drills === null ? [] : [{ operation: "drill" as const, type: null, schedule: policy.drills.schedule }];
  return [...log, { operation: "expire", type: null, schedule: policy.expire.schedule }, ...verify, ...drills];
}

/** All else begins with the first backup: before it there is nothing to do, and nothing is missed. WAL before it is of no use, and while it is made it brings its own. */
function dueOf(source: SourceConfig, operation: TaskOperation, type: "log" | null, schedule: Schedule, history: ScheduleHistory, now: Date): DueNow {
  const last = history.lastHandled(operation, type) ?? history.firstBackupAt;
  if (last === null) return { run: [], passedOver: [] };
  const { slot, missed, older } = dueSlots(schedule, last, now);
  if (slot === null) return { run: [], passedOver: [] };
  const common = { source: source.name, operation, type };
  const missedOne = (at: Date): PassedOver => ({
    ...common,
    outcome: "missed",
    slot: at.toISOString(),
    until: null,
    slots: 1,
    reason: `${OLDER_REASON}; the slot of ${slot.toISOString()} serves it`,
  });
  return {
    run: [{ ...common, slot: slot.toISOString(), command: null }],
    passedOver: [
      ...older.map(({ from, until, count, reason }) => ({ ...common, outcome: "missed" as const, slot: from.toISOString(), until: until.toISOString(), slots: count, reason })),
      ...missed.map(missedOne),
    ],
  };
}

/** A command as work for a job. It goes before what is due of its kind: somebody waits for it. */
export function taskOf({ id, kind, source, args, requestedBy }: Command): Task {
  const type = kind === "backup" ? (BACKUP_TYPES.find((known) => known === args["type"]) ?? "full") : null;
  return { source, operation: kind, type, slot: null, command: { id, args, requestedBy } };
}

/** How often other work of its source may be taken up while something is due. */
const PATIENCE = 3;

/** Waiting work of one source: how often other work was taken up while it was due. */
export type Waited = ReadonlyMap<TaskOperation, number>;

/** The most urgent first; but what was passed over often enough comes before all but the log, or a schedule that asks for more than there is time for would never see a drill. */
export function inTurn(tasks: readonly Task[], waited: Waited): Task[] {
  const turns = ({ operation }: Task): number => (operation === "log" ? Number.POSITIVE_INFINITY : (waited.get(operation) ?? 0));
  const claim = (task: Task): number => (turns(task) >= PATIENCE ? turns(task) : 0);
  return tasks.toSorted((a, b) => (claim(a) === claim(b) ? byUrgency(a, b) : claim(b) - claim(a)));
}

/** How long each operation has waited, once `taken` is taken up of what is due. */
export function afterTaking(taken: Task, due: readonly Task[], waited: Waited): Waited {
  const others = due.map(({ operation }) => operation).filter((operation) => operation !== taken.operation && operation !== "log");
  return new Map([...new Set(others)].map((operation) => [operation, (waited.get(operation) ?? 0) + 1]));
}

function byUrgency(a: Task, b: Task): number {
  return a.operation === b.operation ? (a.slot ?? "").localeCompare(b.slot ?? "") : TASK_OPERATIONS.indexOf(a.operation) - TASK_OPERATIONS.indexOf(b.operation);
}
