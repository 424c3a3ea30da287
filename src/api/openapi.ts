import { z } from "zod";

/** A route as the document shows it. */
export interface DescribedRoute {
  readonly url: string;
  readonly summary: string;
  readonly querystring: z.ZodType | null;
  readonly params: z.ZodType | null;
  /** Null: it answers text. */
  readonly answer: z.ZodType | null;
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
  return {
    openapi: "3.1.0",
    info: { title: "Holdfast", version, description: "Status, history and evidence of backup and recovery. Times are RFC 3339 in UTC; unknown is null." },
    paths: Object.fromEntries(routes.map((route) => [route.url.replaceAll(/:(\w+)/g, "{$1}"), { get: describe(route, problem) }])),
    components: { schemas: { Problem: jsonSchema(problemSchema, "output") } },
  };
}

function describe({ url, summary, querystring, params, answer }: DescribedRoute, problem: object): Record<string, unknown> {
  const content = answer === null ? { "text/plain": { schema: { type: "string" } } } : { "application/json": { schema: jsonSchema(answer, "output") } };
  return {
    operationId: url.replaceAll(/[^A-Za-z]+(\w?)/g, (_, letter: string) => letter.toUpperCase()),
    summary,
    parameters: [...parameters(params, "path"), ...parameters(querystring, "query")],
    responses: { "200": { description: "the answer", content }, default: problem },
  };
}

function parameters(schema: z.ZodType | null, place: "path" | "query"): Record<string, unknown>[] {
  if (schema === null) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, "input");
  return Object.entries(properties).map(([name, property]) => ({ name, in: place, required: place === "path" || required.includes(name), schema: property }));
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): z.core.JSONSchema.BaseSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
