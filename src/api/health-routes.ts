import { z } from "zod";
import type { Catalog } from "../catalog/catalog.ts";
import { lastApplied } from "../catalog/apply-entry.ts";
import { METRICS_TYPE, renderMetrics } from "./metrics.ts";
import { ApiProblem } from "./problem.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { noQuery } from "./schema-parts.ts";
import { visibleTo } from "./visible.ts";

/** Whether the process lives and works, for whoever watches it, and its figures for Prometheus. */
export function addHealthRoutes(api: Api, context: RouteContext & { readonly isSchedulerRunning: () => boolean; readonly version: string }): void {
  const { catalog, clock, isSchedulerRunning, version } = context;
  const config = { access: "open" } as const;

  api.get(
    "/healthz",
    { config, schema: { summary: "The process is alive; looks at nothing", querystring: noQuery, response: { 200: z.object({ status: z.literal("ok") }) } } },
    () => ({
      status: "ok" as const,
    }),
  );

  const ready = z.object({ status: z.literal("ready") });
  api.get("/readyz", { config, schema: { summary: "The catalog answers and the scheduler runs; 503 otherwise", querystring: noQuery, response: { 200: ready } } }, () => {
    const down = [...(answers(catalog) ? [] : ["the catalog does not answer"]), ...(isSchedulerRunning() ? [] : ["the scheduler does not run"])];
    if (down.length > 0) throw new ApiProblem(503, down.join(", and "));
    return { status: "ready" as const };
  });

  api.get("/metrics", { config: { access: "measure" }, schema: { summary: "Metrics for Prometheus", querystring: noQuery } }, async (request, reply) => {
    const { inventory, names } = visibleTo(context, request);
    const text = await renderMetrics({ catalog, inventory, names, now: clock.now(), version });
    return reply.header("content-type", METRICS_TYPE).send(text);
  });
}

function answers(catalog: Catalog): boolean {
  try {
    lastApplied(catalog, "");
    return true;
  } catch {
    // Whatever is wrong with it: it does not answer.
    return false;
  }
}
