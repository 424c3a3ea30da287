import type { Catalog, SqlRow, SqlValue } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import { stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";

/** What is on record besides runs, which have a table of their own: who did what, what was deleted, written, admitted. Projected from every entry that is not of a run. */
export interface RecordedEntry {
  readonly writer: string;
  readonly sequence: number;
  readonly at: string;
  readonly kind: string;
  readonly source: string | null;
  /** Who it was, where somebody was. */
  readonly by: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
}

export function applyRecordedEntry(catalog: Catalog, { writer, sequence, at, kind, facts }: HistoryEntry): void {
  catalog.run(
    `insert into entries (writer, sequence, at, kind, source, by, facts) values (:writer, :sequence, :at, :kind, :source, :by, :facts) on conflict (writer, sequence) do nothing`,
    { writer, sequence, at, kind, source: stringOrNull(facts["source"]), by: stringOrNull(facts["by"]), facts: JSON.stringify(told(kind, facts)) },
  );
}

/** Proofs are in the evidence: here they would only be large. */
function told(kind: string, facts: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (kind !== "evidence.stamped") return facts;
  const { checkpoint: _checkpoint, stamp: _stamp, ...rest } = facts;
  return rest;
}

/** What was put on record last of the history of one timeline in one repository; null: nothing. */
export function lastHistoryEntry(catalog: Catalog, of: { source: string; repositoryId: string; systemIdentifier: string; timeline: number }): RecordedEntry | null {
  const [row] = catalog.all(
    `select * from entries where kind = 'wal.history' and source = :source and json_extract(facts, '$.repositoryId') = :repositoryId
       and json_extract(facts, '$.systemIdentifier') = :systemIdentifier and json_extract(facts, '$.timeline') = :timeline
     order by at desc, sequence desc limit 1`,
    of,
  );
  return row === undefined ? null : entryOf(row);
}

export interface EntryPage {
  /** Of these sources only, and then nothing that is of no source; null: all. */
  readonly sources: readonly string[] | null;
  /** `token.added`, or a group of kinds: `access`. */
  readonly kind: string | null;
  readonly by: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly limit: number;
  readonly offset: number;
}

const CONDITIONS = {
  sources: "source in (select value from json_each(:sources))",
  kind: "(kind = :kind or kind glob :kind || '.*')",
  by: "by = :by",
  from: "at >= :from",
  to: "at < :to",
} as const;
const FILTERS = ["sources", "kind", "by", "from", "to"] as const;

/** One page, newest first. */
export function pageOfEntries(catalog: Catalog, page: EntryPage): RecordedEntry[] {
  const asked = FILTERS.filter((filter) => page[filter] !== null);
  const where = asked.length === 0 ? "" : `where ${asked.map((filter) => CONDITIONS[filter]).join(" and ")}`;
  const values: Record<string, SqlValue> = Object.fromEntries(asked.map((filter) => [filter, filter === "sources" ? JSON.stringify(page.sources) : page[filter]]));
  return catalog
    .all(`select * from entries ${where} order by at desc, sequence desc limit :limit offset :offset`, { ...values, limit: page.limit, offset: page.offset })
    .map(entryOf);
}

function entryOf(row: SqlRow): RecordedEntry {
  return {
    writer: textOf(row, "writer"),
    sequence: numberOrNull(row, "sequence") ?? 0,
    at: textOf(row, "at"),
    kind: textOf(row, "kind"),
    source: textOrNull(row, "source"),
    by: textOrNull(row, "by"),
    facts: JSON.parse(textOf(row, "facts")) as Record<string, unknown>,
  };
}
