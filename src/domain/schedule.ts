import { Cron } from "croner";
import { BACKUP_TYPES } from "./backup-id.ts";
import type { BackupType } from "./backup-id.ts";
import { isKnownZone } from "./zone.ts";

/**
 * When something is due. A schedule is a set of moments, its slots; what is due follows from the slots, from what was handled, and from now.
 * Timers only wake us: a slot that passed while nobody was awake is still due, and a slot that was handled is never due again.
 */

/** When something is due. `every` is aligned to 00:00 UTC (an interval that divides a day always falls on the same times). */
export type Schedule = { readonly kind: "cron"; readonly expression: string; readonly zone: string } | { readonly kind: "every"; readonly seconds: number };

const HOUR_MS = 3_600_000;

/** Slots of one type that are listed one by one; a source that was away for a year must not fill the catalog. */
const MAX_LISTED_SLOTS = 1000;

/** Cron slots that are counted beyond the listed ones; each costs about 40 µs. Intervals are counted by arithmetic, without a limit. */
const MAX_COUNTED_SLOTS = 10_000;

/** Steps of at least one slot and one hour in which a cron expression is looked through for its longest interval: a year of daily slots, a fortnight of hourly ones. */
const MAX_SAMPLES = 400;

/** What is wrong with a cron expression and its zone, or null. Five fields (or `@weekly` and its like), a zone by its IANA name, and at least one slot in the next years. */
export function cronProblem(expression: string, zone: string): string | null {
  if (!isKnownZone(zone)) return "names a time zone that does not exist";
  if (expression.trim().split(/\s+/).length !== 5 && !/^@[a-z]+$/.test(expression)) return "must be a cron expression of five fields";
  try {
    const cron = new Cron(expression, { timezone: zone, mode: "5-part" });
    return cron.nextRun(new Date(0)) === null ? "never comes: no date fits it" : null;
  } catch {
    return "must be a cron expression of five fields";
  }
}

/** The first slot later than `after`; null if there is none any more. */
export function nextSlot(schedule: Schedule, after: Date): Date | null {
  if (schedule.kind === "cron") return cronSlotsAround(schedule, after).next;
  const ms = schedule.seconds * 1000;
  return new Date((Math.floor(after.getTime() / ms) + 1) * ms);
}

/** Whether there is a slot in (after, until]. */
export function isLaterSlotBy(schedule: Schedule, after: Date, until: Date): boolean {
  if (schedule.kind === "cron") {
    const { next, fromMs, untilMs } = cronSlotsAround(schedule, after);
    return fromMs < untilMs ? untilMs <= until.getTime() : next !== null && next <= until;
  }
  const ms = schedule.seconds * 1000;
  return (Math.floor(after.getTime() / ms) + 1) * ms <= until.getTime();
}

/** The newest slot not later than `at`; null if there was none yet. */
export function previousSlot(schedule: Schedule, at: Date): Date | null {
  if (schedule.kind === "cron") return cronSlotsAround(schedule, at).previous;
  const ms = schedule.seconds * 1000;
  return new Date(Math.floor(at.getTime() / ms) * ms);
}

/** The slots in `(after, until]`, oldest first; the first `limit` of them. */
export function slotsBetween(schedule: Schedule, after: Date, until: Date, limit: number): Date[] {
  const slots: Date[] = [];
  for (let slot = nextSlot(schedule, after); slot !== null && slot <= until && slots.length < limit; slot = nextSlot(schedule, slot)) slots.push(slot);
  return slots;
}

/** How many slots lie in `(after, until]`; at least so many if not `exact`. */
export function countSlots(schedule: Schedule, after: Date, until: Date): { readonly count: number; readonly exact: boolean } {
  if (schedule.kind === "every") {
    const ms = schedule.seconds * 1000;
    return { count: Math.max(0, Math.floor(until.getTime() / ms) - Math.floor(after.getTime() / ms)), exact: true };
  }
  const count = slotsBetween(schedule, after, until, MAX_COUNTED_SLOTS + 1).length;
  return { count: Math.min(count, MAX_COUNTED_SLOTS), exact: count <= MAX_COUNTED_SLOTS };
}

