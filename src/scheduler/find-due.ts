import type { BackupType } from "../domain/backup-id.ts";
import { isoTime } from "../domain/iso-time.ts";
import { jitterSeconds } from "../domain/jitter.ts";
import { passOver, pauseAt } from "../domain/pause.ts";
import type { PassedSlots, Pause } from "../domain/pause.ts";
import { retryAt } from "../domain/retry.ts";
import { dueWork, isLaterSlotBy, newestDueSlot } from "../domain/schedule.ts";
import type { DueInput, Schedule } from "../domain/schedule.ts";
import { mayBegin } from "../domain/window.ts";
import type { SourceConfig } from "../policy/types.ts";
import type { DueTask, PassedOver, TaskOperation } from "./tasks.ts";

export interface DueNow {
  readonly run: readonly DueTask[];
  readonly passedOver: readonly PassedOver[];
}

/** What the history says: the newest slot of each kind that was dealt with and how, and since when there is a backup to verify, drill and expire. */
export interface ScheduleHistory {
  lastHandled(operation: TaskOperation, type: string | null): Date | null;
  /** The newest run of the newest slot, if it came to nothing for a reason that may pass. */
  lastFailure(operation: TaskOperation, type: string | null): FailedAttempt | null;
  readonly firstBackupAt: Date | null;
}

export interface FailedAttempt {
  readonly slot: Date;
  readonly attempt: number;
  readonly endedAt: Date;
}

interface Kind {
  readonly operation: TaskOperation;
  readonly type: BackupType | "log" | null;
  readonly schedule: Schedule;
}

interface Look {
  readonly source: SourceConfig;
  readonly history: ScheduleHistory;
  readonly now: Date;
  /** Past and present ones. */
  readonly pauses: readonly Pause[];
}

/** What is due for one source at `now`: a function of policy, history and time, whatever woke us. */
export function findDue(source: SourceConfig, history: ScheduleHistory, now: Date, pauses: readonly Pause[] = []): DueNow {
  const look: Look = { source, history, now, pauses };
  const kinds = kindsOf(source);
  const due = new Map<Kind, Date>();
  for (const kind of kinds) {
    const slot = dueSlot(look, kind);
    if (slot !== null) due.set(kind, slot);
  }
  if (due.size === 0) return { run: retries(look, kinds, due), passedOver: [] };
  if (pauseAt(pauses, now) !== null) return { run: [], passedOver: [...due.keys()].flatMap((kind) => heldBack(look, kind)) };
  const run: DueTask[] = [];
  const passedOver: PassedOver[] = [];
  let areBackupsKnown = false;
  for (const [kind, slot] of due) {
    if (kind.operation !== "backup") {
      run.push(taskFor(look, kind, slot, 1));
      passedOver.push(...before(look, kind, slot));
    } else if (!areBackupsKnown) {
      // All of them at once: the strongest type takes the place of others.
      const backups = dueBackups(look);
      run.push(...backups.run);
      passedOver.push(...backups.passedOver);
      areBackupsKnown = true;
    }
  }
  run.push(...retries(look, kinds, due));
  return { run, passedOver };
}

/** Kinds of work by schedule; asked for each look, and the same as long as the policy is. */
const known = new WeakMap<SourceConfig["policy"], readonly Kind[]>();

function kindsOf({ policy }: SourceConfig): readonly Kind[] {
  let kinds = known.get(policy);
  if (kinds === undefined) known.set(policy, (kinds = listKinds(policy)));
  return kinds;
}

function listKinds(policy: SourceConfig["policy"]): Kind[] {
  const backups = [...policy.backups.values()].map(({ type, schedule }): Kind => ({ operation: "backup", type, schedule }));
  const log: Kind[] = policy.log !== null && policy.log.schedule.kind !== "stream" ? [{ operation: "log", type: "log", schedule: policy.log.schedule }] : [];
  const verify: Kind[] = policy.verify === null ? [] : [{ operation: "verify", type: null, schedule: policy.verify.schedule }];
  const drills: Kind[] = policy.drills === null ? [] : [{ operation: "drill", type: null, schedule: policy.drills.schedule }];
  return [...backups, ...log, { operation: "expire", type: null, schedule: policy.expire.schedule }, ...verify, ...drills];
}

/** The newest slot that was dealt with. All but backups begins with the first of them: before it there is nothing to do, and nothing is missed. WAL before it is of no use, and while it is made it brings its own. */
function handledUntil({ history }: Look, { operation, type }: Kind): Date | null {
  const last = history.lastHandled(operation, type);
  return operation === "backup" ? last : (last ?? history.firstBackupAt);
}

function inputOf(look: Look, kind: Kind): Pick<DueInput, "schedule" | "lastHandled" | "delaySeconds"> {
  const { name, policy } = look.source;
  const jitter = kind.operation === "log" ? 0 : policy.jitterSeconds;
  return { schedule: kind.schedule, lastHandled: handledUntil(look, kind), ...(jitter === 0 ? {} : { delaySeconds: (slot: Date): number => jitterSeconds(name, slot, jitter) }) };
}

