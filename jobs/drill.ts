import { DRILL_SELECTIONS } from "../src/operations/drill/drill-select.ts";
import { runDrill } from "../src/operations/drill/run-drill.ts";
import { job, textOrNull } from "./job.ts";

await job(async ({ app, source, task, trigger, context }) => {
  const { select, to, repository } = task.command?.args ?? {};
  const asked = DRILL_SELECTIONS.find((known) => known === select);
  const order = { source, select: asked ?? source.policy.drills?.select ?? "random", to: textOrNull(to), repository: textOrNull(repository), keep: false, ...trigger };
  await runDrill(app, order, context);
});