/** The longest time from one slot to the next, in seconds, as seen in the time after `from`: what lies in between is what a schedule can lose. Null if it has no next slot. */
export function longestIntervalSeconds(schedule: Schedule, from: Date): number | null {
  if (schedule.kind === "every") return schedule.seconds;
  let longest: number | null = null;
  let [at, before] = [from, previousSlot(schedule, from)];
  for (let sample = 0; sample < MAX_SAMPLES; sample++) {
    const after = nextSlot(schedule, at);
    if (after === null) return longest;
    if (before !== null) longest = Math.max(longest ?? 0, secondsBetween(before, after));
    // Every interval longer than an hour has one of these moments in it.
    at = new Date(Math.max(after.getTime(), at.getTime() + HOUR_MS));
    before = at.getTime() === after.getTime() ? after : previousSlot(schedule, at);
  }
  return longest;
}

export interface DueInput {
  readonly type: BackupType;
  readonly schedule: Schedule;
  /** The newest slot that was run, superseded or missed for this type; null: none yet, and the newest slot there was is due at once. */
  readonly lastHandled: Date | null;
  /** How much later than its slot it begins: a second slot that comes meanwhile takes its place. Left out: at once. */
  readonly delaySeconds?: (slot: Date) => number;
}

interface SlotDecision {
  readonly type: BackupType;
  readonly slot: Date;
  /** All three count as handled once recorded. */
  readonly decision: "run" | "superseded" | "missed";
  readonly reason: string;
}

/** Missed slots that are too many to list. */
interface MissedInterval {
  readonly type: BackupType;
  /** First and last slot of the interval. */
  readonly from: Date;
  readonly until: Date;
  /** How many slots; at least so many if not `exact`. */
  readonly count: number;
  readonly exact: boolean;
  readonly reason: string;
}

export interface DueWork {
  /** By slot, and at one slot the strongest type first. At most 1000 of each type. */
  readonly decisions: readonly SlotDecision[];
  /** What is older than the listed decisions. */
  readonly older: readonly MissedInterval[];
}

/**
 * What is due now for one source. Of each type only the newest due slot can run: a backup made now serves every slot before it, which are `missed`.
 * Where several types fall due within one hour of the clock (UTC) the strongest runs and the others are `superseded`, whichever comes first within the hour.
 */
export function dueWork(inputs: readonly DueInput[], now: Date): DueWork {
  const byStrength = BACKUP_TYPES.flatMap((type) => inputs.filter((input) => input.type === type));
  const decisions: SlotDecision[] = [];
  const older: MissedInterval[] = [];
  const running: SlotDecision[] = [];
  for (const [rank, input] of byStrength.entries()) {
    const slot = newestDueSlot(input, now);
    if (slot === null) continue;
    const superseded = supersededBecause(input, { slot, stronger: byStrength.slice(0, rank), running });
    const decision: SlotDecision = { type: input.type, slot, decision: superseded === null ? "run" : "superseded", reason: superseded ?? "due" };
    if (superseded === null) running.push(decision);
    const missed = missedBefore(input, slot);
    decisions.push(decision, ...missed.slots);
    older.push(...missed.older);
  }
  return { decisions: decisions.toSorted(bySlotAndStrength), older };
}

/** The newest slot whose time has come and that was not handled; null: there is none. */
export function newestDueSlot({ schedule, lastHandled, delaySeconds }: Pick<DueInput, "schedule" | "lastHandled" | "delaySeconds">, now: Date): Date | null {
  let slot = previousSlot(schedule, now);
  while (slot !== null && delaySeconds !== undefined && slot.getTime() + delaySeconds(slot) * 1000 > now.getTime()) slot = slotBefore(schedule, slot);
  return slot !== null && (lastHandled === null || slot > lastHandled) ? slot : null;
}

/** Why a due slot need not run; null if it must. `stronger` are all stronger types of the source, `running` those that run now. */
function supersededBecause(input: DueInput, { slot, stronger, running }: { slot: Date; stronger: readonly DueInput[]; running: readonly SlotDecision[] }): string | null {
  for (const other of stronger) {
    const beside = running.find((run) => run.type === other.type && hourOf(run.slot) === hourOf(slot))?.slot ?? slotWithinHour(other.schedule, slot);
    if (beside !== null) return `the ${other.type} backup of ${text(beside)} falls due within the same hour`;
  }
  const [first] = running;
  return first !== undefined && input.lastHandled === null ? `the first ${input.type} backup follows the ${first.type} backup that runs now` : null;
}

