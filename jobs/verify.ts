import { runVerify } from "../src/operations/verify/run-verify.ts";
import { job } from "./job.ts";

await job(async ({ app, source, trigger, context }) => {
  await runVerify(app, { source, backup: null, repository: null, tier: source.policy.verify?.tier ?? "decoded", ...trigger }, context);
});
