import { runDrill } from "../src/operations/drill/run-drill.ts";
import { job } from "./job.ts";

await job(async ({ app, source, trigger, context }) => {
  await runDrill(app, { source, select: source.policy.drills?.select ?? "random", to: null, repository: null, keep: false, ...trigger }, context);
});
