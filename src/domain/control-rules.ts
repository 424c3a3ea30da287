import type { CopyExposure, SourceReport, VerifiedCopy } from "./compliance.ts";
import type { DrillRecord } from "./control-population.ts";
import type { RuleName } from "./control-map.ts";
import type { ControlStatus, RuleResult } from "./control-status.ts";
import { counted } from "./control-wording.ts";
import { beyondObjective } from "./exposure-series.ts";
import { reaches, VERIFY_TIERS } from "./verify-tier.ts";

/** What is on record about one source, as far as the rules look at it. */
export interface RuleFacts extends Pick<SourceReport, "backups" | "drills" | "recoveryTime" | "verification" | "exposure" | "gaps"> {
  readonly drillRecords: readonly DrillRecord[];
  readonly period: { readonly from: string; readonly to: string };
  /** When the first run of the source went on record; null: there is none. */
  readonly firstRecordAt: string | null;
  /** Runs of the source in the period. */
  readonly runs: number;
}

/** If a larger share of the time was unobserved, the rest does not stand for the period. */
export const MOST_UNOBSERVED_SHARE = 0.1;

/** What every rule says about one source. Where there are no records, the answer is always `not_evidenced`. */
export function evaluateRules(facts: RuleFacts): RuleResult[] {
  return [
    backupsOperated(facts),
    copiesVerified(facts),
    recoveryTested(facts),
    failuresRetested(facts),
    recoveryPointsSampled(facts),
    recoveryPointHeld(facts),
    recoveryTimeHeld(facts),
    encryptionExercised(facts),
    historyKept(facts),
  ];
}

/** The rules that make up the status of a source by itself. */
export const SOURCE_RULES: readonly RuleName[] = ["backups_operated", "copies_verified", "recovery_tested", "recovery_point_held", "recovery_time_held"];

function backupsOperated({ backups }: RuleFacts): RuleResult {
  const rows = sum(backups, (work) => work.succeeded + work.failed + work.interrupted + work.missed);
  const succeeded = sum(backups, (work) => work.succeeded);
  const [failed, missed] = [sum(backups, (work) => work.failed + work.interrupted), sum(backups, (work) => work.missed)];
  const standing = sum(backups, (work) => work.withoutLaterSuccess.length);
  const unaccounted = sum(backups, (work) => work.unaccounted ?? 0);
  const counts = `${succeeded} succeeded, ${failed} failed, ${missed} missed`;
  if (rows === 0) return result("backups_operated", "not_evidenced", 0, "no backup is on record in the period");
  if (standing > 0) return result("backups_operated", "deficient", rows, `${counts}; not each was followed by a success`);
  if (unaccounted > 0) return result("backups_operated", "deficient", rows, `${counts}; nothing accounts for the last ${counted(unaccounted, "slot")} of the schedule`);
  return failed + missed > 0
    ? result("backups_operated", "effective_with_exceptions", rows, `${counts}; each was followed by a success`)
    : result("backups_operated", "effective", rows, counts);
}

function copiesVerified({ verification, gaps, period }: RuleFacts): RuleResult {
  const { copies, neverVerified } = verification;
  const runs = verification.runs.filter((run) => run.ok !== null);
  const damaged = standingDamage(copies);
  if (damaged.length > 0) return result("copies_verified", "deficient", runs.length, `${counted(damaged.length, "copy", "copies")} found damaged, and not found good since`);
  if (gaps !== null && gaps.length > 0)
    return result("copies_verified", "deficient", runs.length, `${counted(gaps.length, "gap")} in the WAL: points in time that cannot be recovered`);
  if (runs.length === 0) return result("copies_verified", "not_evidenced", 0, "no verification came to a result in the period");
  if (neverVerified === null) return result("copies_verified", "not_evidenced", runs.length, "which copies there are was never looked up");
  const unseen = neverVerified.length;
  const failed = runs.filter((run) => run.ok === false).length;
  const counts = `${counted(runs.length, "verification")}, ${failed} of which found damage; ${counted(copies.filter((copy) => copy.at >= period.from).length, "copy", "copies")} verified since the period began`;
  if (unseen > 0 || failed > 0) return result("copies_verified", "effective_with_exceptions", runs.length, `${counts}; ${counted(unseen, "copy", "copies")} never verified`);
  return result("copies_verified", "effective", runs.length, counts);
}

function recoveryTested({ drills }: RuleFacts): RuleResult {
  const { run, passed, failed, inconclusive, missed, withoutVerdict, withoutLaterPass, unaccounted } = drills;
  const counts = `${passed} passed, ${failed} failed, ${inconclusive} inconclusive, ${missed} missed`;
  if (run === 0)
    return result(
      "recovery_tested",
      "not_evidenced",
      0,
      inconclusive + missed + withoutVerdict > 0 ? `no drill came to a result (${counts})` : "no drill is on record in the period",
    );
  if (withoutLaterPass.length > 0) return result("recovery_tested", "deficient", run, `${counts}; the last failure was not followed by a pass`);
  if (failed + inconclusive + missed + withoutVerdict > 0) return result("recovery_tested", "effective_with_exceptions", run, counts);
  return (unaccounted ?? 0) > 0
    ? result("recovery_tested", "effective_with_exceptions", run, `${counts}; nothing accounts for the last ${counted(unaccounted ?? 0, "slot")}`)
    : result("recovery_tested", "effective", run, counts);
}

