import { runLogOnce } from "../src/operations/wal/run-log.ts";
import { job } from "./job.ts";

await job(async ({ app, source, trigger, context }) => {
  await runLogOnce(app, { source, ...trigger }, context);
});
