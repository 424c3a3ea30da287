import { scrub } from "../src/operations/verify/scrub.ts";
import { job } from "./job.ts";

/** How long one slice lasts. What it read when it is killed is read again, so it is no longer than one minds. */
const SLICE_SECONDS = 900;

await job(async ({ app, source, task, context }) => {
  const budget = task.command === null && task.type === null ? (source.policy.verify?.scrub ?? null) : null;
  const { results, notReached } = await scrub(app, { source, budget, seconds: SLICE_SECONDS }, context);
  for (const { repository, message } of notReached) context.onNotice(`the scrub of ${source.name} did not reach ${repository}: ${message}`);
  for (const { repository, damage } of results)
    if (damage.length > 0) context.onNotice(`the scrub found ${damage.length} objects of ${source.name} damaged or missing in ${repository}`);
});