function failuresRetested({ drills: { run, failed, withoutLaterPass } }: RuleFacts): RuleResult {
  if (run === 0) return result("failures_retested", "not_evidenced", 0, "no drill came to a result in the period");
  if (withoutLaterPass.length > 0) return result("failures_retested", "deficient", run, `${counted(withoutLaterPass.length, "failed drill")} not followed by one that passed`);
  return failed > 0
    ? result("failures_retested", "effective", run, `${failed} failed, each followed by one that passed`)
    : result("failures_retested", "effective", run, "no drill failed");
}

function recoveryPointsSampled({ drillRecords }: RuleFacts): RuleResult {
  const executed = drillRecords.filter(({ verdict }) => verdict !== null && verdict !== "inconclusive");
  if (executed.length === 0) return result("recovery_points_sampled", "not_evidenced", 0, "no drill came to a result in the period");
  const unseeded = executed.filter(({ seed }) => seed === null).length;
  const backups = new Set(executed.flatMap(({ backupId }) => (backupId === null ? [] : [backupId]))).size;
  if (unseeded > 0) return result("recovery_points_sampled", "effective_with_exceptions", executed.length, `${unseeded} of ${executed.length} drills have no seed on record`);
  return result("recovery_points_sampled", "effective", executed.length, `${counted(executed.length, "drill")} from ${counted(backups, "backup")}, each with a seed on record`);
}

function recoveryPointHeld({ exposure }: RuleFacts): RuleResult {
  const copies = exposure.filter(({ objectiveApplies }) => objectiveApplies);
  const rows = sum(copies, ({ samples }) => samples);
  const of = (status: ControlStatus, reason: string): RuleResult => result("recovery_point_held", status, rows, reason);
  if (rows === 0) return of("not_evidenced", "exposure was not observed in the period");
  const standing = copies.filter(beyondObjective);
  if (standing.length > 0) return of("deficient", `exposure of ${names(standing)} was last seen beyond the objective`);
  const dark = copies.filter(({ unobservedShare }) => unobservedShare === null || unobservedShare > MOST_UNOBSERVED_SHARE);
  if (dark.length > 0) return of("not_evidenced", `exposure of ${names(dark)} was unobserved for more than ${MOST_UNOBSERVED_SHARE * 100} % of the time`);
  const breached = copies.filter(({ breaches }) => breaches.length > 0);
  if (breached.length > 0)
    return of(
      "effective_with_exceptions",
      `${counted(
        sum(breached, ({ breaches }) => breaches.length),
        "breach",
        "breaches",
      )} (${names(breached)}), and last seen within the objective`,
    );
  const unseen = copies.filter(({ unobservedShare }) => unobservedShare !== 0);
  return unseen.length > 0
    ? of("effective_with_exceptions", "within the objective whenever it was observed, which was not all the time")
    : of("effective", "within the objective all the time");
}

function recoveryTimeHeld({ recoveryTime: { actual } }: RuleFacts): RuleResult {
  const last = actual.at(-1);
  if (last === undefined) return result("recovery_time_held", "not_evidenced", 0, "no recovery was measured in the period");
  const late = actual.filter(({ seconds, objectiveSeconds }) => seconds > objectiveSeconds).length;
  if (last.seconds > last.objectiveSeconds)
    return result("recovery_time_held", "deficient", actual.length, `the last of ${actual.length} measured recoveries took longer than the objective`);
  return late > 0
    ? result("recovery_time_held", "effective_with_exceptions", actual.length, `${late} of ${actual.length} measured recoveries took longer than the objective, the last did not`)
    : result("recovery_time_held", "effective", actual.length, `${counted(actual.length, "measured recovery", "measured recoveries")}, all within the objective`);
}

function encryptionExercised({ verification }: RuleFacts): RuleResult {
  const decoded = verification.runs.filter((run) => run.ok === true && VERIFY_TIERS.some((tier) => tier === run.tier && reaches(tier, "decoded")));
  if (decoded.length === 0) return result("encryption_exercised", "not_evidenced", 0, "no verification in the period read everything back and found it good");
  return result("encryption_exercised", "effective", decoded.length, `${counted(decoded.length, "verification")} decrypted and authenticated everything there is`);
}

function historyKept({ firstRecordAt, period, runs }: RuleFacts): RuleResult {
  if (firstRecordAt === null || runs === 0) return result("history_kept", "not_evidenced", 0, "nothing is on record in the period");
  const yearBefore = new Date(period.to);
  yearBefore.setUTCFullYear(yearBefore.getUTCFullYear() - 1);
  const since = `the record begins ${firstRecordAt.slice(0, 10)}`;
  if (new Date(firstRecordAt) > yearBefore) return result("history_kept", "not_evidenced", runs, `${since}, less than twelve months before the end of the period`);
  return result("history_kept", "effective", runs, since);
}

/** Damage found in copies that are still there, and not found good since. */
export function standingDamage(copies: readonly VerifiedCopy[]): VerifiedCopy[] {
  return copies.filter(({ ok, present }) => !ok && present !== false);
}

function result(rule: RuleName, status: ControlStatus, rows: number, reason: string): RuleResult {
  return { rule, status, rows, reason };
}

function names(copies: readonly CopyExposure[]): string {
  return copies.map(({ repository }) => repository).join(", ");
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
