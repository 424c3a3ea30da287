import type { RouteOptions } from "fastify";
import { z } from "zod";
import type { DescribedRoute } from "./openapi.ts";

/** A route as it was given to Fastify, as the document shows it; nothing for those it does not show. */
export function describedRoutes({ method: written, url, schema = {}, config }: RouteOptions): DescribedRoute[] {
  const method = written === "GET" || written === "POST" ? (written as "GET" | "POST") : null;
  if (method === null || config?.access === undefined || schema.summary === undefined) return [];
  const [status, answer] = answerOf(schema.response);
  const { summary, querystring, params, headers, body, media = "text/plain" } = schema;
  return [
    {
      method,
      url,
      summary,
      access: config.access,
      querystring: zodOrNull(querystring),
      params: zodOrNull(params),
      headers: zodOrNull(headers),
      body: zodOrNull(body),
      status,
      answer,
      media,
    },
  ];
}

function answerOf(response: unknown): [number, z.ZodType | null] {
  const answers: [string, unknown][] = Object.entries(typeof response === "object" && response !== null ? response : {});
  const [status, schema] = answers.find(([code]) => code.startsWith("2")) ?? ["200", null];
  return [Number(status), zodOrNull(schema)];
}

function zodOrNull(schema: unknown): z.ZodType | null {
  return schema instanceof z.ZodType ? schema : null;
}
