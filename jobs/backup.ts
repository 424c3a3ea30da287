import { runBackup } from "../src/operations/backup/run-backup.ts";
import { runVerify } from "../src/operations/verify/run-verify.ts";
import { must } from "../src/errors.ts";
import { BACKUP_TYPES } from "../src/domain/backup-id.ts";
import { job } from "./job.ts";

await job(async ({ app, source, task, trigger, context }) => {
  const type = must(
    BACKUP_TYPES.find((known) => known === task.type),
    "a backup type",
  );
  const { id } = await runBackup(app, { source, type, ...trigger, wait: true }, context);
  const tier = source.policy.backups.get(type)?.verify ?? null;
  // It serves no slot of the verification schedule, which looks at everything.
  if (tier !== null) await runVerify(app, { source, backup: id, tier, repository: null, trigger: trigger.trigger, scheduledFor: null }, context);
});
