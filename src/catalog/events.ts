import { randomUUID } from "node:crypto";
import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import { stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";

/**
 * What happened, in the order this catalog learned of it, for whoever wants to be told: runs, alerts, changes of exposure. The newest few thousand; all of it is on record elsewhere.
 * Ids only grow while the catalog lives; one that was made anew has another `epoch`.
 */
export interface CatalogEvent {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  readonly source: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A day of a busy installation. Whoever was away for longer asks for everything anew. */
const MOST_EVENTS = 10_000;
/** So many more than that there are at times. */
const FORGET_EVERY = 100;
/** What of an entry an event says; the rest is asked for by id. */
const TOLD = ["run", "operation", "type", "outcome", "reason", "trigger", "scheduledFor", "slots", "alert", "kind", "severity", "title", "repository", "by"] as const;

export function appendEvent(catalog: Catalog, { at, kind, source, data }: Omit<CatalogEvent, "id">): void {
  const [row] = catalog.all("insert into events (at, kind, source, data) values (:at, :kind, :source, :data) returning id", { at, kind, source, data: JSON.stringify(data) });
  const id = row === undefined ? 0 : (numberOrNull(row, "id") ?? 0);
  if (id % FORGET_EVERY === 0) catalog.run("delete from events where id <= :last", { last: id - MOST_EVENTS });
}

/** An entry of a run or an alert, as an event. Called once an entry: a second event of the same entry would be another one. */
export function appendEntryEvent(catalog: Catalog, { at, kind, facts }: HistoryEntry): void {
  if (!/^(?:run|alert)\./.test(kind)) return;
  appendEvent(catalog, { at, kind, source: stringOrNull(facts["source"]), data: Object.fromEntries(TOLD.filter((name) => name in facts).map((name) => [name, facts[name]])) });
}

export function eventsAfter(catalog: Catalog, id: number, limit: number): CatalogEvent[] {
  return catalog.all("select * from events where id > :id order by id limit :limit", { id, limit }).map(eventOf);
}

/** The newest event, and the oldest that is still there; null where there is none. */
export function eventRange(catalog: Catalog): { readonly first: number; readonly last: number } | null {
  const [row] = catalog.all("select min(id) as first, max(id) as last from events");
  const [first, last] = [row === undefined ? null : numberOrNull(row, "first"), row === undefined ? null : numberOrNull(row, "last")];
  return first === null || last === null ? null : { first, last };
}

/** Which catalog this is: another one after it was made anew. */
export function catalogEpoch(catalog: Catalog): string {
  catalog.run("insert into epoch (one, id) values (1, :id) on conflict (one) do nothing", { id: randomUUID().slice(0, 8) });
  return textOf(catalog.all("select id from epoch")[0] ?? {}, "id");
}

function eventOf(row: SqlRow): CatalogEvent {
  return {
    id: numberOrNull(row, "id") ?? 0,
    at: textOf(row, "at"),
    kind: textOf(row, "kind"),
    source: textOrNull(row, "source"),
    data: JSON.parse(textOf(row, "data")) as Record<string, unknown>,
  };
}
