import { drillRecord } from "../../compliance/drill-record.ts";
import { html } from "../../compliance/html.ts";
import type { HtmlValue } from "../../compliance/html.ts";
import { NONE, time, UNKNOWN } from "../../compliance/report-format.ts";
import { outcomeBadge, table } from "../../compliance/report-parts.ts";
import type { DrillRecord } from "../../domain/control-population.ts";
import { againstObjective, filterForm, textField } from "../figures.ts";
import { linkTo, pager, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import { pageNumber } from "../view.ts";
import type { View } from "../view.ts";
import { RUNS_A_PAGE, runsOf } from "./runs-page.ts";

/** Every proof, and every attempt at one. */
export function drillsPage(view: View): Page {
  const page = pageNumber(view);
  const found = runsOf(view, { operation: "drill", outcome: "", page });
  return {
    title: "Drills",
    still: filterForm(pathTo.drills, textField("Source", "source", view.query["source"])),
    live: html`${table({
      caption: "Restored, started, replayed, checked: the newest first",
      columns: ["Started", "Source", "Verdict", "Recovery took", "Would have lost", "Target", "Checks#"],
      rows: found.slice(0, RUNS_A_PAGE).map((run) => row(drillRecord(run, 0))),
      empty: "there was none",
    })}
    ${pager(pathTo.drills, view.query, { page, hasMore: found.length > RUNS_A_PAGE })}`,
  };
}

function row(drill: DrillRecord): HtmlValue[] {
  const measured = (seconds: number | null, objective: number | null): HtmlValue => (seconds === null ? NONE : objective === null ? UNKNOWN : againstObjective(seconds, objective));
  const passed = drill.checks.filter(({ outcome }) => outcome === "pass").length;
  return [
    linkTo(pathTo.run(drill.run), time(drill.startedAt)),
    linkTo(pathTo.source(drill.source), drill.source),
    outcomeBadge(drill.verdict ?? drill.outcome),
    measured(drill.rtoActualSeconds, drill.rtoObjectiveSeconds),
    measured(drill.rpoActualSeconds, drill.rpoObjectiveSeconds),
    drill.target ?? NONE,
    drill.checks.length === 0 ? NONE : `${passed} of ${drill.checks.length}`,
  ];
}
