import type { Catalog } from "../../src/catalog/catalog.ts";
import { thinSamples } from "../../src/catalog/exposure-spans.ts";
import { recordExposure } from "../../src/catalog/observations.ts";
import { saveSnapshot } from "../../src/catalog/snapshots.ts";
import { fullResolutionMs } from "../../src/domain/exposure-spans.ts";
import type { SourceConfig } from "../../src/policy/types.ts";
import { snapshotOf } from "./year-sources.ts";

const DAY_MS = 86_400_000;

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
    // Sampled every minute where it will be merged anyway, with an hour each day that nobody observed.
    for (let ms = until.getTime() - 2 * DAY_MS; ms < until.getTime() - fullMs; ms += 60_000)
      if (new Date(ms).getUTCHours() !== 5) recordExposure(catalog, { ...of, at: new Date(ms).toISOString(), seconds: (ms / 1000) % 900, bytes: 1000 });
    for (let ms = until.getTime() - fullMs; ms < until.getTime(); ms += 15_000)
      recordExposure(catalog, { ...of, at: new Date(ms).toISOString(), seconds: (ms / 1000) % 900, bytes: 1000 });
    thinSamples(catalog, of, { now: until, fullSince: new Date(until.getTime() - fullMs), objectiveSeconds: source.objectives.rpoSeconds });
    for (let day = from.getTime(); day < until.getTime() - 2 * DAY_MS; day += DAY_MS) {
      const stepMs = day < until.getTime() - 35 * DAY_MS ? DAY_MS : 3_600_000;
      for (let ms = day; ms < day + DAY_MS; ms += stepMs) span(catalog, of, ms, ms + stepMs);
    }
  });
}

function span(catalog: Catalog, of: { source: string; repository: string }, fromMs: number, untilMs: number): void {
  catalog.run("insert or ignore into exposure_spans (source, repository, at, until, seconds, bytes, samples) values (:source, :repository, :at, :until, 899, 1000, 240)", {
    ...of,
    at: fromMs,
    until: untilMs,
  });
}
