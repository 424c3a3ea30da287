import { STATUS_CODES } from "node:http";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import { AccessRefused } from "../access/refused.ts";
import { HoldfastError } from "../errors.ts";

/** Everything that is not an answer is a problem document (RFC 9457): the same form whatever went wrong, with what to do about it. */
export const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

export interface Problem {
  readonly type: "about:blank";
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Our own code, as commands print it; null where there is none. */
  readonly code: string | null;
  readonly hint: string | null;
  /** What is wrong with the request, one by one. */
  readonly errors: readonly { readonly in: string; readonly name: string; readonly message: string }[];
}

/** Thrown to answer with a problem. */
export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly statusCode: number;
  readonly hint: string | null;
  readonly errors: Problem["errors"];

  constructor(statusCode: number, detail: string, { hint = null, errors = [] }: { hint?: string | null; errors?: Problem["errors"] } = {}) {
    super(detail);
    this.statusCode = statusCode;
    this.hint = hint;
    this.errors = errors;
  }
}

const PART_NAMES: Readonly<Record<string, string>> = { querystring: "query", params: "path" };

export function invalidRequest(httpPart: string, issues: readonly z.core.$ZodIssue[]): ApiProblem {
  const where = PART_NAMES[httpPart] ?? httpPart;
  const errors = issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") return issue.keys.map((name) => ({ in: where, name, message: "is not known here" }));
    return [{ in: where, name: issue.path.join("."), message: issue.message }];
  });
  return new ApiProblem(400, `the ${where} of the request is not valid`, { hint: "see /api/v1/openapi.json", errors });
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 401) void reply.header("www-authenticate", 'Bearer realm="holdfast"');
  // Already text: a problem must not pass through the schema of the answer it stands for.
  return reply
    .code(problem.status)
    .header("content-type", PROBLEM_TYPE)
    .serializer((payload: string) => payload)
    .send(JSON.stringify(problem));
}

export function problemOf(status: number, detail: string, more: Partial<Pick<Problem, "code" | "hint" | "errors">> = {}): Problem {
  return { type: "about:blank", title: STATUS_CODES[status] ?? "Error", status, detail, code: null, hint: null, errors: [], ...more };
}

/** What a request may know of an error: of wrong use all, of our own trouble only that there is some. Its text may hold paths and addresses. */
export function problemOfError(error: unknown): Problem {
  if (error instanceof ApiProblem) return problemOf(error.statusCode, error.message, { hint: error.hint, errors: error.errors });
  if (error instanceof AccessRefused) return problemOf(error.statusCode, error.message, { hint: error.hint });
  if (error instanceof HoldfastError && error.exitCode === 2) return problemOf(400, error.message, { code: error.code, hint: error.hint });
  if (error instanceof HoldfastError) return problemOf(500, "the request could not be answered", { code: error.code, hint: "the log of the server says more" });
  if (isFastifyError(error) && error.statusCode !== undefined && error.statusCode < 500) return problemOf(error.statusCode, error.message.toLowerCase());
  return problemOf(500, "the request could not be answered", { code: "HF-BUG", hint: "the log of the server says more" });
}

export function answerNotFound(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendProblem(reply, problemOf(404, "there is nothing at this address", { hint: "see /api/v1/openapi.json" }));
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("FST_");
}
