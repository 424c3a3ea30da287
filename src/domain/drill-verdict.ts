/** The pass rule of a drill. "It started" is not evidence: with a segment missing in the middle PostgreSQL restores to latest, promotes, and logs no error. */
export const DRILL_VERDICTS = ["pass", "pass_with_warnings", "fail", "inconclusive"] as const;
export type DrillVerdict = (typeof DRILL_VERDICTS)[number];
export const DRILL_FAULTS = ["backup", "source", "environment", "timeout"] as const;
export type DrillFault = (typeof DRILL_FAULTS)[number];

export interface DrillCheckResult {
  readonly name: string;
  readonly required: boolean;
  /** `skipped`: could not be done here; the reason is in the detail. */
  readonly outcome: "pass" | "fail" | "warn" | "skipped";
  readonly detail: string;
  /** Whose fault a failure is. */
  readonly fault: DrillFault;
}

/** What was promised, and what was measured of it; null where nothing was. */
interface DrillFigures {
  readonly rtoActualSeconds: number | null;
  readonly rtoObjectiveSeconds: number | null;
  readonly rpoActualSeconds: number | null;
  readonly rpoObjectiveSeconds: number | null;
}

/** Whether the drill ran on another machine than its source; null where that cannot be known. */
export interface DrillSegregation {
  readonly drillHost: string;
  readonly sourceHost: string | null;
  readonly sameMachine: boolean | null;
  readonly reason: string;
}

/** What is kept of a drill wherever it is told of: in its answer, and in what is on record of it. */
export interface DrillFacts extends DrillFigures {
  readonly fault: DrillFault | null;
  readonly backupId: string | null;
  readonly expectedLsn: string | null;
  readonly achievedLsn: string | null;
  readonly heartbeatOk: boolean | null;
  readonly phases: readonly { readonly name: string; readonly seconds: number }[];
}

export interface DrillFindings extends DrillFigures {
  readonly checks: readonly DrillCheckResult[];
}

export interface DrillJudgement {
  readonly verdict: DrillVerdict;
  readonly fault: DrillFault | null;
  readonly reasons: readonly string[];
}

/** A drill passes only if every required check passed and both objectives held. A fault of the machine is inconclusive and never counts as a drill that was done. */
export function judgeDrill(findings: DrillFindings): DrillJudgement {
  const { checks } = findings;
  const failed = checks.filter((check) => check.outcome === "fail" && check.required);
  const ofBackup = failed.find((check) => check.fault === "backup") ?? failed.find((check) => check.fault === "source");
  if (ofBackup !== undefined) return { verdict: "fail", fault: ofBackup.fault, reasons: failed.map(describe) };
  const [environmental] = failed;
  if (environmental !== undefined) return { verdict: "inconclusive", fault: environmental.fault, reasons: failed.map(describe) };
  const skipped = checks.filter((check) => check.outcome === "skipped" && check.required);
  if (skipped.length > 0) return { verdict: "inconclusive", fault: "environment", reasons: skipped.map(describe) };
  const breaches = objectiveBreaches(findings);
  if (breaches.length > 0) return { verdict: "fail", fault: "backup", reasons: breaches };
  const warnings = checks.filter((check) => check.outcome === "warn" || check.outcome === "fail" || check.outcome === "skipped");
  return warnings.length > 0 ? { verdict: "pass_with_warnings", fault: null, reasons: warnings.map(describe) } : { verdict: "pass", fault: null, reasons: [] };
}

function objectiveBreaches({ rtoActualSeconds, rtoObjectiveSeconds, rpoActualSeconds, rpoObjectiveSeconds }: DrillFigures): string[] {
  const breaches: string[] = [];
  if (rtoActualSeconds !== null && rtoObjectiveSeconds !== null && rtoActualSeconds > rtoObjectiveSeconds)
    breaches.push(`recovery took ${rtoActualSeconds.toFixed(1)} s, the objective is ${rtoObjectiveSeconds} s`);
  if (rpoActualSeconds !== null && rpoObjectiveSeconds !== null && rpoActualSeconds > rpoObjectiveSeconds)
    breaches.push(`${rpoActualSeconds.toFixed(1)} s of work would have been lost, the objective is ${rpoObjectiveSeconds} s`);
  return breaches;
}

function describe(check: DrillCheckResult): string {
  return `${check.name}: ${check.detail}`;
}
