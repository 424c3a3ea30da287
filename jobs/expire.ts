import { runExpire } from "../src/operations/expire/run-expire.ts";
import { job } from "./job.ts";

await job(async ({ app, source, trigger, context }) => {
  await runExpire(app, { source, dryRun: false, ...trigger }, context);
});
