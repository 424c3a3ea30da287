import { recordsOfPeriod } from "../catalog/compliance-queries.ts";
import type { DrillRecord, Population, Records, RunRecord } from "../domain/control-population.ts";
import { drillRecord } from "./drill-record.ts";
import { runRecord, slotsOf } from "./run-record.ts";
import type { SourceReportRequest } from "./source-report.ts";

/** The records of a period as they lie in the catalog: source by source in the order given, each oldest first. `counts`: as they were when the figures were made. */
export function recordedPopulation(sources: readonly SourceReportRequest[], counts: { readonly runs: number; readonly drills: number }): Population {
  return { runs: records(counts.runs, () => runsOf(sources)), drills: records(counts.drills, () => drillsOf(sources)) };
}

function records<T>(length: number, read: () => Iterator<T>): Records<T> {
  return { length, [Symbol.iterator]: read };
}

function* runsOf(sources: readonly SourceReportRequest[]): Generator<RunRecord> {
  for (const request of sources) for (const run of recordsOfPeriod(request.catalog, periodOf(request))) yield runRecord(run, slotsOf(run, request.source, request.period));
}

function* drillsOf(sources: readonly SourceReportRequest[]): Generator<DrillRecord> {
  for (const request of sources)
    for (const run of recordsOfPeriod(request.catalog, { ...periodOf(request), operation: "drill" })) yield drillRecord(run, slotsOf(run, request.source, request.period));
}

function periodOf({ source, period }: SourceReportRequest): { source: string; from: string; to: string } {
  return { source: source.name, ...period };
}
