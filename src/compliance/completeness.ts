import type { Catalog } from "../catalog/catalog.ts";
import { promisesIn } from "../catalog/commitments.ts";
import { slotsOnRecord } from "../catalog/slot-population.ts";
import { findMissing, joinPromises } from "../domain/promised-slots.ts";
import type { PromisedRange } from "../domain/promised-slots.ts";

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
  const [first, last] = [from.toISOString(), to.toISOString()];
  return kindsPromised(catalog, new Set(sources), first, last).map(({ ranges, ...kind }) => {
    const { promised, missing, named } = findMissing(ranges, { from, to }, slotsOnRecord(catalog, kind, first, last), MOST_NAMED);
    return { ...kind, promised, onRecord: promised - missing, unaccounted: named };
  });
}

interface PromisedKind extends Pick<Completeness, "source" | "operation" | "type"> {
  readonly ranges: readonly PromisedRange[];
}

function kindsPromised(catalog: Catalog, inScope: ReadonlySet<string>, from: string, to: string): PromisedKind[] {
  const kinds = new Map<string, PromisedKind & { ranges: PromisedRange[] }>();
  for (const { sources, operation, type, ...range } of joinPromises(promisesIn(catalog, from, to)))
    for (const source of sources.filter((name) => inScope.has(name))) {
      const key = `${source}\n${operation}\n${type}`;
      const known = kinds.get(key) ?? { source, operation, type, ranges: [] };
      known.ranges.push(range);
      kinds.set(key, known);
    }
  return [...kinds.values()];
}
