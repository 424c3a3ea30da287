import { nextSlot, previousSlot } from "../domain/schedule.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull, timeOf, timeOrNull, timeValue } from "./catalog.ts";
import type { HistoryEntry } from "./history-entry.ts";
import { addToTotals } from "./run-totals.ts";
import { keepSchedule, SCHEDULE_NUMBER, SCHEDULE_TEXT } from "./schedules.ts";

/**
 * Slots of frequent work (log backups, expiry) that were done in their time: stored as intervals, never one by one. A thousand sources have 35 million slots a year for their logs, and in an interval of
 * a day they are a thousand rows a day. An interval ends with the UTC day, and where a slot was not done, came late, or the schedule changed; what is not like its neighbours has a record of its own.
 *
 * What a job did is in the catalog at once, and in the evidence with the next entry `run.slots`: at most an hour later, and before anything that ended otherwise is put on record. Until then
 * `pending_from` says from which slot on.
 */
export interface SlotDone {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly slot: Date;
  readonly schedule: Schedule;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  /** Why it is not like others; null: done in its time. */
  readonly reason: string | null;
  readonly figures: object;
}

/** Slots that follow each other, as they stand in an entry. */
export interface SlotInterval {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly schedule: Schedule;
  readonly from: string;
  readonly until: string;
  readonly slots: number;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly reason: string | null;
  /** Of the newest slot. */
  readonly figures: object;
}

/** Brings a slot that was done into the catalog. Its entry is written later, by `pendingIntervals`. */
export function recordSlotDone(catalog: Catalog, done: SlotDone): void {
  const slotMs = done.slot.getTime();
  const values = {
    ...keyOf(done),
    slot: slotMs,
    dayStart: dayOf(slotMs),
    previous: previousMs(done.schedule, slotMs),
    finishedAt: done.finishedAt.getTime(),
    facts: JSON.stringify(done.figures),
  };
  const extended = catalog.run(
    `update runs set until = :slot, slots = slots + 1, finished_at = :finishedAt, facts = :facts, pending_from = coalesce(pending_from, :slot), pending_slots = pending_slots + 1
     where ${EXTENDED}`,
    values,
  );
  if (extended > 0) return;
  const slot = done.slot.toISOString();
  insertInterval(catalog, { ...intervalOf(done), from: slot, until: slot, slots: 1 }, 1);
}

const OF_SCHEDULE = `schedule = ${SCHEDULE_NUMBER}`;

/** The interval that ends with the slot before: found along the index of slots, among the few of one day. */
const EXTENDED = `source = :source and operation = :operation and type is :type and scheduled_for >= :dayStart and scheduled_for < :slot
  and until = :previous and outcome = 'succeeded' and reason is :reason and ${OF_SCHEDULE}`;

/** What is not in the evidence yet, at most `limit` intervals; of one source, or of all. */
export function pendingIntervals(catalog: Catalog, source: string | null, limit: number): SlotInterval[] {
  const where = source === null ? "" : "and source = :source";
  return catalog
    .all(`select runs.*, ${SCHEDULE_TEXT} as schedule_text from runs where pending_from is not null ${where} order by source, pending_from limit :limit`, {
      limit,
      ...(source === null ? {} : { source }),
    })
    .map((row) => ({
      source: textOf(row, "source"),
      operation: textOf(row, "operation"),
      type: textOrNull(row, "type"),
      schedule: parseSchedule(textOf(row, "schedule_text")),
      from: timeOf(row, "pending_from"),
      until: timeOf(row, "until"),
      slots: numberOrNull(row, "pending_slots") ?? 0,
      startedAt: timeOf(row, "started_at"),
      finishedAt: timeOf(row, "finished_at"),
      reason: textOrNull(row, "reason"),
      figures: JSON.parse(textOf(row, "facts")) as object,
    }));
}

/** When the oldest slot that is not in the evidence yet was due; null: all are. */
export function oldestPending(catalog: Catalog): string | null {
  const [row] = catalog.all("select min(pending_from) as at from runs where pending_from is not null");
  return row === undefined ? null : timeOrNull(row, "at");
}

