import { runCatchUp } from "../src/operations/copy/run-copy.ts";
import { job } from "./job.ts";

await job(async ({ app, source, trigger, context }) => {
  await runCatchUp(app, { source, ...trigger }, context);
});
