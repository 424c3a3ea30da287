import type { Catalog } from "../../src/catalog/catalog.ts";
import { recordExposure } from "../../src/catalog/observations.ts";
import { saveSnapshot } from "../../src/catalog/snapshots.ts";
import { BY_HOUR_MS, fullResolutionMs, SPAN_STEPS_MS } from "../../src/domain/exposure-spans.ts";
import type { SourceConfig } from "../../src/policy/types.ts";
import { snapshotOf } from "./year-sources.ts";

const DAY_MS = SPAN_STEPS_MS.day;

/** What serve would have left of observing: every sample of the last hours, stretches of an hour for weeks, of a day before; and what it last saw. */
export function observeYear(catalog: Catalog, sources: readonly SourceConfig[], from: Date, until: Date, ofSources: number = sources.length): void {
  const copies = sources.flatMap((source) => ["onsite", "cloud"].map((repository) => ({ source, repository })));
  const fullMs = fullResolutionMs((2 * ofSources) / 15);
  for (const { source, repository } of copies) observeCopy({ catalog, source, repository, from, until, fullMs });
  for (const source of sources) saveSnapshot(catalog, until, snapshotOf(source, until));
}

interface ObservedCopy {
  readonly catalog: Catalog;
  readonly source: SourceConfig;
  readonly repository: string;
  readonly from: Date;
  readonly until: Date;
  /** How long every single sample is kept. */
  readonly fullMs: number;
}

function observeCopy({ catalog, source, repository, from, until, fullMs }: ObservedCopy): void {
  const of = { source: source.name, repository };
  catalog.transaction(() => {
    for (let ms = until.getTime() - fullMs; ms < until.getTime(); ms += 15_000)
      recordExposure(catalog, { ...of, at: new Date(ms).toISOString(), seconds: (ms / 1000) % 900, bytes: 1000 });
    const byHourFrom = until.getTime() - BY_HOUR_MS;
    for (let day = from.getTime(); day < byHourFrom; day += DAY_MS) span(catalog, of, day, day + DAY_MS);
    // With an hour each day that nobody observed.
    for (let ms = Math.max(from.getTime(), byHourFrom); ms < until.getTime() - fullMs; ms += SPAN_STEPS_MS.hour)
      if (new Date(ms).getUTCHours() !== 5) span(catalog, of, ms, Math.min(ms + SPAN_STEPS_MS.hour, until.getTime() - fullMs));
  });
}

function span(catalog: Catalog, of: { source: string; repository: string }, fromMs: number, untilMs: number): void {
  catalog.run("insert or ignore into exposure_spans (source, repository, at, until, seconds, bytes, samples) values (:source, :repository, :at, :until, 899, 1000, 240)", {
    ...of,
    at: fromMs,
    until: untilMs,
  });
}
