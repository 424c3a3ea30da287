import { Catalog } from "../../src/catalog/catalog.ts";
import { applyEntry } from "../../src/catalog/apply-entry.ts";
import { planCommitment } from "../../src/operations/commit-schedule.ts";
import type { SourceConfig } from "../../src/policy/types.ts";
import { simulateYear } from "./simulated-year.ts";
import { observeYear } from "./year-exposure.ts";
import { YearFates } from "./year-fates.ts";

/**
 * The catalog of a year of many sources. Some of them are played through by the planner that works in earnest, as in `npm run year`, which takes an hour for a thousand; the others get the history of one of
 * those under their own name.
 */
export interface YearCatalog {
  readonly file: string;
  readonly sources: readonly SourceConfig[];
  /** So many of them are played through. */
  readonly played: number;
  readonly from: Date;
  readonly until: Date;
}

const DAY_MS = 86_400_000;
/** Of promises; the simulated year has a writer of its own. */
const WRITER = "b".repeat(64);

export function fillYearCatalog({ file, sources, played, from, until }: YearCatalog): void {
  using catalog = Catalog.open(file);
  const first = sources.slice(0, played);
  simulateYear({ catalog, sources: first, from, until, fates: new YearFates(from), writer: "a".repeat(64), onDay: () => undefined });
  observeYear(catalog, first, from, until, sources.length);
  for (const [index, source] of sources.entries()) {
    const model = first[index % played];
    if (model !== undefined && index >= played) copyHistory(catalog, model.name, source.name);
  }
  promise(catalog, sources, from, until);
}

/** Every table that has a source, row for row. */
const COPIED = ["runs", "run_totals", "exposure", "exposure_spans", "snapshots"] as const;

/** Ids hold the name of their source, or get it. */
const VALUES: Readonly<Record<string, string>> = {
  source: ":to",
  id: "iif(instr(id, :from) > 0, replace(id, :from, :to), id || '-' || :to)",
  newest_id: "iif(instr(newest_id, :from) > 0, replace(newest_id, :from, :to), newest_id || '-' || :to)",
  info: "replace(info, :from, :to)",
};

function copyHistory(catalog: Catalog, from: string, to: string): void {
  for (const table of COPIED) {
    const columns = catalog.all("select name from pragma_table_info(:table)", { table }).map(({ name }) => String(name));
    const values = columns.map((column) => VALUES[column] ?? column);
    catalog.run(`insert into ${table} (${columns.join(", ")}) select ${values.join(", ")} from ${table} where source = :from`, { from, to });
  }
}

function promise(catalog: Catalog, sources: readonly SourceConfig[], from: Date, until: Date): void {
  const inventory = { sources: new Map(sources.map((source) => [source.name, source])) };
  let sequence = 0;
  for (let ms = from.getTime(); ms < until.getTime(); ms += DAY_MS)
    applyEntry(catalog, {
      writer: WRITER,
      sequence: ++sequence,
      at: new Date(ms).toISOString(),
      kind: "schedule.committed",
      facts: { ...planCommitment(inventory, new Date(ms - 1), new Date(ms + DAY_MS - 1)) },
    });
}
