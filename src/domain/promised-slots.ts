import { nextSlot } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";

/**
 * Which of the slots that were promised nothing is on record about. A year of log backups is 35,000 slots of a source: those that a record covers as an interval, by the schedule that was promised, are counted
 * and not walked.
 */
export interface PromisedRange {
  readonly schedule: Schedule;
  /** Slots in (from, until] are promised. */
  readonly from: string;
  readonly until: string;
}

export interface PromisedByMany extends PromisedRange {
  readonly operation: string;
  readonly type: string | null;
  readonly sources: readonly string[];
}

/** Promises of one kind of work that follow each other, for the same sources by the same schedule, as one: they are made day by day. In order of time within each kind. */
export function joinPromises(promises: readonly PromisedByMany[]): PromisedByMany[] {
  const open = new Map<string, PromisedByMany>();
  const joined: PromisedByMany[] = [];
  for (const promise of promises) {
    const key = JSON.stringify([promise.operation, promise.type, promise.schedule, promise.sources]);
    const before = open.get(key);
    const follows = before !== undefined && before.until === promise.from;
    if (before !== undefined && !follows) joined.push(before);
    open.set(key, follows ? { ...before, until: promise.until } : promise);
  }
  return [...joined, ...open.values()].toSorted((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
}

/** Slots that something is on record about: one, or an interval of them by a schedule. */
export interface SlotsOnRecord {
  readonly fromMs: number;
  /** The last slot of an interval; null: one slot. */
  readonly untilMs: number | null;
  /** Null where it was not written down. */
  readonly schedule: Schedule | null;
}

export interface MissingSlots {
  readonly promised: number;
  readonly missing: number;
  /** The first of them, at most `most`. */
  readonly named: readonly string[];
}

/** Of one kind of work of one source in [from, to). */
export function findMissing(ranges: readonly PromisedRange[], { from, to }: { from: Date; to: Date }, records: Iterable<SlotsOnRecord>, most: number): MissingSlots {
  const onRecord = gather(records, new Set(ranges.map(({ schedule }) => scheduleKey(schedule))));
  const missing = new Set<number>();
  const promised = ranges.length > 1 ? new Set<number>() : null;
  let count = 0;
  for (const range of ranges) {
    const isCovered = coveredBy(onRecord.intervals.get(scheduleKey(range.schedule)) ?? []);
    for (const slot of slotsOf(range)) {
      if (slot < from.getTime() || slot >= to.getTime()) continue;
      // Where two hosts promised the same time, a slot of both counts once.
      if (promised?.has(slot) === true) continue;
      promised?.add(slot);
      count++;
      if (!isCovered(slot) && !onRecord.single.has(slot)) missing.add(slot);
    }
  }
  const named = [...missing].toSorted((a, b) => a - b).slice(0, most);
  return { promised: count, missing: missing.size, named: named.map((ms) => new Date(ms).toISOString()) };
}

interface Interval {
  readonly fromMs: number;
  readonly untilMs: number;
}

interface Gathered {
  readonly single: ReadonlySet<number>;
  /** By their schedule: every slot of it in between is on record. */
  readonly intervals: ReadonlyMap<string, readonly Interval[]>;
}

function gather(records: Iterable<SlotsOnRecord>, promised: ReadonlySet<string>): Gathered {
  const single = new Set<number>();
  const intervals = new Map<string, Interval[]>();
  for (const { fromMs, untilMs, schedule } of records) {
    if (untilMs === null || schedule === null) single.add(fromMs);
    else {
      const key = scheduleKey(schedule);
      const known = intervals.get(key);
      if (known === undefined) intervals.set(key, [{ fromMs, untilMs }]);
      else known.push({ fromMs, untilMs });
    }
  }
  // What was done by another schedule than the one that was promised is known slot by slot.
  for (const [key, all] of intervals) {
    if (promised.size === 1 && promised.has(key)) continue;
    for (const { fromMs, untilMs } of all) for (const slot of slotsIn(scheduleOf(key), fromMs - 1, untilMs)) single.add(slot);
  }
  return { single, intervals };
}

/** Asked in order of time. */
function coveredBy(intervals: readonly Interval[]): (slot: number) => boolean {
  const inOrder = intervals.toSorted((a, b) => a.fromMs - b.fromMs);
  let at = 0;
  return (slot) => {
    for (let interval = inOrder[at]; interval !== undefined && interval.untilMs < slot; interval = inOrder[at]) at++;
    const interval = inOrder[at];
    return interval !== undefined && interval.fromMs <= slot;
  };
}

const slotsOfRanges = new WeakMap<PromisedRange, Float64Array>();

/** In milliseconds. The same for all sources of a promise, and so made once. */
function slotsOf(range: PromisedRange): Float64Array {
  let slots = slotsOfRanges.get(range);
  if (slots === undefined) slotsOfRanges.set(range, (slots = Float64Array.from(slotsIn(range.schedule, Date.parse(range.from), Date.parse(range.until)))));
  return slots;
}

/** Slots in (afterMs, untilMs]. */
function* slotsIn(schedule: Schedule, afterMs: number, untilMs: number): Generator<number> {
  for (let at = nextSlot(schedule, new Date(afterMs)); at !== null && at.getTime() <= untilMs; at = nextSlot(schedule, at)) yield at.getTime();
}

const keys = new WeakMap<Schedule, string>();

function scheduleKey(schedule: Schedule): string {
  let key = keys.get(schedule);
  if (key === undefined) {
    key = JSON.stringify(schedule.kind === "every" ? { kind: "every", seconds: schedule.seconds } : { kind: "cron", expression: schedule.expression, zone: schedule.zone });
    keys.set(schedule, key);
  }
  return key;
}

function scheduleOf(key: string): Schedule {
  return JSON.parse(key) as Schedule;
}
