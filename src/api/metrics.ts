import { setImmediate } from "node:timers/promises";
import { Counter, Gauge, Registry } from "prom-client";
import { countOpenAlerts } from "../catalog/alerts.ts";
import { recentCapacity } from "../catalog/capacity.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { countRunning, countRuns, lastSuccessOfCopy, newestRun } from "../catalog/compliance-queries.ts";
import { readSummary } from "../catalog/summaries.ts";
import { currentStatus } from "../compliance/current-status.ts";
import type { CurrentStatus } from "../compliance/current-status.ts";
import { projectFull } from "../domain/capacity.ts";
import { copiesOf } from "../domain/compliance.ts";
import type { CurrentCopy } from "../domain/control-now.ts";
import type { Inventory, RepositoryConfig, SourceConfig } from "../policy/types.ts";

export interface MetricsInput {
  readonly catalog: Catalog;
  readonly inventory: Inventory;
  /** Sources that may be told of, also those that are in the history only; null: all. */
  readonly names: readonly string[] | null;
  readonly now: Date;
  readonly version: string;
}

/** Between two pauses in which others are answered. */
const SOURCES_AT_ONCE = 20;

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * Everything a Prometheus server may ask, as it stands at this moment: nothing is kept between scrapes, so that a figure can never outlive what it says. What is unknown is absent; the only zeros are zeros.
 * Labels hold names of sources, repositories, operations and types. Never ids, paths or the text of errors: they would have no end.
 */
export async function renderMetrics({ catalog, inventory, names, now, version }: MetricsInput): Promise<string> {
  const registry = new Registry();
  const metrics = defineMetrics(registry);
  for (const [index, source] of [...inventory.sources.values()].entries()) {
    // A thousand sources take a while, and others wait for answers too.
    if (index % SOURCES_AT_ONCE === SOURCES_AT_ONCE - 1) await setImmediate();
    const status = currentStatus(catalog, source, now);
    setObjectives(metrics, status);
    for (const copy of status.copies) setCopy(metrics, source.name, copy);
    setDrill(metrics, status);
    setLastSuccesses(metrics, catalog, source);
    setKnown(metrics.rtoPredicted, { source: source.name }, readSummary(catalog, source.name)?.predicted?.seconds ?? null);
  }
  for (const repository of inventory.repositories.values()) setCapacity(metrics, catalog, repository, now);
  for (const [severity, count] of Object.entries(countOpenAlerts(catalog))) metrics.alerts.set({ severity }, count);
  for (const [operation, count] of countRunning(catalog)) metrics.running.set({ operation }, count);
  for (const { source, operation, outcome, count } of countRuns(catalog)) {
    if (names !== null && !names.includes(source)) continue;
    if (outcome === "missed") metrics.missed.inc({ source, operation }, count);
    else metrics.runs.inc({ source, operation, outcome }, count);
  }
  metrics.build.set({ version }, 1);
  return registry.metrics();
}

type OfSource = Gauge<"source">;
type OfCopy = Gauge<"source" | "repository">;

interface Metrics {
  readonly exposure: OfCopy;
  readonly exposureBytes: OfCopy;
  readonly observed: OfCopy;
  readonly rpo: OfSource;
  readonly rto: OfSource;
  readonly rtoPredicted: OfSource;
  readonly windowStart: OfCopy;
  readonly windowEnd: OfCopy;
  readonly gaps: OfCopy;
  readonly lastSuccess: Gauge<"source" | "repository" | "operation" | "type">;
  readonly drillPass: OfSource;
  readonly drillRto: OfSource;
  readonly runs: Counter<"source" | "operation" | "outcome">;
  readonly missed: Counter<"source" | "operation">;
  readonly running: Gauge<"operation">;
  readonly repositoryUsed: Gauge<"repository">;
  readonly repositoryFree: Gauge<"repository">;
  readonly repositoryFull: Gauge<"repository">;
  readonly alerts: Gauge<"severity">;
  readonly build: Gauge<"version">;
}

