import { z } from "zod";
import { COMMAND_STATES } from "../catalog/commands.ts";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import { VERIFY_TIERS } from "../domain/verify-tier.ts";
import { DRILL_SELECTS } from "../policy/policy-schema.ts";
import { text } from "./schema-parts.ts";

/** What can be asked for, as the command line would. A job checks it once more. */
const repository = z.string().min(1).max(63);

export const backupBody = z.strictObject({ type: z.enum(BACKUP_TYPES) });
export const drillBody = z.strictObject({ select: z.enum(DRILL_SELECTS).optional(), to: z.string().min(1).max(200).optional(), repository: repository.optional() });
export const verifyBody = z.strictObject({
  backup: z
    .string()
    .regex(/^\d{8}T\d{6}Z-(?:full|diff|incr)(?:-\d{1,3})?$/, "must be the id of a backup")
    .optional(),
  repository: repository.optional(),
  tier: z.enum(VERIFY_TIERS).optional(),
});

/** Where it will be found: `/api/v1/runs/{id}`. */
export const commandSchema = z.object({ id: text, source: text, operation: text, state: z.enum(COMMAND_STATES) });
