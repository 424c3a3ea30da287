import type { FastifySchemaCompiler, FastifyTypeProvider } from "fastify";
import type { FastifySerializerCompiler } from "fastify/types/schema.js";
import type { z } from "zod";
import { invalidRequest } from "./problem.ts";

/** Fastify with zod: requests are parsed into types, and answers cannot differ from the schema that OpenAPI shows. */
export interface ZodTypeProvider extends FastifyTypeProvider {
  readonly validator: this["schema"] extends z.ZodType ? z.output<this["schema"]> : unknown;
  readonly serializer: this["schema"] extends z.ZodType ? z.input<this["schema"]> : unknown;
}

declare module "fastify" {
  interface FastifySchema {
    /** What the route answers, in a sentence, for OpenAPI. */
    summary?: string;
    /** What an answer without a schema is, for OpenAPI; text where nothing is said. */
    media?: string;
  }
}

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data) => {
    const parsed = schema.safeParse(data);
    return parsed.success ? { value: parsed.data } : { error: invalidRequest(httpPart ?? "request", parsed.error.issues) };
  };

/** An answer that does not fit its schema is a bug, and answered as one. */
export const serializerCompiler: FastifySerializerCompiler<z.ZodType> =
  ({ schema }) =>
  (data) =>
    JSON.stringify(schema.parse(data));
