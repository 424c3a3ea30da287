import type { z } from "zod";
import { pageOfRuns } from "../catalog/compliance-queries.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { findCommand } from "../catalog/commands.ts";
import type { Command } from "../catalog/commands.ts";
import { readProgress } from "../catalog/run-progress.ts";
import { findRun } from "../catalog/runs.ts";
import type { Run } from "../catalog/runs.ts";
import type { ComplianceReport } from "../domain/compliance.ts";
import { drillRecord } from "../compliance/drill-record.ts";
import { buildReportInTurns } from "../compliance/report.ts";
import { runRecord } from "../compliance/run-record.ts";
import { complianceQuery, complianceSchema } from "./compliance-schema.ts";
import { ApiProblem } from "./problem.ts";
import { pageOf, periodOf, sourcesOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { drillsQuery, drillsSchema, runDetailSchema, runsQuery, runsSchema } from "./run-schemas.ts";
import { idParams, noQuery } from "./schema-parts.ts";
import { sees, visibleTo } from "./visible.ts";
import type { VisibleContext } from "./visible.ts";

const MONTH_SECONDS = 30 * 86_400;

/** What was done, and what that is evidence for. Runs of sources that are no longer in the inventory stay in the history. */
export function addHistoryRoutes(api: Api, context: RouteContext): void {
  const { catalog } = context;
  const config = { access: "look" } as const;

  api.get(
    "/api/v1/runs",
    { config, schema: { summary: "Runs and slots that were passed over, newest first", querystring: runsQuery, response: { 200: runsSchema } } },
    (request) => {
      const { query } = request;
      const { names } = visibleTo(context, request);
      const { source = null, operation = null, outcome = null, from, to, limit, offset } = query;
      const page = { sources: names, source, operation, outcome, from: from?.toISOString() ?? null, to: to?.toISOString() ?? null, limit: limit + 1, offset };
      return pageOf(pageOfRuns(catalog, page).map(runView), query);
    },
  );

  api.get(
    "/api/v1/runs/:id",
    { config, schema: { summary: "One run with its figures", params: idParams, querystring: noQuery, response: { 200: runDetailSchema } } },
    (request) => {
      const visible = visibleTo(context, request);
      const run = findRun(catalog, request.params.id);
      if (run !== null && sees(visible, run.source)) return { ...runView(run), facts: run.facts, progress: progressOf(catalog, run.id) };
      const command = run === null ? findCommand(catalog, request.params.id) : null;
      if (command === null || !sees(visible, command.source)) throw new ApiProblem(404, "there is no run of that id", { hint: "see /api/v1/runs" });
      return commandView(command);
    },
  );

  api.get("/api/v1/drills", { config, schema: { summary: "Drills and slots for them, newest first", querystring: drillsQuery, response: { 200: drillsSchema } } }, (request) => {
    const { query } = request;
    const { names } = visibleTo(context, request);
    const { source = null, limit, offset } = query;
    const found = pageOfRuns(catalog, { sources: names, source, operation: "drill", outcome: null, from: null, to: null, limit: limit + 1, offset });
    return pageOf(
      found.map((run) => drillRecord(run, slotsOf(run))),
      query,
    );
  });

  api.get(
    "/api/v1/compliance",
    { config, schema: { summary: "The compliance report of a period (the last 30 days)", querystring: complianceQuery, response: { 200: complianceSchema } } },
    (request) => complianceOf(visibleTo(context, request), request.query),
  );
}

async function complianceOf(visible: VisibleContext, query: z.output<typeof complianceQuery>): Promise<ComplianceReport> {
  const { catalog, inventory, clock, evidenceHead } = visible;
  const now = clock.now();
  const sources = sourcesOf(visible, query.source).map(({ name }) => name);
  return buildReportInTurns({ catalog, inventory, ...periodOf(query, now, MONTH_SECONDS), now, sources, evidenceHead: await evidenceHead() });
}

function runView(run: Run): ReturnType<typeof runRecord> & Pick<Run, "outcome"> {
  return { ...runRecord(run, slotsOf(run)), outcome: run.outcome };
}

/** A run that was asked for and has not begun; or could not. */
function commandView({ id, source, kind, args, state, reason, endedAt }: Command): z.input<typeof runDetailSchema> {
  const type = typeof args["type"] === "string" ? args["type"] : null;
  const none = { scheduledFor: null, until: null, slots: 0, startedAt: null, durationSeconds: null, facts: {}, progress: null };
  return { id, source, operation: kind, type, trigger: "manual", ...none, finishedAt: endedAt, outcome: state, reason };
}

function progressOf(catalog: Catalog, id: string): z.input<typeof runDetailSchema>["progress"] {
  const found = readProgress(catalog).find(({ run }) => run === id);
  if (found === undefined) return null;
  const { at, phase, doneBytes, totalBytes } = found;
  return { at, phase, doneBytes, totalBytes };
}

function slotsOf({ scheduledFor, slots }: Run): number {
  return scheduledFor === null ? 0 : slots;
}
