import { setImmediate } from "node:timers/promises";
import type { Catalog } from "../catalog/catalog.ts";
import { lastApplied } from "../catalog/apply-entry.ts";
import { lineOf } from "../domain/compliance.ts";
import type {
  ComplianceReport,
  EvidenceHead,
  EvidenceState,
  Finding,
  ObjectiveVerdict,
  ReportFigures,
  ReportSource,
  SourceLine,
  SourceReport,
  TierSummary,
} from "../domain/compliance.ts";
import { findingsOfRecord } from "../domain/control-findings.ts";
import { CONTROLS } from "../domain/control-map.ts";
import type { DrillRecord, RunRecord } from "../domain/control-population.ts";
import { evaluateControls, worstStatus } from "../domain/control-status.ts";
import { HoldfastError } from "../errors.ts";
import { VERSION } from "../version.ts";
import type { Period } from "./run-record.ts";
import { buildSourceReport } from "./source-report.ts";
import type { ReportSink } from "./report-extract.ts";
import type { SourceReportRequest } from "./source-report.ts";

export interface ReportRequest {
  readonly catalog: Catalog;
  /** The inventory, as far as a report looks at it. */
  readonly inventory: { readonly sources: ReadonlyMap<string, ReportSource> };
  /** Inclusive. */
  readonly from: Date;
  /** Exclusive. May lie ahead; measuring ends at `now`. */
  readonly to: Date;
  readonly now: Date;
  /** Names; null: all sources of the inventory. */
  readonly sources: readonly string[] | null;
  /** The report as it would have been made at a time, from a catalog of what was on record by then; samples of exposure are in `catalog`. */
  readonly asOf?: { readonly at: Date; readonly record: Catalog } | null;
  /** The newest entry of this host's evidence log; null: not looked up. */
  readonly evidenceHead: EvidenceHead | null;
}

/** The compliance report of a period, from what is on record in the catalog. Throws `HF-USAGE` for a period without length and for a source that is not in the inventory. */
export function buildReport(request: ReportRequest): ComplianceReport {
  const plan = planReport(request);
  const held = new HeldReport();
  return held.report(
    request,
    plan,
    plan.sources.map((source) => buildSourceReport(source, held)).flatMap(({ findings }) => findings),
  );
}

/**
 * The same in little memory, however long the period is and however many sources there are: `sink` is given every record, and the figures of each source when they are made; what is left is a few thousand bytes
 * a source. Each record is read once.
 */
export function streamReport(request: ReportRequest, sink: ReportSink): ReportFigures {
  const plan = planReport(request);
  const counts = { runs: { length: 0 }, drills: { length: 0 } };
  const lines: SourceLine[] = [];
  const findings: Finding[] = [];
  const counting: ReportSink = {
    run: (record) => {
      counts.runs.length++;
      sink.run(record);
    },
    drill: (record) => {
      counts.drills.length++;
      sink.drill(record);
    },
    source: (report) => {
      lines.push(lineOf(report));
      sink.source(report);
    },
  };
  for (const source of plan.sources) findings.push(...buildSourceReport(source, counting).findings);
  return { ...assemble(request, plan, lines, findings), population: counts };
}

/** The whole report for a process that has other things to do: a month of one source takes up to half a second, and after each source others get their turn. */
export async function buildReportInTurns(request: ReportRequest): Promise<ComplianceReport> {
  const plan = planReport(request);
  const held = new HeldReport();
  const findings: Finding[] = [];
  for (const source of plan.sources) {
    findings.push(...buildSourceReport(source, held).findings);
    await setImmediate();
  }
  return held.report(request, plan, findings);
}

/** Keeps all that goes by. */
class HeldReport implements ReportSink {
  readonly #runs: RunRecord[] = [];
  readonly #drills: DrillRecord[] = [];
  readonly #sources: SourceReport[] = [];

  run(record: RunRecord): void {
    this.#runs.push(record);
  }

  drill(record: DrillRecord): void {
    this.#drills.push(record);
  }

  source(report: SourceReport): void {
    this.#sources.push(report);
  }