/** A slot in the same hour of the clock. None if the schedule has slots every hour: then it would never let a weaker type run at all. */
function slotWithinHour(schedule: Schedule, slot: Date): Date | null {
  const endMs = (hourOf(slot) + 1) * HOUR_MS;
  const found = previousSlot(schedule, new Date(endMs - 1));
  if (found === null || hourOf(found) !== hourOf(slot)) return null;
  const next = nextSlot(schedule, found);
  return next !== null && next.getTime() - found.getTime() <= HOUR_MS ? null : found;
}

/** What was due before the newest due slot: the newest of it one by one, the rest as one interval. */
function missedBefore({ type, schedule, lastHandled }: DueInput, due: Date): { slots: SlotDecision[]; older: MissedInterval[] } {
  if (lastHandled === null) return { slots: [], older: [] };
  const reason = `nothing ran at its time, and the slot of ${text(due)} serves it`;
  const slots: SlotDecision[] = [];
  let slot = slotBefore(schedule, due);
  while (slot !== null && slot > lastHandled && slots.length < MAX_LISTED_SLOTS - 1) {
    slots.push({ type, slot, decision: "missed", reason });
    slot = slotBefore(schedule, slot);
  }
  if (slot === null || slot <= lastHandled) return { slots, older: [] };
  return { slots, older: [{ type, reason, ...countBetween(schedule, lastHandled, slot) }] };
}

/** `until` is a slot later than `after`. */
function countBetween(schedule: Schedule, after: Date, until: Date): Pick<MissedInterval, "from" | "until" | "count" | "exact"> {
  const from = nextSlot(schedule, after) ?? until;
  return { from, until, ...countSlots(schedule, after, until) };
}

function slotBefore(schedule: Schedule, slot: Date): Date | null {
  return previousSlot(schedule, new Date(slot.getTime() - 1000));
}

/** The two slots of a cron schedule that a moment lies between: the newest not later than it, and the first later one. */
interface Around {
  readonly previous: Date | null;
  readonly next: Date | null;
  /** From the one to the other, as numbers: this is asked of seven kinds of work of a thousand sources twice a second. Empty where one of the two is missing. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What was asked last of each schedule, the newest first: a thousand sources share one policy, and time is asked for again and again between the same few slots. */
const lastAround = new WeakMap<Schedule, readonly Around[]>();
const MOST_AROUND = 4;

function cronSlotsAround(schedule: Schedule & { kind: "cron" }, at: Date): Around {
  const known = lastAround.get(schedule) ?? [];
  const ms = at.getTime();
  for (const around of known) if (around.fromMs <= ms && ms < around.untilMs) return around;
  const cron = compile(schedule);
  // Croner looks strictly before its reference, except within the reference's own second: so one millisecond later finds a slot at `at` itself.
  const [previous, next] = [cron.previousRuns(1, new Date(ms + 1))[0] ?? null, cron.nextRun(at)];
  const around = { previous, next, ...(previous === null || next === null ? NOWHERE : { fromMs: previous.getTime(), untilMs: next.getTime() }) };
  lastAround.set(schedule, [around, ...known.slice(0, MOST_AROUND - 1)]);
  return around;
}

const NOWHERE = { fromMs: 0, untilMs: 0 };

/** Building a Cron costs as much as asking it, and a schedule lives as long as its policy: so the one goes with the other. */
const compiled = new WeakMap<Schedule, Cron>();

function compile(schedule: Schedule & { kind: "cron" }): Cron {
  const known = compiled.get(schedule);
  if (known !== undefined) return known;
  const cron = new Cron(schedule.expression, { timezone: schedule.zone, mode: "5-part" });
  compiled.set(schedule, cron);
  return cron;
}

function bySlotAndStrength(a: SlotDecision, b: SlotDecision): number {
  const [left, right] = [a.slot.getTime(), b.slot.getTime()];
  return left === right ? BACKUP_TYPES.indexOf(a.type) - BACKUP_TYPES.indexOf(b.type) : left - right;
}

function hourOf(date: Date): number {
  return Math.floor(date.getTime() / HOUR_MS);
}

function secondsBetween(a: Date, b: Date): number {
  return (b.getTime() - a.getTime()) / 1000;
}

function text(slot: Date): string {
  return `${slot.toISOString().slice(0, 19)}Z`;
}
