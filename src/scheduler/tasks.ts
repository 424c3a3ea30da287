import type { Command, CommandArgs } from "../catalog/commands.ts";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { BackupType } from "../domain/backup-id.ts";
import type { Schedule } from "../domain/schedule.ts";

/** The kinds of scheduled work, most urgent first. */
const TASK_OPERATIONS = ["log", "backup", "expire", "verify", "drill"] as const;
export type TaskOperation = (typeof TASK_OPERATIONS)[number];

/** Something to do now, for the sake of one slot, or because somebody asked for it. Plain data: it travels to another thread. */
export interface Task {
  readonly source: string;
  readonly operation: TaskOperation;
  readonly type: BackupType | "log" | null;
  /** Null: no slot asks for it, but a command does. */
  readonly slot: string | null;
  /** 1, and more where it failed for this slot before. */
  readonly attempt: number;
  /** Of the slot. */
  readonly schedule: Schedule | null;
  /** Why it begins later than its slot; null: it does not. */
  readonly late: string | null;
  readonly command: TaskCommand | null;
}

export interface DueTask extends Task {
  readonly slot: string;
  readonly schedule: Schedule;
  readonly command: null;
}

/** What a job needs to know of the command that it carries out. */
interface TaskCommand {
  readonly id: string;
  readonly args: CommandArgs;
  readonly requestedBy: string;
}

/** Slots that will not be run, and why: one, or an interval of them. */
export interface PassedOver {
  readonly source: string;
  readonly operation: TaskOperation;
  readonly type: BackupType | "log" | null;
  readonly schedule: Schedule;
  readonly outcome: "missed" | "superseded" | "skipped";
  readonly slot: string;
  readonly until: string | null;
  readonly slots: number;
  readonly reason: string;
}

/** A command as work for a job. It goes before what is due of its kind: somebody waits for it. */
export function taskOf({ id, kind, source, args, requestedBy }: Command): Task {
  const type = kind === "backup" ? (BACKUP_TYPES.find((known) => known === args["type"]) ?? "full") : null;
  return { source, operation: kind, type, slot: null, attempt: 1, schedule: null, late: null, command: { id, args, requestedBy } };
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