  report(request: ReportRequest, plan: ReportPlan, findings: readonly Finding[]): ComplianceReport {
    return { ...assemble(request, plan, this.#sources, findings), population: { runs: this.#runs, drills: this.#drills } };
  }
}

interface ReportPlan {
  readonly period: Period;
  readonly measuredUntil: Date;
  readonly sources: readonly SourceReportRequest[];
}

function planReport({ catalog: samples, inventory, from, to, now: generatedAt, sources, asOf = null }: ReportRequest): ReportPlan {
  if (!(from < to))
    throw new HoldfastError("HF-USAGE", "the period ends before it begins", { hint: "give --from a time before --to", facts: { from: from.toISOString(), to: to.toISOString() } });
  const [now, catalog] = asOf === null ? [generatedAt, samples] : [asOf.at, asOf.record];
  const period = { from: from.toISOString(), to: to.toISOString() };
  const measuredUntil = new Date(Math.max(from.getTime(), Math.min(to.getTime(), now.getTime())));
  const names = sources ?? [...inventory.sources.keys()];
  return { period, measuredUntil, sources: names.map((name) => ({ catalog, samples, source: sourceNamed(inventory.sources, name), period, measuredUntil, now })) };
}

function assemble<T extends SourceLine>(
  { catalog, inventory, now, evidenceHead, asOf = null }: ReportRequest,
  { period, measuredUntil }: ReportPlan,
  sources: readonly T[],
  findings: readonly Finding[],
): Omit<ReportFigures, "population" | "sources"> & { readonly sources: readonly T[] } {
  const names = sources.map(({ name }) => name);
  const evidence = evidenceState(asOf?.record ?? catalog, evidenceHead);
  return {
    kind: "holdfast.compliance-report",
    version: 1,
    cover: {
      scope: { sources: names, notIncluded: [...inventory.sources.keys()].filter((name) => !names.includes(name)) },
      period,
      measuredUntil: measuredUntil.toISOString(),
      generatedAt: now.toISOString(),
      asOf: asOf?.at.toISOString() ?? null,
      programVersion: VERSION,
      evidence,
    },
    status: worstStatus(sources.map(({ status }) => status)),
    summary: summariseTiers(sources),
    findings: [...findingsOfRecord(evidence), ...findings],
    sources,
    controls: evaluateControls(CONTROLS, sources),
    limits: asOf === null ? LIMITS : [...LIMITS, ...LIMITS_AS_OF],
  };
}

/** Printed with every report: what signatures and figures cannot do. */
const LIMITS = [
  "Figures come from what this installation put on record. A signature shows who said it and that it is unchanged; it does not make it true.",
  "Verification results and gaps are as last known when the report was made, not as they were at the end of the period.",
  "A slot that was run counts in the period in which it was run, a slot that was passed over in the period in which it lay.",
  "The bound on the failure probability holds as far as the drills were independent of each other; few drills prove little.",
  "Whether the evidence is enough for a control is for the auditor to say.",
] as const;

const LIMITS_AS_OF = [
  "The report says what was known at an earlier time: entries that were written later are left out, and so is what was found since about the time before. Which copies the repositories held then is not kept.",
  "It is measured against the policies as they are now.",
] as const;

function sourceNamed(sources: ReadonlyMap<string, ReportSource>, name: string): ReportSource {
  const source = sources.get(name);
  if (source === undefined)
    throw new HoldfastError("HF-USAGE", `there is no source ${JSON.stringify(name)}`, {
      hint: `choose from: ${[...sources.keys()].join(", ")}`,
      facts: { sources: [...sources.keys()] },
    });
  return source;
}

/** Whether all evidence of this host is in the catalog. Evidence of other hosts has heads of its own. */
function evidenceState(catalog: Catalog, head: EvidenceHead | null): EvidenceState {
  if (head === null) return { head, includedSequence: null, complete: null };
  const includedSequence = lastApplied(catalog, head.writer);
  return { head, includedSequence, complete: includedSequence >= head.sequence };
}

function summariseTiers(sources: readonly SourceLine[]): TierSummary[] {
  return [...Map.groupBy(sources, ({ tier }) => tier)].map(([tier, members]) => {
    const total = (of: (source: SourceLine) => number): number => members.reduce((sum, source) => sum + of(source), 0);
    return {
      tier,
      sources: members.length,
      recoveryPoint: countVerdicts(members.map(({ recoveryPoint }) => recoveryPoint)),
      recoveryTime: countVerdicts(members.map(({ recoveryTime }) => recoveryTime.verdict)),
      drills: {
        due: total(({ drills }) => drills.due),
        run: total(({ drills }) => drills.run),
        passed: total(({ drills }) => drills.passed),
        failed: total(({ drills }) => drills.failed),
        inconclusive: total(({ drills }) => drills.inconclusive),
        missed: total(({ drills }) => drills.missed),
      },
    };
  });
}

function countVerdicts(verdicts: readonly ObjectiveVerdict[]): Record<ObjectiveVerdict, number> {
  const count = (verdict: ObjectiveVerdict): number => verdicts.filter((candidate) => candidate === verdict).length;
  return { held: count("held"), breached: count("breached"), not_evidenced: count("not_evidenced") };
}