/** The newest slot of a kind that is due; null: none is. */
function dueSlot(look: Look, kind: Kind): Date | null {
  const last = handledUntil(look, kind);
  if (last === null && kind.operation !== "backup") return null;
  // What is asked twice a second of each source: whether the slot after the last one has come at all.
  if (last !== null && !isLaterSlotBy(kind.schedule, last, look.now)) return null;
  return newestDueSlot(inputOf(look, kind), look.now);
}

function dueBackups(look: Look): DueNow {
  const { source, history, now } = look;
  const kinds = kindsOf(source).filter(({ operation }) => operation === "backup");
  const inputs = kinds.flatMap((kind): DueInput[] => (isBackupType(kind.type) ? [{ type: kind.type, ...inputOf(look, kind) }] : []));
  const { decisions } = dueWork(inputs, now);
  const { heavy, blackout } = source.policy.windows;
  const windows = { heavy, blackout: blackout.map(({ window }) => window) };
  const at = { hasBackup: history.firstBackupAt !== null, now };
  const run: DueTask[] = [];
  const passedOver: PassedOver[] = [];
  for (const { type, slot, decision, reason } of decisions) {
    const kind = kinds.find((candidate) => candidate.type === type);
    // What lies before the newest slot is told apart below, by pauses.
    if (decision === "missed" || kind === undefined) continue;
    passedOver.push(...before(look, kind, slot));
    if (decision === "superseded") passedOver.push({ ...aboutSlots(look, kind), outcome: "superseded", slot: slot.toISOString(), until: null, slots: 1, reason });
    else if (mayBegin(type, windows, at)) run.push(taskFor(look, kind, slot, 1));
  }
  return { run, passedOver };
}

function isBackupType(type: Kind["type"]): type is BackupType {
  return type !== null && type !== "log";
}

/** Slots older than the one that is due now: nothing will run for them any more. */
function before(look: Look, kind: Kind, due: Date): PassedOver[] {
  const after = handledUntil(look, kind);
  const until = new Date(due.getTime() - 1);
  if (after === null || !isLaterSlotBy(kind.schedule, after, until)) return [];
  return passOver(kind.schedule, after, until, look.pauses).map((passed) => recordOf(look, kind, passed, `the slot of ${text(due)} serves it`));
}

/** While a source is paused its slots go on record now and then, not one by one: an entry is for ever. */
const HELD_BACK_MS = 6 * 3_600_000;

function heldBack(look: Look, kind: Kind): PassedOver[] {
  const after = handledUntil(look, kind);
  if (after === null) return [];
  const passed = passOver(kind.schedule, after, look.now, look.pauses);
  const [first] = passed;
  const isLate = first !== undefined && look.now.getTime() - first.from.getTime() >= HELD_BACK_MS;
  return isLate ? passed.map((stretch) => recordOf(look, kind, stretch, "the source was paused before it could be made up for")) : [];
}

/** Work whose newest slot failed, and whose time to try again has come. A later slot takes its place. */
function retries(look: Look, kinds: readonly Kind[], due: ReadonlyMap<Kind, Date>): DueTask[] {
  if (pauseAt(look.pauses, look.now) !== null) return [];
  const again: DueTask[] = [];
  for (const kind of kinds) {
    const failure = look.history.lastFailure(kind.operation, kind.type);
    const at = failure === null ? null : retryAt(failure.attempt, failure.endedAt);
    if (failure === null || at === null || at > look.now || due.has(kind) || !windowAllows(look, kind)) continue;
    again.push(taskFor(look, kind, failure.slot, failure.attempt + 1));
  }
  return again;
}

function windowAllows({ source, history, now }: Look, { type }: Kind): boolean {
  if (!isBackupType(type)) return true;
  const { heavy, blackout } = source.policy.windows;
  return mayBegin(type, { heavy, blackout: blackout.map(({ window }) => window) }, { hasBackup: history.firstBackupAt !== null, now });
}

function taskFor({ source }: Look, { operation, type, schedule }: Kind, slot: Date, attempt: number): DueTask {
  return { source: source.name, operation, type, slot: isoTime(slot.getTime()), attempt, schedule, late: null, command: null };
}

function aboutSlots({ source }: Look, { operation, type, schedule }: Kind): Pick<PassedOver, "source" | "operation" | "type" | "schedule"> {
  return { source: source.name, operation, type, schedule };
}

function recordOf(look: Look, kind: Kind, { outcome, from, until, slots, pauseReason }: PassedSlots, instead: string): PassedOver {
  return {
    ...aboutSlots(look, kind),
    outcome,
    slot: from.toISOString(),
    until: from.getTime() === until.getTime() ? null : until.toISOString(),
    slots,
    reason: outcome === "skipped" ? `paused: ${pauseReason ?? ""}` : `nothing ran at its time, and ${instead}`,
  };
}

function text(slot: Date): string {
  return `${slot.toISOString().slice(0, 19)}Z`;
}
