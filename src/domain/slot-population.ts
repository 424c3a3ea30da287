import { isoTime } from "./iso-time.ts";
import type { Schedule } from "./schedule.ts";
import { nextSlot } from "./schedule.ts";

/**
 * The population of a schedule, slot by slot, out of what is stored: single records and intervals of slots that ended alike. A year of log backups is 35,000 slots of a source and a few hundred records.
 */
const SLOT_OUTCOMES = ["done", "failed", "missed", "superseded", "skipped"] as const;
type SlotOutcome = (typeof SLOT_OUTCOMES)[number];

/** What is on record about one slot or an interval of them, of one kind of work of one source. */
export interface SlotRecord {
  readonly id: string;
  readonly scheduledFor: string;
  /** The last slot of an interval; null: one slot. */
  readonly until: string | null;
  readonly slots: number;
  readonly outcome: string;
  readonly attempt: number;
  readonly reason: string | null;
  /** By which an interval is taken apart: that of its time, or null where it was not written down. */
  readonly schedule: Schedule | null;
}

export interface PopulatedSlot {
  readonly slot: string;
  readonly outcome: SlotOutcome | "running";
  /** The record that decides. */
  readonly record: string;
  readonly attempts: number;
  readonly reason: string | null;
}

/**
 * Every slot of the records exactly once, oldest first. `records`: of one kind of work of one source, in order of `scheduledFor`. Of several records about one slot (attempts), one that succeeded
 * decides, else the last attempt. `fallback` takes intervals apart that do not say their schedule.
 */
export function* expandSlots(records: Iterable<SlotRecord>, fallback: Schedule | null = null): Generator<PopulatedSlot> {
  let [pending, pendingMs]: [PopulatedSlot | null, number] = [null, Number.NEGATIVE_INFINITY];
  for (const record of records) {
    for (const slotMs of slotsOf(record, fallback)) {
      if (slotMs < pendingMs) continue;
      const slot = { slot: isoTime(slotMs), outcome: slotOutcome(record.outcome), record: record.id, attempts: record.attempt, reason: record.reason };
      if (pending !== null && pendingMs !== slotMs) yield pending;
      pending = pending !== null && pendingMs === slotMs ? decide(pending, slot) : slot;
      pendingMs = slotMs;
    }
  }
  if (pending !== null) yield pending;
}

/** In milliseconds. */
function* slotsOf(record: SlotRecord, fallback: Schedule | null): Generator<number> {
  const from = new Date(record.scheduledFor);
  yield from.getTime();
  const schedule = record.schedule ?? fallback;
  if (record.until === null || schedule === null) return;
  const untilMs = Date.parse(record.until);
  for (let at = nextSlot(schedule, from); at !== null && at.getTime() <= untilMs; at = nextSlot(schedule, at)) yield at.getTime();
}

function decide(a: PopulatedSlot, b: PopulatedSlot): PopulatedSlot {
  const attempts = Math.max(a.attempts, b.attempts);
  if (a.outcome === "done" || (b.outcome !== "done" && a.attempts > b.attempts)) return { ...a, attempts };
  return { ...b, attempts };
}

/** How the outcome of a run counts for its slot. A run that was cancelled or interrupted, and not tried again, did not do its work. */
function slotOutcome(outcome: string): PopulatedSlot["outcome"] {
  if (outcome === "succeeded") return "done";
  const passed = SLOT_OUTCOMES.find((known) => known === outcome);
  return passed ?? (outcome === "running" ? "running" : "failed");
}
