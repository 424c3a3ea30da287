import type { FastifyReply, FastifyRequest } from "fastify";
import type { Gate } from "../access/gate.ts";
import { EventFeed } from "./event-feed.ts";
import { ApiProblem } from "./problem.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { noQuery } from "./schema-parts.ts";
import { visibleTo } from "./visible.ts";

export function addEventRoutes(api: Api, context: RouteContext, { gate, onTrouble }: { gate: Gate; onTrouble: (error: unknown) => void }): void {
  const feed = new EventFeed(context.catalog, () => context.clock.monotonicMs(), onTrouble);
  // Before connections are waited for: these end only if we end them.
  api.addHook("preClose", async () => feed.close());

  api.get(
    "/api/v1/events",
    {
      config: { access: "look" },
      schema: {
        summary: "Runs, alerts and changes of exposure as they happen, as server-sent events; resumed with Last-Event-ID",
        media: "text/event-stream",
        querystring: noQuery,
      },
    },
    (request: FastifyRequest, reply: FastifyReply) => {
      if (feed.isFull) throw new ApiProblem(503, "too many are listening", { hint: "come back later, or ask /api/v1/runs now and then" });
      const { names } = visibleTo(context, request);
      reply.hijack();
      // A stream that ends ends its connection: it would keep a server that stops waiting.
      void reply.header("connection", "close");
      reply.raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" });
      const last = request.headers["last-event-id"];
      feed.add({ raw: reply.raw, names, mayListen: () => gate.isStillKnown(request) }, typeof last === "string" ? last : null);
    },
  );
}
