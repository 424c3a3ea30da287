import { z } from "zod";
import { OUTCOMES } from "../catalog/runs.ts";
import { DRILL_FAULTS, DRILL_VERDICTS } from "../domain/drill-verdict.ts";
import { count, isPeriod, NOT_A_PERIOD, page, pageQuery, periodQuery, secondsOrNull, sourceQuery, text, textOrNull, time, timeOrNull } from "./schema-parts.ts";

export const runSchema = z.object({
  id: text,
  source: text,
  operation: text,
  type: textOrNull,
  trigger: text,
  scheduledFor: timeOrNull,
  until: timeOrNull,
  slots: count,
  startedAt: time,
  finishedAt: timeOrNull,
  durationSeconds: secondsOrNull,
  outcome: z.enum(OUTCOMES),
  reason: textOrNull,
});

/** How far one that is going on has come, as it last said. */
const progressSchema = z.object({ at: time, phase: text, doneBytes: count, totalBytes: count.nullable() });

/** With the figures it put on record: the same its command printed. */
export const runDetailSchema = runSchema.extend({
  startedAt: timeOrNull,
  outcome: z.enum([...OUTCOMES, "queued"]),
  facts: z.record(z.string(), z.unknown()),
  progress: progressSchema.nullable(),
});
export const runsSchema = page(runSchema);

export const runsQuery = z
  .strictObject({ ...sourceQuery, operation: z.string().max(50).optional(), outcome: z.enum(OUTCOMES).optional(), ...periodQuery, ...pageQuery })
  .refine(isPeriod, { message: NOT_A_PERIOD, path: ["from"] });

export const drillVerdict = z.enum(DRILL_VERDICTS);

export const drillSchema = z.object({
  run: text,
  source: text,
  scheduledFor: timeOrNull,
  slots: count,
  startedAt: time,
  finishedAt: timeOrNull,
  outcome: text,
  reason: textOrNull,
  verdict: drillVerdict.nullable(),
  fault: z.enum(DRILL_FAULTS).nullable(),
  repository: textOrNull,
  backupId: textOrNull,
  target: textOrNull,
  seed: textOrNull,
  expectedLsn: textOrNull,
  achievedLsn: textOrNull,
  heartbeatOk: z.boolean().nullable(),
  rtoActualSeconds: secondsOrNull,
  rtoObjectiveSeconds: secondsOrNull,
  rpoActualSeconds: secondsOrNull,
  rpoObjectiveSeconds: secondsOrNull,
  phases: z.array(z.object({ name: text, seconds: z.number() })).readonly(),
  checks: z.array(z.object({ name: text, required: z.boolean(), outcome: text })).readonly(),
  segregation: z.object({ drillHost: text, sourceHost: textOrNull, sameMachine: z.boolean().nullable(), reason: text }).nullable(),
});

export const drillsSchema = page(drillSchema);
export const drillsQuery = z.strictObject({ ...sourceQuery, ...pageQuery });
