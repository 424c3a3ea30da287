import { acknowledgeAlert } from "../alerts/acknowledge.ts";
import { findAlert, pageOfAlerts } from "../catalog/alerts.ts";
import type { Alert } from "../catalog/alerts.ts";
import { acknowledgeBody, alertSchema, alertsQuery, alertsSchema } from "./alert-schemas.ts";
import { ApiProblem } from "./problem.ts";
import { pageOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { idempotencyHeaders, idParams, noQuery } from "./schema-parts.ts";
import { sees, visibleTo } from "./visible.ts";
import type { VisibleContext } from "./visible.ts";

/** What is wrong now, what was, and who takes care of it. An alert of no single source is seen by those who see all of them. */
export function addAlertRoutes(api: Api, context: RouteContext): void {
  const { catalog, accessLog, record } = context;

  api.get("/api/v1/alerts", { config: { access: "look" }, schema: { summary: "Alerts, newest first", querystring: alertsQuery, response: { 200: alertsSchema } } }, (request) => {
    const { source = null, severity = null, state = null, limit, offset } = request.query;
    return pageOf(pageOfAlerts(catalog, { sources: visibleTo(context, request).names, source, severity, state, limit: limit + 1, offset }), request.query);
  });

  api.get(
    "/api/v1/alerts/:id",
    { config: { access: "look" }, schema: { summary: "One alert", params: idParams, querystring: noQuery, response: { 200: alertSchema } } },
    (request) => alertOf(visibleTo(context, request), request.params.id),
  );

  api.post(
    "/api/v1/alerts/:id/acknowledge",
    {
      config: { access: "operate" },
      schema: { summary: "Somebody takes care of it", params: idParams, querystring: noQuery, headers: idempotencyHeaders, body: acknowledgeBody, response: { 202: alertSchema } },
    },
    async (request, reply) => {
      const visible = visibleTo(context, request);
      const { id, state, source } = alertOf(visible, request.params.id);
      if (state === "resolved") throw new ApiProblem(409, "the alert is over", { hint: "there is nothing to take care of any more" });
      await accessLog.used(visible.identity, "alert.acknowledge", { alert: id, source });
      const acknowledged = await acknowledgeAlert(catalog, { id, by: visible.identity.name, reason: request.body.reason ?? null }, record);
      return reply.code(202).header("location", `/api/v1/alerts/${id}`).send(acknowledged);
    },
  );
}

function alertOf(visible: VisibleContext, id: string): Alert {
  const alert = findAlert(visible.catalog, id);
  if (alert === null || !(alert.source === null ? visible.names === null : sees(visible, alert.source)))
    throw new ApiProblem(404, "there is no alert of that id", { hint: "see /api/v1/alerts" });
  return alert;
}
