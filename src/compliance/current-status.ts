import type { Catalog } from "../catalog/catalog.ts";
import { newestDrills, newestRun, newestSample } from "../catalog/compliance-queries.ts";
import type { Run } from "../catalog/runs.ts";
import { currentPause } from "../catalog/pauses.ts";
import { readSummary } from "../catalog/summaries.ts";
import { readBrief } from "../catalog/snapshots.ts";
import type { SnapshotBrief } from "../catalog/snapshots.ts";
import { copiesOf, copiesWithObjective } from "../domain/compliance.ts";
import type { ReportSource } from "../domain/compliance.ts";
import type { DrillRecord } from "../domain/control-population.ts";
import { judgeNow } from "../domain/control-now.ts";
import type { CurrentCopy, StatusReason, StatusVerdict } from "../domain/control-now.ts";
import { SAMPLE_HOLDS_SECONDS } from "../domain/exposure-stretches.ts";
import type { RecoveryEstimate } from "../domain/recovery-estimate.ts";
import type { GapView, WindowView } from "../domain/source-info.ts";
import { drillRecord } from "./drill-record.ts";

/** How one source stands now, as far as the catalog knows: what the status route, the metrics and a dashboard show. */
export interface CurrentStatus {
  readonly name: string;
  readonly tier: string;
  readonly dataClass: string;
  readonly verdict: StatusVerdict;
  readonly reasons: readonly StatusReason[];
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  /** The newest moment any copy can bring back. */
  readonly recoverableTo: string | null;
  readonly copies: readonly CurrentCopy[];
  /** The newest run of each kind of backup that the policy asks for. */
  readonly lastBackups: readonly LastBackup[];
  readonly lastDrill: DrillRecord | null;
  /** When a drill last passed. */
  readonly lastProvenAt: string | null;
  /** Recovery time of the last drill that came to a result. */
  readonly lastRtoSeconds: number | null;
  /** How long bringing back its newest state would take now, estimated from its drills, as last summed up; null: there is no drill to estimate from. */
  readonly predictedRecovery: RecoveryEstimate | null;
  /** Null: it is not paused. */
  readonly paused: { readonly from: string; readonly until: string; readonly reason: string; readonly by: string } | null;
  /** Null: the repositories were never looked at. */
  readonly gaps: readonly GapView[] | null;
  readonly seenAt: string | null;
}

interface LastBackup {
  readonly type: string;
  readonly lastSuccessAt: string | null;
  readonly lastSuccessId: string | null;
  readonly lastRunAt: string | null;
  readonly lastOutcome: string | null;
}

/** What an earlier version summed up says no interval. */
function predictedOf(catalog: Catalog, source: string): RecoveryEstimate | null {
  const predicted = readSummary(catalog, source)?.predicted ?? null;
  if (predicted === null) return null;
  const withoutInterval = { lowSeconds: predicted.seconds, highSeconds: predicted.seconds };
  return { ...withoutInterval, ...predicted };
}

/** How several sources stand, judged together: the worst verdict of any. */
export interface OverallStatus {
  readonly verdict: StatusVerdict;
  readonly sources: readonly CurrentStatus[];
}

/** What the status route answers and `holdfast status --json` prints: one judgement, whoever asks. */
export function overallStatus(catalog: Catalog, sources: readonly ReportSource[], now: Date): OverallStatus {
  const all = sources.map((source) => currentStatus(catalog, source, now));
  const has = (verdict: StatusVerdict): boolean => all.some((status) => status.verdict === verdict);
  return { verdict: has("breached") ? "breached" : has("unknown") || all.length === 0 ? "unknown" : "ok", sources: all };
}

export function currentStatus(catalog: Catalog, source: ReportSource, now: Date): CurrentStatus {
  const snapshot = readBrief(catalog, source.name);
  const brief = snapshot?.brief ?? null;
  const copies = copiesOf(source).map((repository) => currentCopy(catalog, source, brief, repository, now));
  const drills = newestDrills(catalog, source.name);
  const lastDrill = recordOf(drills.ended);
  const lastResult = drills.withResult === drills.ended ? lastDrill : recordOf(drills.withResult);
  const lastBackups = backupKinds(source).map(({ operation, type }) => lastBackup(catalog, source.name, operation, type));
  const gaps = brief?.gaps ?? null;
  const pause = currentPause(catalog, source.name, now);
  return {
    name: source.name,
    tier: source.tier,
    dataClass: source.dataClass,
    ...judgeNow({
      copies,
      objectives: source.objectives,
      backups: brief?.backups ?? null,
      gaps: gaps ?? [],
      damaged: brief?.damaged ?? [],
      lastDrill: lastResult,
      failedSince: lastBackups.filter(hasFailed).map(({ type }) => type),
      paused: pause === null ? null : { until: pause.until, reason: pause.reason },
    }),
    objectives: { rtoSeconds: source.objectives.rtoSeconds, rpoSeconds: source.objectives.rpoSeconds },
    recoverableTo: copies.map(({ recoverableTo }) => recoverableTo).reduce(laterOf, null),
    copies,
    lastBackups,
    lastDrill,
    lastProvenAt: newestSuccess(catalog, { source: source.name, operation: "drill", type: null }, drills.ended)?.finishedAt ?? null,
    lastRtoSeconds: lastResult?.rtoActualSeconds ?? null,
    predictedRecovery: predictedOf(catalog, source.name),
    paused: pause === null ? null : { from: pause.from, until: pause.until, reason: pause.reason, by: pause.pausedBy },
    gaps,
    seenAt: snapshot?.at ?? null,
  };
}

