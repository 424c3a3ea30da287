import { z } from "zod";
import type { AccessRule } from "../access/gate.ts";
import { mayDo, ROLES } from "../domain/access.ts";

/** A route as the document shows it. */
export interface DescribedRoute {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly summary: string;
  readonly access: AccessRule;
  readonly querystring: z.ZodType | null;
  readonly params: z.ZodType | null;
  readonly headers: z.ZodType | null;
  readonly body: z.ZodType | null;
  /** Of what it answers where all went well. */
  readonly status: number;
  /** Null: it answers something else than JSON. */
  readonly answer: z.ZodType | null;
  readonly media: string;
}

const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string().nullable(),
  hint: z.string().nullable(),
  errors: z.array(z.object({ in: z.string(), name: z.string(), message: z.string() })),
});

/** OpenAPI 3.1, made from the schemas that requests and answers really pass through. */
export function openApiDocument(routes: readonly DescribedRoute[], version: string): Record<string, unknown> {
  const problem = { description: "a problem document (RFC 9457)", content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } } };
  const byPath = Map.groupBy(routes, ({ url }) => url.replaceAll(/:(\w+)/g, "{$1}"));
  return {
    openapi: "3.1.0",
    info: { title: "Holdfast", version, description: "Status, history and evidence of backup and recovery. Times are RFC 3339 in UTC; unknown is null." },
    paths: Object.fromEntries([...byPath].map(([path, ofPath]) => [path, Object.fromEntries(ofPath.map((route) => [route.method.toLowerCase(), describe(route, problem)]))])),
    components: { schemas: { Problem: jsonSchema(problemSchema, "output") }, securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  };
}

function describe({ method, url, summary, access, querystring, params, headers, body, status, answer, media }: DescribedRoute, problem: object): Record<string, unknown> {
  const content = answer === null ? { [media]: { schema: { type: "string" } } } : { "application/json": { schema: jsonSchema(answer, "output") } };
  const name = url.replaceAll(/[^A-Za-z]+(\w?)/g, (_, letter: string) => letter.toUpperCase());
  return {
    operationId: method === "GET" ? name : `${method.toLowerCase()}${name}`,
    summary,
    // Also without a token, where the server runs as a demonstration.
    security: access === "open" ? [] : [{ token: [] }],
    "x-roles": access === "open" ? null : ROLES.filter((role) => mayDo(role, access)),
    parameters: [...parameters(params, "path"), ...parameters(querystring, "query"), ...parameters(headers, "header")],
    ...(body === null ? {} : { requestBody: { required: true, content: { "application/json": { schema: jsonSchema(body, "input") } } } }),
    responses: { [status]: { description: "the answer", content }, default: problem },
  };
}

function parameters(schema: z.ZodType | null, place: "path" | "query" | "header"): Record<string, unknown>[] {
  if (schema === null) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, "input");
  return Object.entries(properties).map(([name, property]) => ({ name, in: place, required: place === "path" || required.includes(name), schema: property }));
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): z.core.JSONSchema.BaseSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
