import { z } from "zod";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import { drillSchema } from "./run-schemas.ts";
import {
  bytesOrNull,
  count,
  countOrNull,
  isPeriod,
  NOT_A_PERIOD,
  objectives,
  page,
  pageQuery,
  periodQuery,
  seconds,
  secondsOrNull,
  sourceQuery,
  text,
  textOrNull,
  time,
  timeOrNull,
} from "./schema-parts.ts";

const copySchema = z.object({
  repository: text,
  objectiveApplies: z.boolean(),
  observed: z.boolean(),
  exposureSeconds: secondsOrNull,
  exposureBytes: bytesOrNull,
  sampledAt: timeOrNull,
  held: z.boolean().nullable(),
  recoverableFrom: timeOrNull,
  recoverableTo: timeOrNull,
  gaps: countOrNull,
});

/** Of a former cluster of the source; absent: of the one in use. */
const formerCluster = { systemIdentifier: text.optional() };
export const gapSchema = z.object({ repository: text, ...formerCluster, timeline: count, startLsn: text, endLsn: text, firstSegment: text, lastSegment: text });
const windowSchema = z.object({ repository: text, ...formerCluster, timeline: count, from: time, to: timeOrNull, startLsn: text, endLsn: text });

const verdict = z.enum(["ok", "breached", "unknown"]);
const reasonSchema = z.object({ kind: z.enum(["breached", "unknown", "note"]), text });

const sourceStatusSchema = z.object({
  name: text,
  tier: text,
  dataClass: text,
  verdict,
  reasons: z.array(reasonSchema).readonly(),
  objectives,
  recoverableTo: timeOrNull,
  copies: z.array(copySchema).readonly(),
  lastBackups: z.array(z.object({ type: text, lastSuccessAt: timeOrNull, lastSuccessId: textOrNull, lastRunAt: timeOrNull, lastOutcome: textOrNull })).readonly(),
  lastDrill: drillSchema.nullable(),
  lastProvenAt: timeOrNull,
  lastRtoSeconds: secondsOrNull,
  predictedRecovery: z.object({ seconds, lowSeconds: seconds, highSeconds: seconds, drills: count }).nullable(),
  paused: z.object({ from: time, until: time, reason: text, by: text }).nullable(),
  gaps: z.array(gapSchema).readonly().nullable(),
  seenAt: timeOrNull,
});

/** The verdict of all is the worst of each. */
export const statusSchema = z.object({ verdict, sources: z.array(sourceStatusSchema).readonly() });
export const statusQuery = z.strictObject(sourceQuery);

export const sourceSchema = z.object({
  name: text,
  kind: text,
  tier: text,
  dataClass: text,
  policy: text,
  objectives,
  heartbeat: z.boolean(),
  labels: z.record(z.string(), text),
  repositories: z.array(text),
  systemIdentifier: textOrNull,
  /** Clusters that the source was before, newest first, of which something is there. */
  formerClusters: z.array(z.object({ systemIdentifier: text, from: time, until: time })).readonly(),
  timeline: countOrNull,
  seenAt: timeOrNull,
});
export const sourcesSchema = z.object({ items: z.array(sourceSchema) });

/** What somebody wants kept. What was seen before there were any has none. */
const holdMark = z.object({ by: text, at: time, reason: textOrNull }).nullable().default(null);

const backupCopySchema = z.object({
  repository: text,
  state: z.enum(["complete", "failed", "damaged"]),
  verifiedTier: textOrNull,
  verifiedAt: timeOrNull,
  error: textOrNull,
  /** Until when nobody can delete it, which may be over. Null: no lock of it is known. */
  lockedUntil: timeOrNull.default(null),
});

const backupSchema = z.object({
  source: text,
  id: text,
  type: z.enum(BACKUP_TYPES),
  state: z.enum(["complete", "complete_with_corruption"]),
  parentId: textOrNull,
  startLsn: text.nullable(),
  stopLsn: text.nullable(),
  startedAt: time,
  finishedAt: time,
  sourceBytes: count,
  readBytes: count,
  storedBytes: count,
  durationSeconds: seconds,
  changeSource: text,
  changeSourceReason: text,
  corruptPages: count,
  /** Of a file tree: what was left out, was written to while it was read, could not be read. */
  tree: z.object({ skipped: count, changed: count, unread: count }).nullable().default(null),
  copies: z.array(backupCopySchema).readonly(),
  heldBy: z.array(text).readonly(),
  pinned: holdMark,
  held: holdMark,
  expiresAt: timeOrNull,
});
export const backupsSchema = page(backupSchema);
export const backupsQuery = z.strictObject({ ...sourceQuery, ...pageQuery });

const walSchema = z.object({
  source: text,
  seenAt: timeOrNull,
  windows: z.array(windowSchema).readonly(),
  gaps: z.array(gapSchema).readonly().nullable(),
  copies: z.array(copySchema).readonly(),
});
export const walListSchema = z.object({ items: z.array(walSchema) });
export const walQuery = z.strictObject(sourceQuery);

export const sourceDetailSchema = z.object({ source: sourceSchema, status: sourceStatusSchema, wal: walSchema, backups: z.array(backupSchema) });

const sightingSchema = z.object({ seconds, at: time });

/** Exposure of one copy over a period; unobserved time is a share of its own. */
export const copyExposureSchema = z.object({
  repository: text,
  objectiveApplies: z.boolean(),
  verdict: z.enum(["held", "breached", "not_evidenced"]),
  objectiveSeconds: seconds,
  samples: count,
  worst: sightingSchema.nullable(),
  last: sightingSchema.nullable(),
  withinObjectiveShare: z.number().nullable(),
  beyondObjectiveShare: z.number().nullable(),
  unobservedShare: z.number().nullable(),
  breaches: z.array(z.object({ from: time, to: time, peakSeconds: seconds, end: z.enum(["recovered", "unobserved", "open"]) })).readonly(),
  series: z.object({ stepSeconds: seconds, points: z.array(z.object({ at: time, worstSeconds: secondsOrNull })).readonly() }),
  restatements: z.array(z.object({ repository: text, timeline: count, startLsn: text, endLsn: text, from: time, until: time, knownAt: time })).readonly(),
});

export const exposureSchema = z.object({ source: text, from: time, to: time, measuredUntil: time, copies: z.array(copyExposureSchema) });
export const exposureQuery = z.strictObject({ source: z.string().min(1).max(200), ...periodQuery }).refine(isPeriod, { message: NOT_A_PERIOD, path: ["from"] });
