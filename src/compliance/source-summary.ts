import type { Catalog } from "../catalog/catalog.ts";
import { readSamples } from "../catalog/compliance-queries.ts";
import { readSnapshot } from "../catalog/snapshots.ts";
import { readSummary, saveSummary } from "../catalog/summaries.ts";
import { copiesWithObjective } from "../domain/compliance.ts";
import type { ReportSource } from "../domain/compliance.ts";
import type { CurrentCopy } from "../domain/control-now.ts";
import { continueTrend } from "../domain/source-summary.ts";
import type { SourceSummary, TrendPoint } from "../domain/source-summary.ts";
import { currentStatus } from "./current-status.ts";
import type { CurrentStatus } from "./current-status.ts";
import { predictRecovery } from "./predicted-recovery.ts";

/** Sums up one source and keeps it. Called by whoever has just observed it. */
export function keepSummary(catalog: Catalog, source: ReportSource, now: Date): void {
  saveSummary(catalog, now, summarise(catalog, source, now));
}

function summarise(catalog: Catalog, source: ReportSource, now: Date): SourceSummary {
  const status = currentStatus(catalog, source, now);
  const info = readSnapshot(catalog, source.name)?.info ?? null;
  const obliged = status.copies.filter(({ objectiveApplies }) => objectiveApplies);
  const exposureSeconds = worstExposure(obliged);
  return {
    ...headOf(status),
    backups: info?.backups.length ?? null,
    exposureSeconds,
    exposureAt: exposureSeconds === null ? null : oldest(obliged.map(({ sampledAt }) => sampledAt)),
    predicted: predictRecovery(catalog, source.name, info),
    trend: continueTrend(readSummary(catalog, source.name)?.trend ?? lastDay(catalog, source, now), now, exposureSeconds),
  };
}

function headOf(status: CurrentStatus): Pick<SourceSummary, "name" | "verdict" | "reasons" | "objectives" | "recoverableTo" | "lastProvenAt" | "lastRtoSeconds" | "lastVerdict"> {
  const { name, verdict, reasons, objectives, recoverableTo, lastProvenAt, lastRtoSeconds, lastDrill } = status;
  return { name, verdict, reasons, objectives, recoverableTo, lastProvenAt, lastRtoSeconds, lastVerdict: lastDrill?.verdict ?? null };
}

/** Null as soon as one copy is not observed: the worst is then not known. */
function worstExposure(copies: readonly CurrentCopy[]): number | null {
  const seconds = copies.map(({ exposureSeconds }) => exposureSeconds);
  return seconds.length === 0 || seconds.includes(null) ? null : Math.max(...seconds.filter((value) => value !== null));
}

/** From samples, where there is no row to continue yet: once, in the life of a catalog. */
function lastDay(catalog: Catalog, source: ReportSource, now: Date): readonly TrendPoint[] {
  const period = { from: new Date(now.getTime() - DAY_MS).toISOString(), to: now.toISOString() };
  const samples = copiesWithObjective(source).flatMap((repository) => [...readSamples(catalog, { source: source.name, repository, ...period })]);
  return samples.toSorted((a, b) => a.at.localeCompare(b.at)).reduce<readonly TrendPoint[]>((trend, { at, seconds }) => continueTrend(trend, new Date(at), seconds), []);
}

const DAY_MS = 86_400_000;

function oldest(times: readonly (string | null)[]): string | null {
  return times.filter((at) => at !== null).toSorted()[0] ?? null;
}
