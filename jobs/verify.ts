import { VERIFY_TIERS } from "../src/domain/verify-tier.ts";
import { runVerify } from "../src/operations/verify/run-verify.ts";
import { job, textOrNull } from "./job.ts";

await job(async ({ app, source, task, trigger, context }) => {
  const { backup, repository, tier } = task.command?.args ?? {};
  const asked = VERIFY_TIERS.find((known) => known === tier);
  const request = { source, backup: textOrNull(backup), repository: textOrNull(repository), tier: asked ?? source.policy.verify?.tier ?? "decoded", ...trigger };
  await runVerify(app, request, context);
});
