import type { Catalog } from "../catalog/catalog.ts";
import { firstRecordAt, recordsOfPeriod, newestSuccesses } from "../catalog/compliance-queries.ts";
import { listVerified } from "../catalog/runs.ts";
import type { Run } from "../catalog/runs.ts";
import { readSnapshot } from "../catalog/snapshots.ts";
import type { Finding, ReportSource, SourceReport } from "../domain/compliance.ts";
import type { DrillRecord, HeldPopulation, RunRecord } from "../domain/control-population.ts";
import { findingsOf } from "../domain/control-findings.ts";
import { evaluateRules, SOURCE_RULES } from "../domain/control-rules.ts";
import { worstStatus } from "../domain/control-status.ts";
import type { ControlStatus, RuleResult } from "../domain/control-status.ts";
import { exposureOf, recoveryPointVerdict } from "./copy-exposure.ts";
import { countDrills, recoveryTimeOf } from "./drill-counts.ts";
import { drillRecord } from "./drill-record.ts";
import { runRecord, slotsOf } from "./run-record.ts";
import type { Period } from "./run-record.ts";
import { verificationOf } from "./verification.ts";
import { countBackups, countOtherWork, unaccountedSlots } from "./work-counts.ts";

export interface SourceReportRequest {
  readonly catalog: Catalog;
  /** Where samples of exposure are; another catalog where `catalog` is of an earlier time. */
  readonly samples: Catalog;
  readonly source: ReportSource;
  readonly period: Period;
  /** The end of the period, or now if that is earlier. */
  readonly measuredUntil: Date;
  readonly now: Date;
}

export interface BuiltSource {
  readonly report: SourceReport;
  readonly findings: readonly Finding[];
  readonly population: HeldPopulation;
}

/** One source over the period, and the records that its figures are made from. */
export function buildSourceReport(request: SourceReportRequest): BuiltSource {
  const { catalog, source, period, measuredUntil, now } = request;
  const { records, drills, verifications } = readRecords(request);
  const successes = newestSuccesses(catalog, source.name, period.from);
  const snapshot = readSnapshot(catalog, source.name);
  const facts = { catalog, source, records, successes, now, measuredUntil };
  const figures = {
    backups: countBackups(facts),
    otherWork: countOtherWork(facts),
    drills: countDrills(drills, successes, unaccountedSlots(facts, "drill", null)),
    recoveryTime: recoveryTimeOf(drills, source.objectives.rtoSeconds),
    verification: verificationOf(verifications, listVerified(catalog, source.name), snapshot?.info ?? null),
    exposure: exposureOf(request.samples, source, { from: new Date(period.from), to: measuredUntil }, catalog),
    gaps: snapshot?.info.gaps ?? null,
  };
  const rules = evaluateRules({ ...figures, drillRecords: drills, period, firstRecordAt: firstRecordAt(catalog, source.name), runs: records.length });
  const report = {
    name: source.name,
    tier: source.tier,
    dataClass: source.dataClass,
    policy: source.policy.name,
    systemIdentifier: snapshot?.info.systemIdentifier ?? null,
    objectives: { rtoSeconds: source.objectives.rtoSeconds, rpoSeconds: source.objectives.rpoSeconds },
    rules,
    recoveryPoint: recoveryPointVerdict(figures.exposure),
    ...figures,
    seenAt: snapshot?.at ?? null,
  };
  const findings = findingsOf(report);
  return { report: { ...report, status: statusOf(rules, findings) }, findings, population: { runs: records, drills } };
}

/** The worst of the rules; and a deficiency that stands is never less than deficient, whichever rule would have looked past it. */
function statusOf(rules: readonly RuleResult[], findings: readonly Finding[]): ControlStatus {
  if (findings.some(({ severity }) => severity === "deficiency")) return "deficient";
  return worstStatus(rules.filter(({ rule }) => SOURCE_RULES.includes(rule)).map(({ status }) => status));
}

function readRecords({ catalog, source, period }: SourceReportRequest): { records: RunRecord[]; drills: DrillRecord[]; verifications: Run[] } {
  const records: RunRecord[] = [];
  const drills: DrillRecord[] = [];
  const verifications: Run[] = [];
  for (const run of recordsOfPeriod(catalog, { source: source.name, ...period })) {
    const slots = slotsOf(run, source, period);
    records.push(runRecord(run, slots));
    if (run.operation === "drill") drills.push(drillRecord(run, slots));
    if (run.operation === "verify") verifications.push(run);
  }
  return { records, drills, verifications };
}
