import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { identityOf } from "../access/gate.ts";
import { currentPause } from "../catalog/pauses.ts";
import { HoldfastError } from "../errors.ts";
import { ApiProblem } from "./problem.ts";
import { sourceOf } from "./route-context.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { idempotencyHeaders, moment, nameParams, noQuery, text, time } from "./schema-parts.ts";
import { visibleTo } from "./visible.ts";

const pauseBody = z.strictObject({ reason: z.string().trim().min(1).max(500), until: moment });
const pauseSchema = z.object({ source: text, from: time, until: time, reason: text, pausedBy: text });
const approvalSchema = z.object({ policy: text, changedAt: time, changedBy: text, approvedBy: text });

/** Changes of what is in force, done at once and not queued: they are entries of the evidence. Who asked is on record before. */
export function addChangeRoutes(api: Api, context: RouteContext): void {
  const { accessLog, catalog, clock, changes } = context;
  const common = { params: nameParams, querystring: noQuery, headers: idempotencyHeaders };

  api.post(
    "/api/v1/sources/:name/pause",
    { config: { access: "operate" }, schema: { summary: "Leave a source alone by schedule for a while", ...common, body: pauseBody, response: { 202: pauseSchema } } },
    async (request, reply) => {
      const visible = visibleTo(context, request);
      const source = sourceOf(visible, request.params.name);
      const { reason, until } = request.body;
      const by = visible.identity.name;
      void reply.code(202).header("location", `/api/v1/status?source=${source.name}`);
      const standing = currentPause(catalog, source.name, clock.now());
      // Asked again after an answer was lost: it is paused already.
      if (standing !== null && standing.until === until.toISOString() && standing.reason === reason && standing.pausedBy === by) return standing;
      await accessLog.used(visible.identity, "pause.request", { source: source.name, until: until.toISOString(), reason });
      return changes.pause({ source, reason, until, by });
    },
  );

  api.post(
    "/api/v1/policies/:name/approve",
    {
      config: { access: "govern" },
      schema: { summary: "Bring a change that weakens a policy into force", ...common, body: z.strictObject({}), response: { 202: approvalSchema } },
    },
    async (request, reply) => {
      const identity = approverOf(request);
      const { name } = request.params;
      await accessLog.used(identity, "policy.approve.request", { policy: name });
      const { at, by } = await changes.approve({ name, identity }).catch(refuse);
      void reply.code(202).header("location", "/api/v1/policies");
      return { policy: name, changedAt: at, changedBy: by, approvedBy: identity.name };
    },
  );
}

function approverOf(request: FastifyRequest): ReturnType<typeof identityOf> {
  const identity = identityOf(request);
  if (identity.scope !== null) throw new ApiProblem(403, "whoever sees only some sources may not approve policies", { hint: "ask an admin for all sources" });
  return identity;
}

/** What the approval itself refuses: whoever made the change, and a change that is not there (any more). */
function refuse(error: unknown): never {
  if (error instanceof HoldfastError && error.code === "HF-HELD") throw new ApiProblem(403, error.message, { hint: error.hint });
  if (error instanceof HoldfastError && error.code === "HF-USAGE") throw new ApiProblem(404, error.message, { hint: "see /api/v1/policies" });
  throw error;
}
