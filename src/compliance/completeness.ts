import type { Catalog } from "../catalog/catalog.ts";
import { promisesIn } from "../catalog/commitments.ts";
import { listSlots } from "../catalog/slot-population.ts";
import { nextSlot } from "../domain/schedule.ts";

/** Whether the population is complete: every slot that was promised, in evidence and before it was due, against those that anything is on record about. */
export interface Completeness {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  /** Slots that were promised. */
  readonly promised: number;
  /** Of these, those on record, however they ended. */
  readonly onRecord: number;
  /** The first of those that nothing is on record about. */
  readonly unaccounted: readonly string[];
}

/** Enough to look into; how many there are, the two counts say. */
const MOST_NAMED = 10;

/** By source and work, of [from, to). Nothing where nothing was promised: then completeness is not shown. `to` must lie so far back that what was due had the time to be put on record. */
export function completenessOf(catalog: Catalog, sources: readonly string[], from: Date, to: Date): Completeness[] {
  const promised = new Map<string, { source: string; operation: string; type: string | null; slots: Set<string> }>();
  for (const promise of promisesIn(catalog, from.toISOString(), to.toISOString())) {
    const slots = [...slotsOf(promise, from, to)];
    for (const source of promise.sources.filter((name) => sources.includes(name))) {
      const key = JSON.stringify([source, promise.operation, promise.type]);
      const known = promised.get(key) ?? { source, operation: promise.operation, type: promise.type, slots: new Set() };
      for (const slot of slots) known.slots.add(slot);
      promised.set(key, known);
    }
  }
  return [...promised.values()].map(({ slots, ...kind }) => {
    const missing = new Set(slots);
    for (const { slot } of listSlots(catalog, kind, from, to)) missing.delete(slot);
    return { ...kind, promised: slots.size, onRecord: slots.size - missing.size, unaccounted: [...missing].toSorted().slice(0, MOST_NAMED) };
  });
}

function* slotsOf({ schedule, from: after, until }: ReturnType<typeof promisesIn>[number], from: Date, to: Date): Generator<string> {
  for (let at = nextSlot(schedule, new Date(after)); at !== null && at.toISOString() <= until && at < to; at = nextSlot(schedule, at)) if (at >= from) yield at.toISOString();
}
