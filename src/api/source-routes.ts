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
import { visibleTo } from "./visible.ts";
import { backupItems, sourceView, walItem } from "./source-views.ts";

const DAY_SECONDS = 86_400;

/** How sources stand, and what is kept of them. */
export function addSourceRoutes(api: Api, context: RouteContext): void {
  const { catalog, clock } = context;
  const config = { access: "look" } as const;

  api.get(
    "/api/v1/status",
    { config, schema: { summary: "How every source stands against its objectives", querystring: statusQuery, response: { 200: statusSchema } } },
    (request) => overallStatus(catalog, sourcesOf(visibleTo(context, request), request.query.source), clock.now()),
  );

  api.get("/api/v1/sources", { config, schema: { summary: "What is protected", querystring: noQuery, response: { 200: sourcesSchema } } }, (request) => ({
    items: [...visibleTo(context, request).inventory.sources.values()].map((source) => sourceView(catalog, source)),
  }));

  api.get(
    "/api/v1/sources/:name",
    { config, schema: { summary: "All about one source", params: nameParams, querystring: noQuery, response: { 200: sourceDetailSchema } } },
    (request) => {
      const source = sourceOf(visibleTo(context, request), request.params.name);
      const now = clock.now();
      return { source: sourceView(catalog, source), status: currentStatus(catalog, source, now), wal: walItem(catalog, source, now), backups: backupItems(catalog, [source]) };
    },
  );

  api.get("/api/v1/backups", { config, schema: { summary: "Backups that are there, newest first", querystring: backupsQuery, response: { 200: backupsSchema } } }, (request) => {
    const { limit, offset, source } = request.query;
    return pageOf(backupItems(catalog, sourcesOf(visibleTo(context, request), source)).slice(offset, offset + limit + 1), request.query);
  });

  api.get("/api/v1/wal", { config, schema: { summary: "Windows of time travel, gaps and exposure", querystring: walQuery, response: { 200: walListSchema } } }, (request) => {
    const now = clock.now();
    return { items: sourcesOf(visibleTo(context, request), request.query.source).map((source) => walItem(catalog, source, now)) };
  });

  api.get(
    "/api/v1/exposure",
    { config, schema: { summary: "Exposure of each copy over a period (the last 24 hours)", querystring: exposureQuery, response: { 200: exposureSchema } } },
    (request) => {
      const source = sourceOf(visibleTo(context, request), request.query.source);
      const now = clock.now();
      const { from, to } = periodOf(request.query, now, DAY_SECONDS);
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

  api.get("/api/v1/policies", { config, schema: { summary: "The rules in force", querystring: noQuery, response: { 200: policiesSchema } } }, (request) => ({
    items: policyViews(visibleTo(context, request).inventory),
  }));
}
