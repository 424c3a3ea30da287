import { pageOfRuns } from "../catalog/compliance-queries.ts";
import { findRun } from "../catalog/runs.ts";
import type { Run } from "../catalog/runs.ts";
import { drillRecord } from "../compliance/drill-record.ts";
import { buildReportInTurns } from "../compliance/report.ts";
import { runRecord } from "../compliance/run-record.ts";
import { complianceQuery, complianceSchema } from "./compliance-schema.ts";
import { ApiProblem } from "./problem.ts";
import { pageOf, periodOf, sourcesOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { drillsQuery, drillsSchema, runDetailSchema, runsQuery, runsSchema } from "./run-schemas.ts";
import { idParams, noQuery } from "./schema-parts.ts";

const MONTH_SECONDS = 30 * 86_400;

/** What was done, and what that is evidence for. Runs of sources that are no longer in the inventory stay in the history. */
export function addHistoryRoutes(api: Api, context: RouteContext): void {
  const { catalog, inventory, clock, evidenceHead } = context;

  api.get("/api/v1/runs", { schema: { summary: "Runs and slots that were passed over, newest first", querystring: runsQuery, response: { 200: runsSchema } } }, ({ query }) => {
    const { source = null, operation = null, outcome = null, from, to, limit, offset } = query;
    const page = { source, operation, outcome, from: from?.toISOString() ?? null, to: to?.toISOString() ?? null, limit: limit + 1, offset };
    return pageOf(pageOfRuns(catalog, page).map(runView), query);
  });

  api.get("/api/v1/runs/:id", { schema: { summary: "One run with its figures", params: idParams, querystring: noQuery, response: { 200: runDetailSchema } } }, ({ params }) => {
    const run = findRun(catalog, params.id);
    if (run === null) throw new ApiProblem(404, "there is no run of that id", { hint: "see /api/v1/runs" });
    return { ...runView(run), facts: run.facts };
  });

  api.get("/api/v1/drills", { schema: { summary: "Drills and slots for them, newest first", querystring: drillsQuery, response: { 200: drillsSchema } } }, ({ query }) => {
    const { source = null, limit, offset } = query;
    const found = pageOfRuns(catalog, { source, operation: "drill", outcome: null, from: null, to: null, limit: limit + 1, offset });
    return pageOf(
      found.map((run) => drillRecord(run, slotsOf(run))),
      query,
    );
  });

  api.get(
    "/api/v1/compliance",
    { schema: { summary: "The compliance report of a period (the last 30 days)", querystring: complianceQuery, response: { 200: complianceSchema } } },
    async ({ query }) => {
      const now = clock.now();
      const sources = sourcesOf(context, query.source).map(({ name }) => name);
      return buildReportInTurns({ catalog, inventory, ...periodOf(query, now, MONTH_SECONDS), now, sources, evidenceHead: await evidenceHead() });
    },
  );
}

function runView(run: Run): ReturnType<typeof runRecord> & Pick<Run, "outcome"> {
  return { ...runRecord(run, slotsOf(run)), outcome: run.outcome };
}

function slotsOf({ scheduledFor, slots }: Run): number {
  return scheduledFor === null ? 0 : slots;
}
