import { z } from "zod";
import type { RecordedRun } from "../catalog/period-records.ts";
import type { DrillRecord } from "../domain/control-population.ts";
import { DRILL_FAULTS, DRILL_VERDICTS } from "../domain/drill-verdict.ts";

/** What a drill put on record. Entries may come from an older or newer version: a figure that is missing or of another kind is unknown, and takes nothing else with it. */
const text = z.string().nullable().catch(null);
const number = z.number().nullable().catch(null);
const figuresSchema = z.object({
  verdict: z.enum(DRILL_VERDICTS).nullable().catch(null),
  fault: z.enum(DRILL_FAULTS).nullable().catch(null),
  repository: text,
  backupId: text,
  target: text,
  seed: text,
  expectedLsn: text,
  achievedLsn: text,
  heartbeatOk: z.boolean().nullable().catch(null),
  rtoActualSeconds: number,
  rtoObjectiveSeconds: number,
  rpoActualSeconds: number,
  rpoObjectiveSeconds: number,
  phases: z.array(z.object({ name: z.string(), seconds: z.number() })).catch([]),
  checks: z.array(z.object({ name: z.string(), required: z.boolean(), outcome: z.string() })).catch([]),
  segregation: z.object({ drillHost: z.string(), sourceHost: z.string().nullable(), sameMachine: z.boolean().nullable(), reason: z.string() }).nullable().catch(null),
});

/** `slots`: how many slots of the period it stands for. */
export function drillRecord(run: RecordedRun, slots: number): DrillRecord {
  const { source, scheduledFor, startedAt, finishedAt, outcome, reason } = run;
  return { run: run.id, source, scheduledFor, slots, startedAt, finishedAt, outcome, reason, ...figuresSchema.parse(run.facts) };
}

/** True if it came to a result. An inconclusive drill is the machine's fault, proves nothing, and does not count as run. */
export function cameToResult<T extends Pick<DrillRecord, "verdict">>(drill: T): drill is T & { readonly verdict: "pass" | "pass_with_warnings" | "fail" } {
  return drill.verdict !== null && drill.verdict !== "inconclusive";
}

export function passed({ verdict }: Pick<DrillRecord, "verdict">): boolean {
  return verdict === "pass" || verdict === "pass_with_warnings";
}