function defineMetrics(registry: Registry): Metrics {
  const registers = [registry];
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> => new Gauge({ name, help, labelNames, registers });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> => new Counter({ name, help, labelNames, registers });
  const copy = ["source", "repository"] as const;
  const source = ["source"] as const;
  return {
    exposure: gauge("holdfast_exposure_seconds", "Age of the oldest commit that this copy could not bring back. Absent while it is not observed.", copy),
    exposureBytes: gauge("holdfast_exposure_bytes", "WAL written on the source that this copy could not bring back. Absent while it is not observed.", copy),
    observed: gauge("holdfast_observed", "1 while the exposure of this copy is observed, else 0.", copy),
    rpo: gauge("holdfast_rpo_objective_seconds", "Recovery point objective.", source),
    rto: gauge("holdfast_rto_objective_seconds", "Recovery time objective.", source),
    rtoPredicted: gauge("holdfast_rto_predicted_seconds", "Recovery time estimated from drills, for the newest state. Absent without a drill to estimate from.", source),
    windowStart: gauge("holdfast_recovery_window_start_timestamp_seconds", "The earliest time in the stretch of time travel that reaches furthest.", copy),
    windowEnd: gauge("holdfast_recovery_window_end_timestamp_seconds", "Until when everything committed can be brought back.", copy),
    gaps: gauge("holdfast_wal_gaps", "Gaps in the WAL of this copy when it was last looked at.", copy),
    lastSuccess: gauge(
      "holdfast_last_success_timestamp_seconds",
      "When an operation last succeeded. The repository is empty where an operation is not of one copy, the type where it has none.",
      [...copy, "operation", "type"],
    ),
    drillPass: gauge("holdfast_drill_last_pass_timestamp_seconds", "When a drill last passed.", source),
    drillRto: gauge("holdfast_drill_rto_seconds", "Recovery time measured by the last drill that came to a result.", source),
    runs: counter("holdfast_runs_total", "Runs that ended, by outcome; slots that a stronger backup served are superseded.", [...source, "operation", "outcome"]),
    missed: counter("holdfast_runs_missed_total", "Slots of the schedule at which nothing ran.", [...source, "operation"]),
    running: gauge("holdfast_running", "Runs that are going on, by operation.", ["operation"]),
    ...defineRepositoryMetrics(gauge),
    alerts: gauge("holdfast_alerts", "Alerts that are not over, by severity.", ["severity"]),
    build: gauge("holdfast_build_info", "Always 1; the label says which version runs.", ["version"]),
  };
}

function defineRepositoryMetrics(
  gauge: (name: string, help: string, labelNames: readonly "repository"[]) => Gauge<"repository">,
): Pick<Metrics, "repositoryUsed" | "repositoryFree" | "repositoryFull"> {
  const repository = ["repository"] as const;
  return {
    repositoryUsed: gauge("holdfast_repository_used_bytes", "What all objects of the repository take, when it was last measured.", repository),
    repositoryFree: gauge("holdfast_repository_free_bytes", "What is free where the repository is. Absent where the place does not say.", repository),
    repositoryFull: gauge(
      "holdfast_repository_full_timestamp_seconds",
      "When nothing will be free any more, if it goes on as it did. Absent where it does not shrink.",
      repository,
    ),
  };
}

function setObjectives(metrics: Metrics, { name: source, objectives }: CurrentStatus): void {
  metrics.rpo.set({ source }, objectives.rpoSeconds);
  metrics.rto.set({ source }, objectives.rtoSeconds);
}

function setCopy(metrics: Metrics, source: string, copy: CurrentCopy): void {
  const labels = { source, repository: copy.repository };
  metrics.observed.set(labels, copy.observed ? 1 : 0);
  setKnown(metrics.exposure, labels, copy.exposureSeconds);
  setKnown(metrics.exposureBytes, labels, copy.exposureBytes);
  setKnown(metrics.windowStart, labels, unixSeconds(copy.recoverableFrom));
  setKnown(metrics.windowEnd, labels, unixSeconds(copy.recoverableTo));
  setKnown(metrics.gaps, labels, copy.gaps);
}

function setDrill(metrics: Metrics, { name: source, lastProvenAt, lastRtoSeconds }: CurrentStatus): void {
  setKnown(metrics.drillPass, { source }, unixSeconds(lastProvenAt));
  setKnown(metrics.drillRto, { source }, lastRtoSeconds);
}

function setCapacity(metrics: Metrics, catalog: Catalog, config: RepositoryConfig, now: Date): void {
  const { name: repository } = config;
  const readings = recentCapacity(catalog, config, now);
  const last = readings.at(-1);
  const full = projectFull(readings);
  setKnown(metrics.repositoryUsed, { repository }, last?.usedBytes ?? null);
  setKnown(metrics.repositoryFree, { repository }, last?.freeBytes ?? null);
  setKnown(metrics.repositoryFull, { repository }, unixSeconds(full.kind === "full" ? full.at.toISOString() : null));
}

/** Operations whose figures say which copies they reached; the log is of no single copy. */
const BY_COPY = ["verify", "expire", "drill"] as const;

function setLastSuccesses(metrics: Metrics, catalog: Catalog, config: SourceConfig): void {
  const source = config.name;
  for (const repository of copiesOf(config)) {
    for (const type of config.policy.backups.keys())
      setKnown(metrics.lastSuccess, { source, repository, operation: "backup", type }, unixSeconds(lastSuccessOfCopy(catalog, { source, operation: "backup", type, repository })));
    for (const operation of BY_COPY)
      setKnown(metrics.lastSuccess, { source, repository, operation, type: "" }, unixSeconds(lastSuccessOfCopy(catalog, { source, operation, type: null, repository })));
  }
  const log = newestRun(catalog, { source, operation: "log", type: "log", outcome: "succeeded" });
  setKnown(metrics.lastSuccess, { source, repository: "", operation: "log", type: "log" }, unixSeconds(log?.finishedAt ?? null));
}

function setKnown<L extends string>(metric: Gauge<L>, labels: Record<L, string>, value: number | null): void {
  if (value !== null) metric.set(labels, value);
}

function unixSeconds(at: string | null): number | null {
  return at === null ? null : Date.parse(at) / 1000;
}
