import { exposureOf } from "../compliance/copy-exposure.ts";
import { currentStatus, overallStatus } from "../compliance/current-status.ts";
import { policiesSchema } from "./policy-schema.ts";
import { policyViews } from "./policy-view.ts";
import { pageOf, periodOf, sourceOf, sourcesOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { nameParams, noQuery } from "./schema-parts.ts";
import {
  backupsQuery,
  backupsSchema,
  exposureQuery,
  exposureSchema,
  sourceDetailSchema,
  sourcesSchema,
  statusQuery,
  statusSchema,
  walListSchema,
  walQuery,
} from "./source-schemas.ts";
import { backupItems, sourceView, walItem } from "./source-views.ts";

const DAY_SECONDS = 86_400;

/** How sources stand, and what is kept of them. */
export function addSourceRoutes(api: Api, context: RouteContext): void {
  const { catalog, inventory, clock } = context;

  api.get("/api/v1/status", { schema: { summary: "How every source stands against its objectives", querystring: statusQuery, response: { 200: statusSchema } } }, ({ query }) =>
    overallStatus(catalog, sourcesOf(context, query.source), clock.now()),
  );

  api.get("/api/v1/sources", { schema: { summary: "What is protected", querystring: noQuery, response: { 200: sourcesSchema } } }, () => ({
    items: [...inventory.sources.values()].map((source) => sourceView(catalog, source)),
  }));

  api.get(
    "/api/v1/sources/:name",
    { schema: { summary: "All about one source", params: nameParams, querystring: noQuery, response: { 200: sourceDetailSchema } } },
    ({ params }) => {
      const source = sourceOf(context, params.name);
      const now = clock.now();
      return { source: sourceView(catalog, source), status: currentStatus(catalog, source, now), wal: walItem(catalog, source, now), backups: backupItems(catalog, [source]) };
    },
  );

  api.get("/api/v1/backups", { schema: { summary: "Backups that are there, newest first", querystring: backupsQuery, response: { 200: backupsSchema } } }, ({ query }) => {
    const { limit, offset } = query;
    return pageOf(backupItems(catalog, sourcesOf(context, query.source)).slice(offset, offset + limit + 1), query);
  });

  api.get("/api/v1/wal", { schema: { summary: "Windows of time travel, gaps and exposure", querystring: walQuery, response: { 200: walListSchema } } }, ({ query }) => {
    const now = clock.now();
    return { items: sourcesOf(context, query.source).map((source) => walItem(catalog, source, now)) };
  });

  api.get(
    "/api/v1/exposure",
    { schema: { summary: "Exposure of each copy over a period (the last 24 hours)", querystring: exposureQuery, response: { 200: exposureSchema } } },
    ({ query }) => {
      const source = sourceOf(context, query.source);
      const now = clock.now();
      const { from, to } = periodOf(query, now, DAY_SECONDS);
      const measuredUntil = new Date(Math.max(from.getTime(), Math.min(to.getTime(), now.getTime())));
      return {
        source: source.name,
        from: from.toISOString(),
        to: to.toISOString(),
        measuredUntil: measuredUntil.toISOString(),
        copies: exposureOf(catalog, source, { from, to: measuredUntil }),
      };
    },
  );

  api.get("/api/v1/policies", { schema: { summary: "The rules in force", querystring: noQuery, response: { 200: policiesSchema } } }, () => ({ items: policyViews(inventory) }));
}
