import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Gate } from "../access/gate.ts";
import { EventFeed } from "./event-feed.ts";
import { ApiProblem } from "./problem.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { visibleTo } from "./visible.ts";

const eventsQuery = z.strictObject({ after: z.string().max(30).optional() });

export function addEventRoutes(api: Api, context: RouteContext, { gate, onTrouble }: { gate: Gate; onTrouble: (error: unknown) => void }): void {
  const feed = new EventFeed(context.catalog, () => context.clock.monotonicMs(), onTrouble);
  // Before connections are waited for: these end only if we end them.
  api.addHook("preClose", async () => feed.close());

  api.get(
    "/api/v1/events",
    {
      config: { access: "look" },
      schema: {
        summary: "Runs and how far they are, alerts and changes of exposure as they happen, as server-sent events; resumed with Last-Event-ID, or with its value as 'after'",
        media: "text/event-stream",
        querystring: eventsQuery,
      },
    },
    (request: FastifyRequest, reply: FastifyReply) => {
      if (feed.isFull) throw new ApiProblem(503, "too many are listening", { hint: "come back later, or ask /api/v1/runs now and then" });
      const { names } = visibleTo(context, request);
      reply.hijack();
      // A stream that ends ends its connection: it would keep a server that stops waiting.
      void reply.header("connection", "close");
      reply.raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" });
      // A browser that begins anew by itself sends the header; a script that opens a new stream cannot.
      const last = request.headers["last-event-id"] ?? (request.query as z.output<typeof eventsQuery>).after;
      feed.add({ raw: reply.raw, names, mayListen: () => gate.isStillKnown(request) }, typeof last === "string" ? last : null);
    },
  );
}
