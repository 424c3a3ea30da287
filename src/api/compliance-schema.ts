import { z } from "zod";
import { FINDING_KINDS, FINDING_SEVERITIES } from "../domain/compliance.ts";
import { CONTROL_STATUSES } from "../domain/control-status.ts";
import { drillSchema, drillVerdict, runSchema } from "./run-schemas.ts";
import {
  bytesOrNull,
  count,
  countOrNull,
  isPeriod,
  NOT_A_PERIOD,
  objectives,
  periodQuery,
  seconds,
  secondsOrNull,
  sourceQuery,
  text,
  textOrNull,
  time,
  timeOrNull,
} from "./schema-parts.ts";
import { copyExposureSchema, gapSchema } from "./source-schemas.ts";

const status = z.enum(CONTROL_STATUSES);
const objectiveVerdict = z.enum(["held", "breached", "not_evidenced"]);
const verdictCounts = z.object({ held: count, breached: count, not_evidenced: count });
const texts = z.array(text).readonly();

const coverSchema = z.object({
  scope: z.object({ sources: texts, notIncluded: texts }),
  period: z.object({ from: time, to: time }),
  measuredUntil: time,
  generatedAt: time,
  asOf: timeOrNull,
  programVersion: text,
  evidence: z.object({ head: z.object({ writer: text, sequence: count, sha256: text }).nullable(), includedSequence: countOrNull, complete: z.boolean().nullable() }),
});

const tierSchema = z.object({
  tier: text,
  sources: count,
  recoveryPoint: verdictCounts,
  recoveryTime: verdictCounts,
  drills: z.object({ due: count, run: count, passed: count, failed: count, inconclusive: count, missed: count }),
});

const findingSchema = z.object({
  severity: z.enum(FINDING_SEVERITIES),
  kind: z.enum(FINDING_KINDS),
  source: textOrNull,
  repository: textOrNull,
  at: timeOrNull,
  detail: text,
  references: texts,
});

const workSchema = z.object({
  operation: text,
  type: textOrNull,
  due: count,
  succeeded: count,
  failed: count,
  cancelled: count,
  interrupted: count,
  missed: count,
  superseded: count,
  skipped: count,
  running: count,
  unscheduled: count,
  unaccounted: countOrNull,
  lastSuccessAt: timeOrNull,
  withoutLaterSuccess: texts,
});

const drillCountsSchema = z.object({
  due: count,
  run: count,
  passed: count,
  passedWithWarnings: count,
  failed: count,
  inconclusive: count,
  withoutVerdict: count,
  missed: count,
  unaccounted: countOrNull,
  last: z.object({ run: text, at: time, verdict: drillVerdict }).nullable(),
  withoutLaterPass: texts,
  failureProbabilityUpperBound95: z.number().nullable(),
});

const recoveryTimeSchema = z.object({
  verdict: objectiveVerdict,
  objectiveSeconds: seconds,
  lastSeconds: secondsOrNull,
  maxSeconds: secondsOrNull,
  actual: z.array(z.object({ run: text, at: time, seconds, objectiveSeconds: seconds, verdict: drillVerdict })).readonly(),
});

const verificationSchema = z.object({
  runs: z
    .array(z.object({ run: text, at: time, tier: textOrNull, ok: z.boolean().nullable(), repositories: texts, objects: countOrNull, bytes: bytesOrNull, damaged: countOrNull }))
    .readonly(),
  copies: z.array(z.object({ repository: text, backup: text, tier: text, at: time, ok: z.boolean(), present: z.boolean().nullable() })).readonly(),
  neverVerified: z
    .array(z.object({ repository: text, backup: text }))
    .readonly()
    .nullable(),
  pieces: z
    .array(
      z.object({
        repository: text,
        objects: count,
        bytes: count,
        verifiedObjects: count,
        verifiedBytes: count,
        damagedObjects: count,
        oldestVerifiedAt: timeOrNull,
        walSegments: count,
        verifiedWalSegments: count,
      }),
    )
    .readonly(),
});

const ruleSchema = z.object({ rule: text, status, rows: count, reason: text });

const sourceSchema = z.object({
  name: text,
  tier: text,
  dataClass: text,
  policy: text,
  systemIdentifier: textOrNull,
  objectives,
  status,
  rules: z.array(ruleSchema).readonly(),
  recoveryPoint: objectiveVerdict,
  recoveryTime: recoveryTimeSchema,
  backups: z.array(workSchema).readonly(),
  otherWork: z.array(workSchema).readonly(),
  drills: drillCountsSchema,
  verification: verificationSchema,
  exposure: z.array(copyExposureSchema).readonly(),
  gaps: z.array(gapSchema).readonly().nullable(),
  seenAt: timeOrNull,
});

const controlSchema = z.object({
  framework: text,
  control: text,
  asks: text,
  artefacts: texts,
  rules: texts,
  notShown: text,
  status,
  bySource: z.array(ruleSchema.extend({ source: text })).readonly(),
});

/** A run of the population. It may have been put on record by another version: its outcome is told as it stands. */
const runRecordSchema = runSchema.extend({ outcome: text, backupId: textOrNull });

/** The whole report, as it is written to report.json. */
export const complianceSchema = z.object({
  kind: z.literal("holdfast.compliance-report"),
  version: z.literal(1),
  cover: coverSchema,
  status,
  summary: z.array(tierSchema).readonly(),
  findings: z.array(findingSchema).readonly(),
  sources: z.array(sourceSchema).readonly(),
  controls: z.array(controlSchema).readonly(),
  population: z.object({ runs: z.array(runRecordSchema).readonly(), drills: z.array(drillSchema).readonly() }),
  limits: texts,
});

export const complianceQuery = z.strictObject({ ...sourceQuery, ...periodQuery }).refine(isPeriod, { message: NOT_A_PERIOD, path: ["from"] });
