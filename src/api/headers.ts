import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";

/** Nothing served here is a page: no browser should run, frame, guess or keep it. */
export const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
} as const;

/** Gives every answer an entity tag, and says 304 to who has it already. Returns what is to be sent. */
export function tagAnswer(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
  if (reply.statusCode !== 200 || typeof payload !== "string") return payload;
  const tag = `"${createHash("sha256").update(payload).digest("base64url").slice(0, 27)}"`;
  void reply.header("etag", tag);
  if (!names(request.headers["if-none-match"], tag)) return payload;
  void reply.code(304).removeHeader("content-type").removeHeader("content-length");
  return "";
}

/** If-None-Match compares weakly (RFC 9110, 13.1.2). */
function names(header: string | undefined, tag: string): boolean {
  const candidates = (header ?? "").split(",").map((candidate) => candidate.trim().replace(/^W\//, ""));
  return candidates.includes("*") || candidates.includes(tag);
}
