import type { Run } from "../catalog/runs.ts";
import { html } from "../compliance/html.ts";
import type { Html, HtmlValue } from "../compliance/html.ts";
import { duration, NONE, time } from "../compliance/report-format.ts";
import { outcomeBadge, table } from "../compliance/report-parts.ts";
import { runRecord } from "../compliance/run-record.ts";
import { linkTo, pathTo } from "./links.ts";

/** Runs as they are listed everywhere. */
export function runTable(caption: string, runs: readonly Run[], { withSource }: { withSource: boolean }): Html {
  return table({
    caption,
    columns: ["Started", ...(withSource ? ["Source"] : []), "Operation", "Outcome", "Took#", "Set off by", "Reason"],
    rows: runs.map((run): HtmlValue[] => [
      linkTo(pathTo.run(run.id), time(run.startedAt)),
      ...(withSource ? [run.source === "" ? NONE : linkTo(pathTo.source(run.source), run.source)] : []),
      run.type === null ? run.operation : `${run.operation}, ${run.type}`,
      html`${outcomeBadge(verdictOf(run))}${run.slots > 1 ? ` ${run.slots} slots` : ""}`,
      duration(runRecord(run, 0).durationSeconds, NONE),
      run.trigger,
      run.reason ?? NONE,
    ]),
    empty: "none",
  });
}

/** A drill by its verdict, which says more than that it ended. */
function verdictOf({ operation, facts, outcome }: Run): string {
  const verdict = facts["verdict"];
  return operation === "drill" && typeof verdict === "string" ? verdict : outcome;
}
