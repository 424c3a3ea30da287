import { pageOfRuns } from "../../catalog/compliance-queries.ts";
import { OUTCOMES } from "../../catalog/runs.ts";
import type { Run } from "../../catalog/runs.ts";
import { html } from "../../compliance/html.ts";
import { filterForm, selectField, textField } from "../figures.ts";
import { pager, pathTo } from "../links.ts";
import type { Page } from "../page.ts";
import { runTable } from "../run-table.ts";
import { pageNumber } from "../view.ts";
import type { View } from "../view.ts";

const OPERATIONS = ["backup", "log", "verify", "drill", "expire"] as const;
export const RUNS_A_PAGE = 50;

/** Everything that was done, and every slot at which something should have been. */
export function runsPage(view: View): Page {
  const { query } = view;
  const page = pageNumber(view);
  const found = runsOf(view, { operation: query["operation"] ?? "", outcome: query["outcome"] ?? "", page });
  return {
    title: "Runs",
    still: filterForm(pathTo.runs, [
      textField("Source", "source", query["source"]),
      selectField("Operation", "operation", query["operation"], [["", "any"], ...OPERATIONS.map((operation) => [operation, operation] as const)]),
      selectField("Outcome", "outcome", query["outcome"], [["", "any"], ...OUTCOMES.map((outcome) => [outcome, outcome] as const)]),
    ]),
    live: html`${runTable("Runs, and slots that were passed over, the newest first", found.slice(0, RUNS_A_PAGE), { withSource: true })}
    ${pager(pathTo.runs, query, { page, hasMore: found.length > RUNS_A_PAGE })}`,
  };
}

/** One more than fits on a page, so that it is known whether there is another. */
export function runsOf(view: View, { operation, outcome, page }: { operation: string; outcome: string; page: number }): Run[] {
  const asked = view.query["source"] ?? "";
  const source = asked === "" ? null : asked;
  return pageOfRuns(view.facts.catalog, {
    sources: view.seesAll ? null : [...view.sources.keys()],
    source,
    operation: operation === "" ? null : operation,
    outcome: OUTCOMES.find((known) => known === outcome) ?? null,
    from: null,
    to: null,
    limit: RUNS_A_PAGE + 1,
    offset: page * RUNS_A_PAGE,
  });
}
