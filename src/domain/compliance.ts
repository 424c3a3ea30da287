import type { BackupType } from "./backup-id.ts";
import type { Counted, HeldPopulation } from "./control-population.ts";
import type { ControlResult, ControlStatus, RuleResult } from "./control-status.ts";
import type { DrillVerdict } from "./drill-verdict.ts";
import type { ExposureSummary } from "./exposure-series.ts";
import type { Restatement } from "./restatement.ts";
import type { Schedule } from "./schedule.ts";
import type { GapView, SourceInfo, VerificationView } from "./source-info.ts";

/**
 * The compliance report of a period: what was due, what was done, what was measured, and what that supports evidence for. Plain data, the same for JSON, HTML and the API.
 * Times are RFC 3339 in UTC; unknown is null and never 0; shares are between 0 and 1.
 */
export interface ComplianceReport extends ReportFigures {
  readonly sources: readonly SourceReport[];
  readonly population: HeldPopulation;
}

/** The same report without what is long, which goes by as it is made: a year of a thousand sources has millions of records, and half a gigabyte of figures by source. */
export interface ReportFigures {
  readonly kind: "holdfast.compliance-report";
  readonly version: 1;
  readonly cover: ReportCover;
  /** The worst of all sources: a report never looks better than its worst part. */
  readonly status: ControlStatus;
  readonly summary: readonly TierSummary[];
  readonly findings: readonly Finding[];
  readonly sources: readonly SourceLine[];
  readonly controls: readonly ControlResult[];
  readonly population: { readonly runs: Counted; readonly drills: Counted };
  /** What the report cannot show, in sentences. */
  readonly limits: readonly string[];
}

interface ReportCover {
  readonly scope: {
    readonly sources: readonly string[];
    /** In the inventory, and not in this report. */
    readonly notIncluded: readonly string[];
  };
  /** From (inclusive) to (exclusive). */
  readonly period: { readonly from: string; readonly to: string };
  /** Where measuring ends: the end of the period, or the time of the report if that is earlier. */
  readonly measuredUntil: string;
  readonly generatedAt: string;
  /** What was on record by then is what the report is made from; null: all that is. */
  readonly asOf: string | null;
  readonly programVersion: string;
  readonly evidence: EvidenceState;
}

export interface EvidenceHead {
  readonly writer: string;
  readonly sequence: number;
  /** SHA-256, hex, of the newest entry. */
  readonly sha256: string;
}

export interface EvidenceState {
  /** Null: it was not looked up. */
  readonly head: EvidenceHead | null;
  /** The last entry of that writer that the figures are made from. */
  readonly includedSequence: number | null;
  /** False: entries are missing from the figures. Null: not known. */
  readonly complete: boolean | null;
}

/** Whether an objective was kept over the period: `held` needs measurements; where there are none it is `not_evidenced`. */
export type ObjectiveVerdict = "held" | "breached" | "not_evidenced";

export interface TierSummary {
  readonly tier: string;
  readonly sources: number;
  readonly recoveryPoint: Readonly<Record<ObjectiveVerdict, number>>;
  readonly recoveryTime: Readonly<Record<ObjectiveVerdict, number>>;
  readonly drills: { readonly due: number; readonly run: number; readonly passed: number; readonly failed: number; readonly inconclusive: number; readonly missed: number };
}

export interface SourceReport {
  readonly name: string;
  readonly tier: string;
  readonly dataClass: string;
  readonly policy: string;
  readonly systemIdentifier: string | null;
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  readonly status: ControlStatus;
  readonly rules: readonly RuleResult[];
  readonly recoveryPoint: ObjectiveVerdict;
  readonly recoveryTime: RecoveryTime;
  readonly backups: readonly WorkCounts[];
  readonly otherWork: readonly WorkCounts[];
  readonly drills: DrillCounts;
  readonly verification: Verification;
  readonly exposure: readonly CopyExposure[];
  /** As last seen in the repositories; null: never looked. */
  readonly gaps: readonly GapView[] | null;
  /** When the repositories were last looked at. */
  readonly seenAt: string | null;
}

/** A source without its series, and without a list of what was done: what tables and totals take. */
export interface SourceLine extends Omit<SourceReport, "verification" | "exposure" | "recoveryTime"> {
  readonly recoveryTime: Omit<RecoveryTime, "actual">;
  readonly exposure: readonly Omit<CopyExposure, "series">[];
}

export function lineOf({ verification: _verification, exposure, recoveryTime: { actual: _actual, ...recoveryTime }, ...rest }: SourceReport): SourceLine {
  return { ...rest, recoveryTime, exposure: exposure.map(({ series: _series, ...copy }) => copy) };
}

/** One kind of scheduled work in the period. An interval of slots that were missed together counts for each of them. */
export interface WorkCounts {
  readonly operation: string;
  readonly type: string | null;
  /** Slots of the schedule that are on record, however they ended. */
  readonly due: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly interrupted: number;
  readonly missed: number;
  /** A stronger backup ran in the same hour; counts as done. */
  readonly superseded: number;
  /** Its source was paused: on purpose, and with a reason. */
  readonly skipped: number;
  readonly running: number;
  /** Of these runs, those that no slot asked for. */
  readonly unscheduled: number;
  /** Slots since the last one on record that nothing accounts for; null where there is no schedule or no record to count from. */
  readonly unaccounted: number | null;
  readonly lastSuccessAt: string | null;
  /** Runs that failed, were interrupted or missed, and after which none of the kind (or a stronger one) has succeeded to this day. */
  readonly withoutLaterSuccess: readonly string[];
}