function currentCopy(catalog: Catalog, source: ReportSource, snapshot: SnapshotBrief | null, repository: string, now: Date): CurrentCopy {
  const sample = newestSample(catalog, source.name, repository);
  const isFresh = sample !== null && Math.abs(now.getTime() - Date.parse(sample.at)) <= SAMPLE_HOLDS_SECONDS * 1000;
  const seconds = isFresh ? sample.seconds : null;
  const window = newestWindow(snapshot, repository);
  const objectiveApplies = copiesWithObjective(source).includes(repository);
  return {
    repository,
    objectiveApplies,
    observed: seconds !== null,
    exposureSeconds: seconds,
    exposureBytes: seconds === null ? null : (sample?.bytes ?? null),
    sampledAt: sample?.at ?? null,
    held: seconds === null || !objectiveApplies ? null : seconds <= source.objectives.rpoSeconds,
    recoverableFrom: window?.from ?? null,
    recoverableTo: window?.to ?? newestPoint(source, sample),
    gaps: gapsOf(snapshot, repository),
  };
}

/** Without a log, exposure is counted from where the newest backup began: that is how far one can go back to. */
function newestPoint({ policy }: ReportSource, sample: { readonly at: string; readonly seconds: number | null } | null): string | null {
  return policy.log !== null || sample?.seconds === null || sample === null ? null : new Date(Date.parse(sample.at) - sample.seconds * 1000).toISOString();
}

/** The stretch of time travel that reaches furthest: where one could go back to from now. */
function newestWindow(snapshot: SnapshotBrief | null, repository: string): WindowView | null {
  const windows = snapshot?.windows.filter((window) => window.repository === repository && window.systemIdentifier === undefined) ?? [];
  return windows.reduce<WindowView | null>((newest, window) => (newest === null || isAfter(window, newest) ? window : newest), null);
}

function isAfter(a: WindowView, b: WindowView): boolean {
  return a.timeline === b.timeline ? Date.parse(a.from) > Date.parse(b.from) : a.timeline > b.timeline;
}

function gapsOf(snapshot: SnapshotBrief | null, repository: string): number | null {
  if (snapshot === null || !snapshot.seen.includes(repository)) return null;
  return snapshot.gaps.filter((gap) => gap.repository === repository).length;
}

function recordOf(drill: Run | null): DrillRecord | null {
  return drill === null ? null : drillRecord(drill, drill.scheduledFor === null ? 0 : drill.slots);
}

function backupKinds({ policy }: ReportSource): { operation: string; type: string }[] {
  const backups = [...policy.backups.keys()].map((type) => ({ operation: "backup", type }));
  return policy.log === null || policy.log.schedule.kind === "stream" ? backups : [...backups, { operation: "log", type: "log" }];
}

function lastBackup(catalog: Catalog, source: string, operation: string, type: string): LastBackup {
  const last = newestRun(catalog, { source, operation, type, outcome: null });
  const success = newestSuccess(catalog, { source, operation, type }, last);
  return { type, lastSuccessAt: success?.finishedAt ?? null, lastSuccessId: backupIdOf(success), lastRunAt: last?.startedAt ?? null, lastOutcome: last?.outcome ?? null };
}

/** `newest`: of its kind, however it ended. Mostly it is the one. */
function newestSuccess(catalog: Catalog, kind: { source: string; operation: string; type: string | null }, newest: Run | null): Run | null {
  return newest?.outcome === "succeeded" ? newest : newestRun(catalog, { ...kind, outcome: "succeeded" });
}

function backupIdOf(run: Run | null): string | null {
  const id = run?.facts["id"];
  return typeof id === "string" ? id : null;
}

function hasFailed({ lastOutcome }: LastBackup): boolean {
  return lastOutcome === "failed" || lastOutcome === "interrupted";
}

/** RFC 3339 texts of different precision: compared as times. */
function laterOf(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return Date.parse(a) >= Date.parse(b) ? a : b;
}
