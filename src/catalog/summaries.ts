import type { SourceSummary } from "../domain/source-summary.ts";
import type { Catalog } from "./catalog.ts";
import { textOf } from "./catalog.ts";

/** One row a source, written by whoever observes it. An observation: lost with the catalog, and made again. */
export function saveSummary(catalog: Catalog, at: Date, summary: SourceSummary): void {
  catalog.run("insert into summaries (source, at, summary) values (:source, :at, :summary) on conflict (source) do update set at = excluded.at, summary = excluded.summary", {
    source: summary.name,
    at: at.toISOString(),
    summary: JSON.stringify(summary),
  });
}

export function readSummary(catalog: Catalog, source: string): SourceSummary | null {
  const [row] = catalog.all("select summary from summaries where source = :source", { source });
  return row === undefined ? null : parse(textOf(row, "summary"));
}

/** All there are, also of sources that are no longer in the inventory. */
export function readSummaries(catalog: Catalog): SourceSummary[] {
  return catalog.all("select summary from summaries").map((row) => parse(textOf(row, "summary")));
}

function parse(text: string): SourceSummary {
  return JSON.parse(text) as SourceSummary;
}
