import { isoTime } from "../domain/iso-time.ts";
import { nextSlot, previousSlot } from "../domain/schedule.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, timeOf, timeOrNull, timeValue } from "./catalog.ts";
import { must } from "../errors.ts";
import type { HistoryEntry } from "./history-entry.ts";
import { addSettled, addToTotals } from "./run-totals.ts";
import { scheduleNumber, schedulesOf } from "./schedules.ts";

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
  const { source, operation, type, schedule, reason } = done;
  const slot = done.slot.getTime();
  const previous = previousMs(schedule, slot);
  const values = {
    source,
    operation,
    type,
    reason,
    schedule: scheduleNumber(catalog, scheduleText(schedule)),
    slot,
    dayStart: dayOf(slot),
    previous,
    finishedAt: done.finishedAt.getTime(),
    facts: JSON.stringify(done.figures),
  };
  // Either may be right, whichever is tried first. Evidence is written by the hour, so mostly the first slot of an hour is the first that is pending.
  const [likely, other] = previous !== null && Math.floor(previous / HOUR_MS) === Math.floor(slot / HOUR_MS) ? [EXTEND_PENDING, EXTEND_SETTLED] : [EXTEND_SETTLED, EXTEND_PENDING];
  if (catalog.run(likely, values) > 0 || catalog.run(other, values) > 0) return;
  const from = isoTime(slot);
  insertInterval(catalog, { ...intervalOf(done), from, until: from, slots: 1 }, 1);
}

/** The interval that ends with the slot before: found along the index of slots, among the few of one day. That it is one row is said in a way that SQLite knows: it keeps no journal for the statement then. */
const extend = (set: string, condition: string): string =>
  `update runs set until = :slot, slots = slots + 1, finished_at = :finishedAt, facts = :facts, ${set}
   where rowid = (select rowid from runs where source = :source and operation = :operation and type is :type and scheduled_for >= :dayStart and scheduled_for < :slot
     and until = :previous and outcome = 'succeeded' and reason is :reason and schedule = :schedule limit 1) and ${condition}`;
/** Of which some is not in the evidence yet: since when stays as it is, and so does the index of what is pending, which costs as much as all the rest. */
const EXTEND_PENDING = extend("pending_slots = pending_slots + 1", "pending_from is not null");
const EXTEND_SETTLED = extend("pending_from = :slot, pending_slots = 1", "pending_from is null");

/** What is not in the evidence yet, at most `limit` intervals; of one source, or of all. */
export function pendingIntervals(catalog: Catalog, source: string | null, limit: number): SlotInterval[] {
  const rows = source === null ? catalog.lists(PENDING, { limit }) : catalog.lists(PENDING_OF_SOURCE, { source, limit });
  const scheduleOf = rows.length === 0 ? null : schedulesOf(catalog);
  return rows.map(([name, operation, type, from, until, slots, startedAt, finishedAt, reason, facts, schedule]) => ({
    source: String(name),
    operation: String(operation),
    type: typeof type === "string" ? type : null,
    schedule: must(scheduleOf?.(Number(schedule)) ?? null, "the schedule of an interval"),
    from: isoTime(Number(from)),
    until: isoTime(Number(until)),
    slots: Number(slots),
    startedAt: isoTime(Number(startedAt)),
    finishedAt: isoTime(Number(finishedAt)),
    reason: typeof reason === "string" ? reason : null,
    figures: JSON.parse(String(facts)) as object,
  }));
}

const PENDING_COLUMNS = "select source, operation, type, pending_from, until, pending_slots, started_at, finished_at, reason, facts, schedule from runs";
const PENDING = `${PENDING_COLUMNS} where pending_from is not null order by source, pending_from limit :limit`;
const PENDING_OF_SOURCE = `${PENDING_COLUMNS} where pending_from is not null and source = :source order by source, pending_from limit :limit`;

/** When the oldest slot that is not in the evidence yet was due; null: all are. */
export function oldestPending(catalog: Catalog): string | null {
  const [row] = catalog.all("select min(pending_from) as at from runs where pending_from is not null");
  return row === undefined ? null : timeOrNull(row, "at");
}

/** Brings an entry `run.slots` into the history: what the catalog knew already is no longer pending, what it did not know is added. Doing it twice changes nothing. */
export function applySlots(catalog: Catalog, { facts }: HistoryEntry): void {
  for (const group of Array.isArray(facts["groups"]) ? (facts["groups"] as SlotGroup[]) : []) {
    const settled = settleWhole(catalog, group);
    const counted = settled.size === 0 ? settled : addSettled(catalog, { sources: [...settled.keys()], operation: group.operation, type: group.type }, group.slots);
    for (const interval of intervalsOf(group)) {
      const id = settled.get(interval.source);
      if (id === undefined) applyInterval(catalog, interval);
      else if (!counted.has(interval.source)) count(catalog, id, interval.startedAt, interval);
    }
  }
}

