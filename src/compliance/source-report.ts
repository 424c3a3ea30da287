import type { Catalog } from "../catalog/catalog.ts";
import { firstRecordAt, newestSuccesses } from "../catalog/compliance-queries.ts";
import { recordsOfPeriod } from "../catalog/period-records.ts";
import { listVerified } from "../catalog/verified.ts";
import { readSnapshot } from "../catalog/snapshots.ts";
import type { Finding, ReportSource, SourceReport, VerifyRun } from "../domain/compliance.ts";
import type { DrillRecord } from "../domain/control-population.ts";
import { findingsOf } from "../domain/control-findings.ts";
import { evaluateRules, SOURCE_RULES } from "../domain/control-rules.ts";
import { worstStatus } from "../domain/control-status.ts";
import type { ControlStatus, RuleResult } from "../domain/control-status.ts";
import { exposureOf, recoveryPointVerdict } from "./copy-exposure.ts";
import { countDrills, recoveryTimeOf } from "./drill-counts.ts";
import { drillRecord } from "./drill-record.ts";
import { runRecord, slotsOf } from "./run-record.ts";
import type { Period } from "./run-record.ts";
import type { ReportSink } from "./report-extract.ts";
import { verificationOf, verifyRun } from "./verification.ts";
import { countBackups, countOtherWork, unaccountedSlots } from "./work-counts.ts";
import { WorkTallies } from "./work-tally.ts";

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
}

/** One source over the period. `sink` is given the records that its figures are made from, and then these. */
export function buildSourceReport(request: SourceReportRequest, sink: ReportSink): BuiltSource {
  const { catalog, source, period, measuredUntil, now } = request;
  const { work, runs, drills, verifications } = readRecords(request, sink);
  const successes = newestSuccesses(catalog, source.name, period.from);
  const snapshot = readSnapshot(catalog, source.name);
  const facts = { catalog, source, work, successes, now, measuredUntil };
  const figures = {
    backups: countBackups(facts),
    otherWork: countOtherWork(facts),
    drills: countDrills(drills, successes, unaccountedSlots(facts, "drill", null)),
    recoveryTime: recoveryTimeOf(drills, source.objectives.rtoSeconds),
    verification: verificationOf(verifications, listVerified(catalog, source.name), snapshot?.info ?? null),
    exposure: exposureOf(request.samples, source, { from: new Date(period.from), to: measuredUntil }, catalog),
    gaps: snapshot?.info.gaps ?? null,
  };
  const rules = evaluateRules({ ...figures, drillRecords: drills, period, firstRecordAt: firstRecordAt(catalog, source.name), runs });
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
  const built = { report: { ...report, status: statusOf(rules, findings) }, findings };
  sink.source(built.report);
  return built;
}

/** The worst of the rules; and a deficiency that stands is never less than deficient, whichever rule would have looked past it. */
function statusOf(rules: readonly RuleResult[], findings: readonly Finding[]): ControlStatus {
  if (findings.some(({ severity }) => severity === "deficiency")) return "deficient";
  return worstStatus(rules.filter(({ rule }) => SOURCE_RULES.includes(rule)).map(({ status }) => status));
}

function readRecords({ catalog, source, period }: SourceReportRequest, sink: ReportSink): { work: WorkTallies; runs: number; drills: DrillRecord[]; verifications: VerifyRun[] } {
  const work = new WorkTallies();
  let runs = 0;
  const drills: DrillRecord[] = [];
  const verifications: VerifyRun[] = [];
  for (const run of recordsOfPeriod(catalog, { source: source.name, ...period })) {
    const slots = slotsOf(run, source, period);
    const record = runRecord(run, slots);
    work.take(record);
    runs++;
    sink.run(record);
    if (run.operation === "drill") {
      const drill = drillRecord(run, slots);
      drills.push(drill);
      sink.drill(drill);
    } else if (run.operation === "verify" && run.finishedAt !== null) verifications.push(verifyRun(run));
  }
  return { work, runs, drills, verifications };
}
