import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../clock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { AccessLog } from "./access-log.ts";
import { authenticate } from "./authenticate.ts";
import type { TokenStore } from "./authenticate.ts";
import { sessionCookie } from "./cookie.ts";
import { isFromHere, routeOf } from "./gate.ts";
import type { Identity } from "./identity.ts";
import { AccessRefused } from "./refused.ts";
import { closeSession, openSession, SESSION_SECONDS } from "./session.ts";

/** How long somebody may take at a sign-in service. */
export const SIGN_IN_SECONDS = 600;

/** People sign in with a token they paste, or through a sign-in service; either way they get a session. */
export interface SignInOptions {
  readonly catalog: Catalog;
  readonly writer: string;
  readonly clock: Clock;
  readonly log: AccessLog;
}

/** Opens the session of whoever shows a token. Throws `AccessRefused`; a failed attempt is on record. */
export async function signInWithToken(options: SignInOptions, request: FastifyRequest, reply: FastifyReply, token: string): Promise<void> {
  const found = authenticate(storeOf(options), token);
  if (!isFromHere(request)) throw await refuse(options, request, "another site", null);
  if (!found.ok) throw await refuse(options, request, found.why, found.token);
  await startSession(options, request, reply, found.identity);
}

export async function startSession(options: SignInOptions, request: FastifyRequest, reply: FastifyReply, identity: Identity): Promise<void> {
  await options.log.signedIn(identity, request.ip);
  const secret = openSession(storeOf(options), identity);
  void reply.header("set-cookie", sessionCookie(secret, { secure: isSecure(request), seconds: SESSION_SECONDS }));
}

export async function signOut(options: SignInOptions, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { session } = request;
  if (session !== null) {
    await options.log.signedOut(session.identity, request.ip);
    closeSession(options, session);
  }
  void reply.header("set-cookie", sessionCookie("", { secure: isSecure(request), seconds: 0 }));
}

export async function refuse({ log }: SignInOptions, request: FastifyRequest, why: string, token: string | null): Promise<AccessRefused> {
  await log.refused(`sign-in: ${why}`, { by: null, id: token, role: null, address: request.ip }, routeOf(request));
  if (why === "another site") return new AccessRefused(403, "the form does not come from a page of this server", "sign in at /sign-in");
  return new AccessRefused(401, "this does not open a session", "is the token written out in full, and still valid? see 'holdfast token list'");
}

/** Over TLS, ours or that of the proxy in front. */
export function isSecure(request: FastifyRequest): boolean {
  return request.protocol === "https";
}

function storeOf({ catalog, writer, clock }: SignInOptions): TokenStore {
  return { catalog, writer, now: clock.now() };
}