/** The usual case, in one step for all sources of a group: nothing was done since the entry was made. Returns the ids of those by their source. */
function settleWhole(catalog: Catalog, { operation, type, from, until, slots, sources }: SlotGroup): ReadonlyMap<string, string> {
  const rows = catalog.lists(SETTLE_WHOLE, {
    sources: JSON.stringify(sources.map(({ name }) => name)),
    operation,
    type,
    from: timeValue(from),
    until: timeValue(until),
    slots,
    dayStart: dayOf(timeValue(from)),
  });
  return new Map(rows.map(([source, id]) => [String(source), String(id)]));
}

const SETTLE_WHOLE = `update runs set pending_from = null, pending_slots = 0
  where source in (select value from json_each(:sources)) and operation = :operation and type is :type and scheduled_for >= :dayStart and scheduled_for <= :from
    and pending_from = :from and pending_slots = :slots and until = :until returning source, id`;

function applyInterval(catalog: Catalog, interval: SlotInterval): void {
  const row = intervalBefore(catalog, interval);
  if (row !== null && isCovered(row, interval)) settle(catalog, row, interval);
  else if (row !== null && follows(row, interval)) extendBy(catalog, row, interval);
  else insertInterval(catalog, interval, 0);
}

function intervalBefore(catalog: Catalog, { from, ...interval }: SlotInterval): SqlRow | null {
  const [row] = catalog.all(
    `select * from runs where source = :source and operation = :operation and type is :type and scheduled_for >= :dayStart and scheduled_for <= :from
       and until is not null and outcome = 'succeeded' and reason is :reason and schedule = :schedule order by scheduled_for desc limit 1`,
    { ...keyOf(catalog, interval), dayStart: dayOf(timeValue(from)), from: timeValue(from) },
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
  const key = keyOf(catalog, interval);
  const inserted = catalog.run(
    `insert into runs (id, source, operation, type, trigger, scheduled_for, started_at, finished_at, outcome, reason, slots, until, holder, facts, sequence, schedule, pending_from, pending_slots)
     values (:id, :source, :operation, :type, 'schedule', :from, :startedAt, :finishedAt, 'succeeded', :reason, :slots, :until, null, :facts, 0, :schedule, :pendingFrom, :pendingSlots)
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

function keyOf(catalog: Catalog, { source, operation, type, reason, schedule }: Keyed): Omit<Keyed, "schedule"> & { schedule: number } {
  return { source, operation, type, reason, schedule: scheduleNumber(catalog, scheduleText(schedule)) };
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
  return { source, operation, type, schedule, startedAt: isoTime(startedAt.getTime()), finishedAt: isoTime(finishedAt.getTime()), reason, figures };
}

/** The slot before another; null: there is none. */
function previousMs(schedule: Schedule, slotMs: number): number | null {
  if (schedule.kind === "every") return slotMs - schedule.seconds * 1000;
  return previousSlot(schedule, new Date(slotMs - 1))?.getTime() ?? null;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
}

/** What a group says of each source, taken apart. */
function intervalsOf({ sources, ...group }: SlotGroup): SlotInterval[] {
  return sources.map(({ name, ...own }) => ({ ...group, ...own, source: name }));
}

/** Intervals that differ in nothing but their source and what its jobs found: sources with the same slots share a group. */
interface SlotGroup extends Omit<SlotInterval, "source" | "figures" | "startedAt" | "finishedAt"> {
  readonly sources: readonly (Pick<SlotInterval, "figures" | "startedAt" | "finishedAt"> & { readonly name: string })[];
}

/** The facts of an entry about intervals. */
export function slotFacts(intervals: readonly SlotInterval[]): { groups: SlotGroup[] } {
  const groups = new Map<string, SlotGroup & { sources: { name: string; figures: object; startedAt: string; finishedAt: string }[] }>();
  for (const { source, figures, startedAt, finishedAt, ...group } of intervals) {
    const { operation, type, schedule, from, until, slots, reason } = group;
    const key = `${operation} ${type ?? ""} ${scheduleText(schedule)} ${from} ${until} ${slots}${reason === null ? "" : ` ${reason}`}`;
    const known = groups.get(key) ?? { ...group, sources: [] };
    groups.set(key, known);
    known.sources.push({ name: source, startedAt, finishedAt, figures });
  }
  return { groups: [...groups.values()] };
}