export interface DrillCounts {
  readonly due: number;
  /** Drills that came to a result: passed or failed. Inconclusive ones prove nothing and do not count as run. */
  readonly run: number;
  readonly passed: number;
  /** Of those that passed. */
  readonly passedWithWarnings: number;
  readonly failed: number;
  readonly inconclusive: number;
  /** Ended before there was a verdict: cancelled, interrupted, or not able to begin. */
  readonly withoutVerdict: number;
  readonly missed: number;
  readonly unaccounted: number | null;
  readonly last: { readonly run: string; readonly at: string; readonly verdict: DrillVerdict } | null;
  /** Failed drills after which none has passed to this day. */
  readonly withoutLaterPass: readonly string[];
  /**
   * With 95 % confidence the probability that a restore fails is below this, as far as the drills were independent: 1 - 0.05^(1/n) for n drills without a failure.
   * Null without drills, and with a failure.
   */
  readonly failureProbabilityUpperBound95: number | null;
}

export interface RecoveryTime {
  readonly verdict: ObjectiveVerdict;
  readonly objectiveSeconds: number;
  readonly lastSeconds: number | null;
  readonly maxSeconds: number | null;
  /** From declaration to last check passed, of every drill that was run, oldest first. */
  readonly actual: readonly { readonly run: string; readonly at: string; readonly seconds: number; readonly objectiveSeconds: number; readonly verdict: DrillVerdict }[];
}

export interface Verification {
  /** Verify runs in the period that ended, oldest first. */
  readonly runs: readonly VerifyRun[];
  /** The last result for each copy that was ever verified. */
  readonly copies: readonly VerifiedCopy[];
  /** Copies that are there and were never verified; null: the repositories were never looked at. */
  readonly neverVerified: readonly { readonly repository: string; readonly backup: string }[] | null;
  /** How far verification is in each repository, piece by piece, as it was seen last. */
  readonly pieces: readonly VerificationView[];
}

export interface VerifyRun {
  readonly run: string;
  readonly at: string;
  readonly tier: string | null;
  /** Null: it ended without a result. */
  readonly ok: boolean | null;
  readonly repositories: readonly string[];
  readonly objects: number | null;
  readonly bytes: number | null;
  readonly damaged: number | null;
}

export interface VerifiedCopy {
  readonly repository: string;
  readonly backup: string;
  readonly tier: string;
  readonly at: string;
  readonly ok: boolean;
  /** Whether the repository still held it when last looked at; null: never looked. */
  readonly present: boolean | null;
}

export interface CopyExposure extends ExposureSummary {
  readonly repository: string;
  /** False: the log does not go there by policy, so that the recovery point objective is not asked of this copy alone. */
  readonly objectiveApplies: boolean;
  readonly verdict: ObjectiveVerdict;
  /** Stretches of the period whose samples turned out to have been wrong; the figures are as they are known to have been. */
  readonly restatements: readonly (Restatement & { readonly knownAt: string })[];
}

/** Worst first. `deficiency`: it stands. `missing_evidence`: it may be well, and nothing shows it. `exception`: it was not well, and was seen to end. */
export const FINDING_SEVERITIES = ["deficiency", "missing_evidence", "exception"] as const;
export type FindingSeverity = (typeof FINDING_SEVERITIES)[number];

/** Something an auditor will ask about. */
export interface Finding {
  readonly severity: FindingSeverity;
  readonly kind: FindingKind;
  /** Null: of the whole installation. */
  readonly source: string | null;
  readonly repository: string | null;
  /** Since when, or when it was found; null where it has no time. */
  readonly at: string | null;
  readonly detail: string;
  /** What it is about: ids of runs or backups. */
  readonly references: readonly string[];
}

export const FINDING_KINDS = [
  "no_success_since",
  "source_paused",
  "slots_unaccounted",
  "recovery_point_breach",
  "exposure_unobserved",
  "exposure_restated",
  "drill_failed",
  "no_drill",
  "recovery_time_breach",
  "damage_found",
  "copy_never_verified",
  "wal_gap",
  "record_incomplete",
] as const;
type FindingKind = (typeof FINDING_KINDS)[number];

/** What a report needs to know of a source: a part of its configuration. */
export interface ReportSource {
  readonly name: string;
  readonly tier: string;
  readonly dataClass: string;
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds: number };
  readonly policy: {
    readonly name: string;
    readonly backups: ReadonlyMap<BackupType, { readonly schedule: Schedule; readonly repositories: readonly string[] }>;
    readonly log: { readonly schedule: Schedule | { readonly kind: "stream" }; readonly repositories: readonly string[] } | null;
    readonly verify: { readonly schedule: Schedule } | null;
    readonly expire: { readonly schedule: Schedule };
    readonly drills: { readonly schedule: Schedule } | null;
  };
}

/** Every repository a source uses, in the order the policy names them. */
export function copiesOf({ policy }: ReportSource): string[] {
  return [...new Set([...[...policy.backups.values()].flatMap((rule) => rule.repositories), ...(policy.log?.repositories ?? [])])];
}

/** The copies that must hold the recovery point objective by themselves: those the log goes to. Without a log, all. */
export function copiesWithObjective(source: ReportSource): readonly string[] {
  return source.policy.log?.repositories ?? copiesOf(source);
}

/** The repositories that were reached when a source was last looked at. Of one that was not, nothing is known: neither what is in it nor what is missing. */
export function repositoriesSeen({ backups, windows, gaps }: SourceInfo): ReadonlySet<string> {
  return new Set([...windows, ...gaps, ...backups.flatMap(({ copies }) => copies)].map(({ repository }) => repository));
}

/** The upper bound (95 % confidence, Clopper-Pearson) of the probability that a restore fails, after n independent drills none of which failed. Null for none. */
export function failureProbabilityUpperBound95(cleanDrills: number): number | null {
  return cleanDrills < 1 ? null : 1 - 0.05 ** (1 / cleanDrills);
}
