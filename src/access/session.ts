import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { deleteSession, findSession, insertSession } from "../catalog/sessions.ts";
import { findToken } from "../catalog/tokens.ts";
import { isRole, ROLES } from "../domain/access.ts";
import { whyNotInForce } from "./authenticate.ts";
import type { TokenStore } from "./authenticate.ts";
import type { Identity } from "./identity.ts";

/**
 * A session is a random cookie, of which the catalog keeps the digest. One that was opened with a token is that token's: it ends when the token does, and has the role the token has.
 */
export interface Session {
  readonly sha256: string;
  readonly csrf: string;
  readonly identity: Identity;
}

/** A working day. Whoever stays longer signs in again. */
export const SESSION_SECONDS = 8 * 3600;

const identitySchema = z.object({
  kind: z.enum(["token", "person", "certificate", "demo"]),
  id: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  scope: z.array(z.string()).nullable(),
});

/** Opens a session; what it returns goes into the cookie. */
export function openSession({ catalog, now }: TokenStore, identity: Identity): string {
  const secret = randomBytes(32).toString("base64url");
  insertSession(catalog, {
    sha256: digestOf(secret),
    csrf: randomBytes(32).toString("base64url"),
    tokenId: identity.kind === "token" ? identity.id : null,
    identity: JSON.stringify(identity),
    startedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + SESSION_SECONDS * 1000).toISOString(),
  });
  return secret;
}

/** Whose session it is; null: of nobody any more. */
export function readSession({ catalog, writer, now }: TokenStore, cookie: string): Session | null {
  const record = findSession(catalog, digestOf(cookie));
  if (record === null || !(Date.parse(record.expiresAt) > now.getTime())) return null;
  const { sha256, csrf, tokenId } = record;
  const identity = identitySchema.parse(JSON.parse(record.identity));
  if (tokenId === null) return { sha256, csrf, identity };
  const token = findToken(catalog, writer, tokenId);
  if (token === null || whyNotInForce(token, now) !== null || !isRole(token.role)) return null;
  return { sha256, csrf, identity: { ...identity, role: token.role, scope: token.scope } };
}

export function closeSession({ catalog }: Pick<TokenStore, "catalog">, { sha256 }: Session): void {
  deleteSession(catalog, sha256);
}

/** Whether a form or a script sends what only a page of ours was given. */
export function isCsrfOf({ csrf }: Session, sent: unknown): boolean {
  if (typeof sent !== "string") return false;
  const [kept, given] = [Buffer.from(csrf), Buffer.from(sent)];
  return kept.length === given.length && timingSafeEqual(kept, given);
}

function digestOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
