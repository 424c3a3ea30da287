import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";

/** Of each kind of work and outcome: how many slots or runs, and the newest. Kept as entries come in, so that nobody has to count years to know it. */
export interface RunTotal {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly outcome: string;
  readonly count: number;
  readonly oldestAt: string;
  readonly newestAt: string;
  readonly newestId: string;
}

/** Adds runs or slots that came to be known: `id` began at `at`. */
export function addToTotals(catalog: Catalog, run: { source: string; operation: string; type: string | null; outcome: string; at: string; id: string }, count: number): void {
  catalog.run(ADD, { source: run.source, operation: run.operation, type: run.type ?? "", outcome: run.outcome, at: run.at, id: run.id, count });
}

const ADD = `insert into run_totals (source, operation, type, outcome, count, oldest_at, newest_at, newest_id) values (:source, :operation, :type, :outcome, :count, :at, :at, :id)
  on conflict do update set count = count + excluded.count, oldest_at = min(oldest_at, excluded.oldest_at),
    newest_id = case when excluded.newest_at >= newest_at then excluded.newest_id else newest_id end, newest_at = max(newest_at, excluded.newest_at)`;

/** So many more slots of each of these sources that were done, of runs that are in the totals already (as `addToTotals` leaves them with a count of 0 as well). Returns the sources of which that is so. */
export function addSettled(catalog: Catalog, kind: { sources: readonly string[]; operation: string; type: string | null }, count: number): ReadonlySet<string> {
  const { sources, operation, type } = kind;
  return new Set(catalog.lists(ADD_SETTLED, { sources: JSON.stringify(sources), operation, type: type ?? "", count }).map(([source]) => String(source)));
}

const ADD_SETTLED = `update run_totals set count = count + :count
  where source in (select value from json_each(:sources)) and operation = :operation and type = :type and outcome = 'succeeded' returning source`;

/** All of one source, or of all sources. */
export function readTotals(catalog: Catalog, source: string | null): RunTotal[] {
  const where = source === null ? "" : "where source = :source";
  return catalog.all(`select * from run_totals ${where}`, source === null ? {} : { source }).map((row) => ({
    source: textOf(row, "source"),
    operation: textOf(row, "operation"),
    type: textOf(row, "type") === "" ? null : textOf(row, "type"),
    outcome: textOf(row, "outcome"),
    count: numberOrNull(row, "count") ?? 0,
    oldestAt: textOf(row, "oldest_at"),
    newestAt: textOf(row, "newest_at"),
    newestId: textOf(row, "newest_id"),
  }));
}

/** Slots that were done and are not yet counted: their entry is still to be written. A handful among millions: without the index by name SQLite prefers one that is in the order of the groups, and reads all. */
export function uncountedSlots(catalog: Catalog): { source: string; operation: string; type: string | null; count: number }[] {
  return catalog
    .all("select source, operation, type, sum(pending_slots) as count from runs indexed by runs_pending where pending_from is not null group by source, operation, type")
    .map((row) => ({ source: textOf(row, "source"), operation: textOf(row, "operation"), type: textOrNull(row, "type"), count: numberOrNull(row, "count") ?? 0 }));
}
