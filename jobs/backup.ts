import { runBackup } from "../src/operations/run-backup.ts";
import { must } from "../src/errors.ts";
import { BACKUP_TYPES } from "../src/domain/backup-id.ts";
import { job } from "./job.ts";

await job(async ({ app, source, task, trigger, context }) => {
  const type = must(
    BACKUP_TYPES.find((known) => known === task.type),
    "a backup type",
  );
  await runBackup(app, { source, type, ...trigger, wait: true }, context);
});
