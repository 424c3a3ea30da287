import { countSlots, nextSlot, previousSlot } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";

/** A stretch of time in which a source is left alone by schedule: [from, until). It ends by itself, or earlier where somebody resumed it. */
export interface Pause {
  readonly from: Date;
  readonly until: Date;
  readonly reason: string;
}

/** Slots of one schedule that follow each other and were passed over for the same reason. */
export interface PassedSlots {
  readonly outcome: "missed" | "skipped";
  readonly from: Date;
  readonly until: Date;
  /** How many; at least so many if not `exact`. */
  readonly slots: number;
  readonly exact: boolean;
  /** Of the pause; null where there was none. */
  readonly pauseReason: string | null;
}

/** The pause that a moment lies in, or null. */
export function pauseAt(pauses: readonly Pause[], at: Date): Pause | null {
  return pauses.find(({ from, until }) => from <= at && at < until) ?? null;
}

/** The slots in (after, until], none of which will run: those in a pause are skipped, all others missed. Oldest first, each slot in exactly one stretch. */
export function passOver(schedule: Schedule, after: Date, until: Date, pauses: readonly Pause[]): PassedSlots[] {
  const passed: PassedSlots[] = [];
  for (const { end, pause } of stretches(after, until, pauses)) {
    const since = passed.at(-1)?.until ?? after;
    const from = nextSlot(schedule, since);
    const last = previousSlot(schedule, end);
    if (from === null || last === null || from > end) continue;
    const { count, exact } = countSlots(schedule, since, last);
    const stretch: PassedSlots = { outcome: pause === null ? "missed" : "skipped", from, until: last, slots: count, exact, pauseReason: pause?.reason ?? null };
    const before = passed.at(-1);
    if (before !== undefined && before.outcome === stretch.outcome && before.pauseReason === stretch.pauseReason) passed[passed.length - 1] = joined(before, stretch);
    else passed.push(stretch);
  }
  return passed;
}

function joined(a: PassedSlots, b: PassedSlots): PassedSlots {
  return { ...a, until: b.until, slots: a.slots + b.slots, exact: a.exact && b.exact };
}

/** (after, until] cut where pauses begin and end. `end` is the last millisecond that belongs to a stretch. */
function stretches(after: Date, until: Date, pauses: readonly Pause[]): { end: Date; pause: Pause | null }[] {
  const cuts = pauses
    .flatMap((pause) => [pause.from, pause.until])
    .map((cut) => cut.getTime() - 1)
    .filter((ms) => ms > after.getTime() && ms < until.getTime());
  const ends = [...new Set([...cuts, until.getTime()])].toSorted((a, b) => a - b);
  return ends.map((end) => ({ end: new Date(end), pause: pauseAt(pauses, new Date(end)) }));
}
