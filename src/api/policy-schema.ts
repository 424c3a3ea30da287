import { z } from "zod";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import { countOrNull, secondsOrNull, seconds, text } from "./schema-parts.ts";

const scheduleSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("cron"), expression: text, zone: text }),
  z.object({ kind: z.literal("every"), everySeconds: seconds }),
  z.object({ kind: z.literal("stream") }),
]);

const retentionSchema = z.object({ keepForSeconds: secondsOrNull, keepLast: countOrNull, daily: countOrNull, weekly: countOrNull, monthly: countOrNull, yearly: countOrNull });

const policySchema = z.object({
  name: text,
  usedBy: z.array(text),
  /** Null: from the tier and the data class of each source. */
  objectives: z.object({ rtoSeconds: secondsOrNull, rpoSeconds: secondsOrNull }),
  backups: z.array(
    z.object({
      type: z.enum(BACKUP_TYPES),
      schedule: scheduleSchema,
      retention: retentionSchema,
      repositories: z.array(text).readonly(),
      verify: text.nullable(),
      recoveryTimeBudgetSeconds: secondsOrNull,
    }),
  ),
  log: z.object({ schedule: scheduleSchema, retentionSeconds: seconds, repositories: z.array(text).readonly(), recoveryTimeBudgetSeconds: secondsOrNull }).nullable(),
  verify: z.object({ schedule: scheduleSchema, tier: text }).nullable(),
  expire: z.object({ schedule: scheduleSchema }),
  drills: z.object({ schedule: scheduleSchema, select: text, checks: z.array(z.object({ kind: text, name: text, required: z.boolean() })) }).nullable(),
  windows: z.object({ heavy: z.array(text).readonly(), blackout: z.array(z.object({ window: text, reason: text.nullable() })).readonly() }),
});

export const policiesSchema = z.object({ items: z.array(policySchema) });
export type PolicyView = z.input<typeof policySchema>;
export type ScheduleView = z.input<typeof scheduleSchema>;