/** Brings an entry `run.slots` into the history: what the catalog knew already is no longer pending, what it did not know is added. Doing it twice changes nothing. */
export function applySlots(catalog: Catalog, entry: HistoryEntry): void {
  for (const interval of intervalsOf(entry)) {
    if (settleWhole(catalog, interval)) continue;
    const row = intervalBefore(catalog, interval);
    if (row !== null && isCovered(row, interval)) settle(catalog, row, interval);
    else if (row !== null && follows(row, interval)) extendBy(catalog, row, interval);
    else insertInterval(catalog, interval, 0);
  }
}

/** The usual case, in one step: nothing was done since the entry was made. */
function settleWhole(catalog: Catalog, interval: SlotInterval): boolean {
  const { source, operation, type, from, until, slots, startedAt } = interval;
  const settled = catalog.all(
    `update runs set pending_from = null, pending_slots = 0 where source = :source and operation = :operation and type is :type and scheduled_for >= :dayStart and scheduled_for <= :from
       and pending_from = :from and pending_slots = :slots and until = :until returning id`,
    { source, operation, type, from: timeValue(from), until: timeValue(until), slots, dayStart: dayOf(timeValue(from)) },
  );
  const [row] = settled;
  if (row === undefined) return false;
  count(catalog, textOf(row, "id"), startedAt, interval);
  return true;
}

function intervalBefore(catalog: Catalog, { from, ...interval }: SlotInterval): SqlRow | null {
  const [row] = catalog.all(
    `select * from runs where source = :source and operation = :operation and type is :type and scheduled_for >= :dayStart and scheduled_for <= :from
       and until is not null and outcome = 'succeeded' and reason is :reason and ${OF_SCHEDULE} order by scheduled_for desc limit 1`,
    { ...keyOf(interval), dayStart: dayOf(timeValue(from)), from: timeValue(from) },
  );
  return row ?? null;
}

function isCovered(row: SqlRow, { until }: SlotInterval): boolean {
  return (numberOrNull(row, "until") ?? 0) >= timeValue(until);
}

function settle(catalog: Catalog, row: SqlRow, interval: SlotInterval): void {
  if (timeOrNull(row, "pending_from") !== interval.from) return;
  const left = (numberOrNull(row, "pending_slots") ?? 0) - interval.slots;
  const next = left > 0 ? nextSlot(interval.schedule, new Date(interval.until)) : null;
  catalog.run("update runs set pending_from = :from, pending_slots = :left where id = :id", { id: textOf(row, "id"), from: next?.getTime() ?? null, left: Math.max(0, left) });
  count(catalog, textOf(row, "id"), timeOf(row, "started_at"), interval);
}

function follows(row: SqlRow, { schedule, from }: SlotInterval): boolean {
  return nextSlot(schedule, new Date(timeOf(row, "until")))?.toISOString() === from && timeOrNull(row, "pending_from") === null;
}

function extendBy(catalog: Catalog, row: SqlRow, interval: SlotInterval): void {
  const { until, slots, finishedAt, figures } = interval;
  const id = textOf(row, "id");
  catalog.run("update runs set until = :until, slots = slots + :slots, finished_at = :finishedAt, facts = :facts where id = :id", {
    id,
    until: timeValue(until),
    slots,
    finishedAt: timeValue(finishedAt),
    facts: JSON.stringify(figures),
  });
  count(catalog, id, timeOf(row, "started_at"), interval);
}

