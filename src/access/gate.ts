import type { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import { mayDo } from "../domain/access.ts";
import type { Ability, Role, Scope } from "../domain/access.ts";
import { factsOf } from "./access-log.ts";
import type { AccessLog } from "./access-log.ts";
import { authenticate } from "./authenticate.ts";
import type { TokenStore } from "./authenticate.ts";
import { readSessionCookie } from "./cookie.ts";
import type { Identity } from "./identity.ts";
import { AccessRefused } from "./refused.ts";
import { isCsrfOf, readSession } from "./session.ts";
import type { Session } from "./session.ts";

/** What a route asks of whoever calls it. `open`: nothing. */
export type AccessRule = "open" | Ability;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Every route has one: the server does not start with a route that has none. */
    access?: AccessRule;
    /** Form posts carry the secret of their session as the field `csrf` instead of a header, and their handler checks it with `requireCsrf`. */
    csrfInBody?: true;
  }
  interface FastifyRequest {
    /** Who asks; null on routes that are open. */
    identity: Identity | null;
    /** Null unless a browser's cookie says who asks. */
    session: Session | null;
  }
}

export interface GateOptions {
  readonly catalog: Catalog;
  /** The host whose tokens count. */
  readonly writer: string;
  readonly clock: Clock;
  /** Everybody who can reach the server may look at everything: only for a demonstration on loopback. */
  readonly demo: boolean;
  /** Who holds a client certificate, by its common name; the server has verified it. */
  readonly clients: ReadonlyMap<string, { readonly role: Role; readonly scope: Scope }>;
  readonly log: AccessLog;
}

const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];
const DEMO: Identity = { kind: "demo", id: "demo", name: "demo", role: "auditor", scope: null };
const HINT = "send 'Authorization: Bearer …' with a token from 'holdfast token add'";

type Shown = { readonly identity: Identity; readonly session: Session | null } | { readonly why: string; readonly token: string | null };

/** The one door: who asks, whether they may, and what of it goes on record. Handlers come after it and read `request.identity`. */
export class Gate {
  readonly #options: GateOptions;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Before anything of the request is read. Throws `AccessRefused`. */
  async admit(request: FastifyRequest): Promise<void> {
    const rule = request.routeOptions.config.access;
    if (rule === "open") return;
    const shown = this.#whoIs(request);
    if (!("identity" in shown)) throw await this.#unknown(request, shown);
    const { identity, session } = shown;
    // Also for whoever is refused: the page that says so says to whom.
    request.identity = identity;
    request.session = session;
    // Where there is no route there is no rule: whoever is known is told that nothing is there.
    if (rule !== undefined && !mayDo(identity.role, rule)) throw await this.#forbidden(request, identity, "role", `the role ${identity.role} may not do this`);
    if (session !== null && !SAFE_METHODS.includes(request.method)) await this.#requireOurPage(request, session);
    if (rule !== undefined && (identity.role === "auditor" || identity.kind === "person") && identity.kind !== "demo" && SAFE_METHODS.includes(request.method))
      await this.#options.log.read(identity, routeOf(request));
  }

  /** Whether whoever was let in would be let in again: for what goes on for hours. */
  isStillKnown(request: FastifyRequest): boolean {
    return "identity" in this.#whoIs(request);
  }

  #whoIs(request: FastifyRequest): Shown {
    const store = this.#store();
    const { authorization } = request.headers;
    if (authorization !== undefined) {
      const [, bearer = ""] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
      const found = authenticate(store, bearer);
      return found.ok ? { identity: found.identity, session: null } : found;
    }
    const cookie = readSessionCookie(request.headers.cookie);
    const session = cookie === null ? null : readSession(store, cookie);
    if (session !== null) return { identity: session.identity, session };
    const client = this.#clientOf(request);
    if (client !== null) return { identity: client, session: null };
    if (this.#options.demo) return { identity: DEMO, session: null };
    return { why: cookie === null ? "no token" : "session over", token: null };
  }

  /** Whoever holds a certificate that our own authority signed. */
  #clientOf(request: FastifyRequest): Identity | null {
    const { socket } = request.raw;
    if (!("authorized" in socket) || socket.authorized !== true) return null;
    const name: unknown = (socket as TLSSocket).getPeerCertificate().subject.CN;
    const client = typeof name === "string" ? this.#options.clients.get(name) : undefined;
    return client === undefined || typeof name !== "string" ? null : { kind: "certificate", id: name, name, ...client };
  }

  async #unknown(request: FastifyRequest, { why, token }: { why: string; token: string | null }): Promise<AccessRefused> {
    // A browser that comes for the first time is shown where to sign in; that is no attempt at anything.
    const isVisit = why !== "unknown" && request.headers.authorization === undefined && (request.headers.accept ?? "").includes("text/html");
    if (!isVisit) await this.#options.log.refused(why, { by: null, id: token, role: null, address: request.ip }, routeOf(request));
    const detail =
      why === "expired" ? "the token is no longer valid" : why === "revoked" ? "the token was revoked" : why === "unknown" ? "the token is not known here" : "who are you?";
    return new AccessRefused(401, detail, HINT);
  }

  async #forbidden(request: FastifyRequest, identity: Identity, why: string, detail: string): Promise<AccessRefused> {
    await this.#options.log.refused(why, factsOf(identity, request.ip), routeOf(request));
    return new AccessRefused(403, detail, why === "role" ? "ask with a token of a role that may: viewer, auditor, operator, admin" : "send it from a page of this server");
  }

  /** A cookie comes along whoever made the browser send it: what changes something must come from a page of ours. */
  async #requireOurPage(request: FastifyRequest, session: Session): Promise<void> {
    const isOurs = isFromHere(request);
    const isProven = request.routeOptions.config.csrfInBody === true || isCsrfOf(session, request.headers["x-csrf-token"]);
    if (!isOurs || !isProven) throw await this.#forbidden(request, session.identity, "another site", "the request does not come from a page of this server");
  }

  /** For handlers of forms: the field `csrf` must be the secret of the session. */
  async requireCsrf(request: FastifyRequest, sent: unknown): Promise<void> {
    if (request.session !== null && !isCsrfOf(request.session, sent))
      throw await this.#forbidden(request, request.session.identity, "another site", "the form does not come from a page of this server");
  }

  #store(): TokenStore {
    const { catalog, writer, clock } = this.#options;
    return { catalog, writer, now: clock.now() };
  }
}

/** The one who asks, on a route that is not open. */
export function identityOf(request: FastifyRequest): Identity {
  if (request.identity === null) throw new Error("a route that is open asked who is there");
  return request.identity;
}

/** False where a browser says that another site made it send this. */
export function isFromHere(request: FastifyRequest): boolean {
  const { origin } = request.headers;
  const site = request.headers["sec-fetch-site"];
  return (site === undefined || site === "same-origin") && (origin === undefined || hostOf(origin) === request.host);
}

/** The pattern, never the address: that may hold anything. */
export function routeOf(request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? "(nothing)"}`;
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
