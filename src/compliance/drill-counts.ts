import type { Success } from "../catalog/compliance-queries.ts";
import { failureProbabilityUpperBound95 } from "../domain/compliance.ts";
import type { DrillCounts, RecoveryTime } from "../domain/compliance.ts";
import type { DrillRecord } from "../domain/control-population.ts";
import { cameToResult, passed } from "./drill-record.ts";
import { SlotCount } from "./work-tally.ts";

/** `drills`: of one source in the period, oldest first. `successes`: the newest of each kind to this day. */
export function countDrills(drills: readonly DrillRecord[], successes: readonly Success[], unaccounted: number | null): DrillCounts {
  const executed = drills.filter(cameToResult);
  const failed = executed.filter(({ verdict }) => verdict === "fail");
  const last = executed.at(-1);
  const due = new SlotCount();
  for (const { scheduledFor, slots } of drills) due.take(scheduledFor, slots);
  return {
    due: due.count(),
    run: executed.length,
    passed: executed.filter(passed).length,
    passedWithWarnings: executed.filter(({ verdict }) => verdict === "pass_with_warnings").length,
    failed: failed.length,
    inconclusive: drills.filter(({ verdict }) => verdict === "inconclusive").length,
    withoutVerdict: drills.filter(({ verdict, outcome }) => verdict === null && ["failed", "cancelled", "interrupted", "succeeded"].includes(outcome)).length,
    missed: drills.filter(({ outcome }) => outcome === "missed").reduce((sum, { slots }) => sum + Math.max(1, slots), 0),
    unaccounted,
    last: last === undefined ? null : { run: last.run, at: last.finishedAt ?? last.startedAt, verdict: last.verdict },
    withoutLaterPass: failed.filter(({ startedAt }) => !successes.some((success) => success.operation === "drill" && success.startedAt > startedAt)).map(({ run }) => run),
    failureProbabilityUpperBound95: failed.length > 0 ? null : failureProbabilityUpperBound95(executed.length),
  };
}

/** Measured recoveries against the objective that was in force when each was made. */
export function recoveryTimeOf(drills: readonly DrillRecord[], objectiveSeconds: number): RecoveryTime {
  const actual = drills.filter(cameToResult).flatMap((drill) => {
    const { rtoActualSeconds, rtoObjectiveSeconds } = drill;
    if (rtoActualSeconds === null) return [];
    return [
      { run: drill.run, at: drill.finishedAt ?? drill.startedAt, seconds: rtoActualSeconds, objectiveSeconds: rtoObjectiveSeconds ?? objectiveSeconds, verdict: drill.verdict },
    ];
  });
  const isLate = actual.some((recovery) => recovery.seconds > recovery.objectiveSeconds);
  return {
    verdict: actual.length === 0 ? "not_evidenced" : isLate ? "breached" : "held",
    objectiveSeconds,
    lastSeconds: actual.at(-1)?.seconds ?? null,
    maxSeconds: actual.length === 0 ? null : Math.max(...actual.map(({ seconds }) => seconds)),
    actual,
  };
}