function insertInterval(catalog: Catalog, interval: SlotInterval, pendingSlots: number): void {
  const id = `${interval.from.replaceAll(/[-:.]/g, "")}-${interval.operation}-${interval.source}`;
  const key = keyOf(interval);
  keepSchedule(catalog, key.schedule);
  const inserted = catalog.run(
    `insert into runs (id, source, operation, type, trigger, scheduled_for, started_at, finished_at, outcome, reason, slots, until, holder, facts, sequence, schedule, pending_from, pending_slots)
     values (:id, :source, :operation, :type, 'schedule', :from, :startedAt, :finishedAt, 'succeeded', :reason, :slots, :until, null, :facts, 0, ${SCHEDULE_NUMBER}, :pendingFrom, :pendingSlots)
     on conflict (id) do nothing`,
    {
      ...key,
      id,
      from: timeValue(interval.from),
      until: timeValue(interval.until),
      slots: interval.slots,
      startedAt: timeValue(interval.startedAt),
      finishedAt: timeValue(interval.finishedAt),
      facts: JSON.stringify(interval.figures),
      pendingFrom: pendingSlots > 0 ? timeValue(interval.from) : null,
      pendingSlots,
    },
  );
  if (inserted > 0) addToTotals(catalog, { ...key, outcome: "succeeded", at: interval.startedAt, id }, interval.slots - pendingSlots);
}

function count(catalog: Catalog, id: string, at: string, interval: SlotInterval): void {
  addToTotals(catalog, { source: interval.source, operation: interval.operation, type: interval.type, outcome: "succeeded", at, id }, interval.slots);
}

interface Keyed {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly reason: string | null;
  readonly schedule: Schedule;
}

function keyOf({ source, operation, type, reason, schedule }: Keyed): Record<"source" | "operation", string> & { type: string | null; reason: string | null; schedule: string } {
  return { source, operation, type, reason, schedule: scheduleText(schedule) };
}

const texts = new WeakMap<Schedule, string>();

/** Always the same text for the same schedule. */
function scheduleText(schedule: Schedule): string {
  let text = texts.get(schedule);
  if (text === undefined) {
    const { kind } = schedule;
    text = JSON.stringify(kind === "every" ? { kind, seconds: schedule.seconds } : { kind, expression: schedule.expression, zone: schedule.zone });
    texts.set(schedule, text);
  }
  return text;
}

function intervalOf(done: SlotDone): Omit<SlotInterval, "from" | "until" | "slots"> {
  const { source, operation, type, schedule, startedAt, finishedAt, reason, figures } = done;
  return { source, operation, type, schedule, startedAt: startedAt.toISOString(), finishedAt: finishedAt.toISOString(), reason, figures };
}

/** The slot before another; null: there is none. */
function previousMs(schedule: Schedule, slotMs: number): number | null {
  if (schedule.kind === "every") return slotMs - schedule.seconds * 1000;
  return previousSlot(schedule, new Date(slotMs - 1))?.getTime() ?? null;
}

const DAY_MS = 86_400_000;

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
}

const parsed = new Map<string, Schedule>();

/** The same object for the same text: there are a handful, and what is known of a schedule is kept with it. */
function parseSchedule(text: string): Schedule {
  let schedule = parsed.get(text);
  if (schedule === undefined) parsed.set(text, (schedule = JSON.parse(text) as Schedule));
  return schedule;
}

/** What an entry says of each source, taken apart: sources with the same slots share a group. */
function intervalsOf({ facts }: HistoryEntry): SlotInterval[] {
  const groups = Array.isArray(facts["groups"]) ? (facts["groups"] as SlotGroup[]) : [];
  return groups.flatMap(({ sources, ...group }) => sources.map(({ name, ...own }) => ({ ...group, ...own, source: name })));
}

/** Intervals that differ in nothing but their source and what its jobs found. */
interface SlotGroup extends Omit<SlotInterval, "source" | "figures" | "startedAt" | "finishedAt"> {
  readonly sources: readonly (Pick<SlotInterval, "figures" | "startedAt" | "finishedAt"> & { readonly name: string })[];
}

/** The facts of an entry about intervals. */
export function slotFacts(intervals: readonly SlotInterval[]): { groups: SlotGroup[] } {
  const groups = new Map<string, SlotGroup & { sources: { name: string; figures: object; startedAt: string; finishedAt: string }[] }>();
  for (const { source, figures, startedAt, finishedAt, ...group } of intervals) {
    const key = JSON.stringify(group);
    const known = groups.get(key) ?? { ...group, sources: [] };
    groups.set(key, known);
    known.sources.push({ name: source, startedAt, finishedAt, figures });
  }
  return { groups: [...groups.values()] };
}
