import type { StatusReason, StatusVerdict } from "./control-now.ts";
import { SAMPLE_HOLDS_SECONDS } from "./exposure-stretches.ts";
import type { RecoveryEstimate } from "./recovery-estimate.ts";

/** How one source stood when it was last observed, in one row: what an overview of a thousand shows without asking a thousand times. */
export interface SourceSummary {
  readonly name: string;
  readonly verdict: StatusVerdict;
  readonly reasons: readonly StatusReason[];
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  /** How many backups there are; null: never looked. */
  readonly backups: number | null;
  /** The newest moment any copy can bring back. */
  readonly recoverableTo: string | null;
  /** The worst of the copies that must hold the objective; null: one of them is not observed. */
  readonly exposureSeconds: number | null;
  /** When that was seen: the oldest of its samples. */
  readonly exposureAt: string | null;
  readonly predicted: RecoveryEstimate | null;
  readonly lastProvenAt: string | null;
  readonly lastRtoSeconds: number | null;
  readonly lastVerdict: string | null;
  readonly trend: readonly TrendPoint[];
}

/** The worst exposure in one step of the last day; null: in this step it was looked at, and could not be observed. */
export interface TrendPoint {
  readonly at: string;
  readonly worstSeconds: number | null;
}

const TREND_STEP_MS = 30 * 60_000;
const TREND_STEPS = 48;

/** The trend with one more observation: the step it falls into is made or raised, and what is older than a day is forgotten. */
export function continueTrend(trend: readonly TrendPoint[], now: Date, seconds: number | null): TrendPoint[] {
  const stepMs = Math.floor(now.getTime() / TREND_STEP_MS) * TREND_STEP_MS;
  const at = new Date(stepMs).toISOString();
  const oldest = new Date(stepMs - (TREND_STEPS - 1) * TREND_STEP_MS).toISOString();
  const kept = trend.filter((point) => point.at >= oldest && point.at < at);
  const current = trend.find((point) => point.at === at)?.worstSeconds ?? null;
  return [...kept, { at, worstSeconds: seconds === null ? current : Math.max(current ?? 0, seconds) }];
}

/** The trend on a full day up to now: null where nothing is known, also where nobody looked. */
export function trendOfDay(trend: readonly TrendPoint[], now: Date): (number | null)[] {
  const stepMs = Math.floor(now.getTime() / TREND_STEP_MS) * TREND_STEP_MS;
  const known = new Map(trend.map(({ at, worstSeconds }) => [Date.parse(at), worstSeconds]));
  return Array.from({ length: TREND_STEPS }, (_, index) => known.get(stepMs - (TREND_STEPS - 1 - index) * TREND_STEP_MS) ?? null);
}

/** What may still be said of a summary now: exposure that nobody has looked at since is unknown, and what was well is no longer known to be. */
export function summaryNow(summary: SourceSummary, now: Date): SourceSummary {
  const { exposureAt, verdict, reasons } = summary;
  if (exposureAt !== null && Math.abs(now.getTime() - Date.parse(exposureAt)) <= SAMPLE_HOLDS_SECONDS * 1000) return summary;
  const stale: StatusReason = { kind: "unknown", text: exposureAt === null ? "exposure is not observed" : "nobody has looked at it for more than a minute" };
  return { ...summary, exposureSeconds: null, verdict: verdict === "ok" ? "unknown" : verdict, reasons: verdict === "ok" ? [...reasons, stale] : reasons };
}

const RANK: Readonly<Record<StatusVerdict, number>> = { breached: 0, unknown: 1, ok: 2 };

/** Worst first: by verdict, then by how much of an objective is used up, then by name. */
export function byUrgency(a: SourceSummary, b: SourceSummary): number {
  if (a.verdict !== b.verdict) return RANK[a.verdict] - RANK[b.verdict];
  const [left, right] = [strain(a), strain(b)];
  if (left !== right) return right - left;
  return a.name < b.name ? -1 : 1;
}

/** The larger part of an objective that is used up. */
function strain({ exposureSeconds, predicted, objectives }: SourceSummary): number {
  return Math.max((exposureSeconds ?? 0) / objectives.rpoSeconds, (predicted?.seconds ?? 0) / objectives.rtoSeconds);
}
