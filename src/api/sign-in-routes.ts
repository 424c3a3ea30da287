import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Gate } from "../access/gate.ts";
import { readCookie } from "../access/cookie.ts";
import type { OidcSignIn } from "../access/oidc.ts";
import { AccessRefused } from "../access/refused.ts";
import { isSecure, refuse, SIGN_IN_SECONDS, signInWithToken, signOut, startSession } from "../access/sign-in.ts";
import type { SignInOptions } from "../access/sign-in.ts";
import type { Api } from "./route-context.ts";

/** Forms of the sign-in page, which the dashboard shows. */
const tokenForm = z.strictObject({ token: z.string().max(200), next: z.string().max(2000).optional() });
const signOutForm = z.strictObject({ csrf: z.string().max(200).optional() });

export function addSignInRoutes(api: Api, options: SignInOptions, { gate, oidc }: { gate: Gate; oidc: OidcSignIn | null }): void {
  if (oidc !== null) addOidcRoutes(api, options, oidc);
  api.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(body.toString())));
  });

  api.post("/sign-in", { config: { access: "open" }, schema: { body: tokenForm } }, async (request, reply) => {
    const next = placeHere(request.body.next);
    try {
      await signInWithToken(options, request, reply, request.body.token.trim());
    } catch (error) {
      if (error instanceof AccessRefused && isPage(request))
        return reply.redirect(`/sign-in?${new URLSearchParams({ refused: "1", ...(next === "/" ? {} : { next }) }).toString()}`, 303);
      throw error;
    }
    return answer(request, reply, next);
  });

  api.post("/sign-out", { config: { access: "measure", csrfInBody: true }, schema: { body: signOutForm } }, async (request, reply) => {
    await gate.requireCsrf(request, request.body.csrf ?? request.headers["x-csrf-token"]);
    await signOut(options, request, reply);
    return answer(request, reply, "/sign-in");
  });
}

/** Where on this server somebody wanted to go, and never elsewhere: no host, nothing that a browser would take for one. */
function placeHere(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(next) ? next : "/";
}

const CALLBACK = "/sign-in/oidc/callback";
/** Which sign-in the browser has begun; it comes back with it from another site, by a link. */
const STATE_COOKIE = "holdfast-sign-in";

function addOidcRoutes(api: Api, options: SignInOptions, oidc: OidcSignIn): void {
  api.get("/sign-in/oidc", { config: { access: "open" }, schema: { querystring: z.object({ next: z.string().max(2000).optional() }) } }, async (request, reply) => {
    const { url, state } = await oidc.begin(`${request.protocol}://${request.host}${CALLBACK}`, placeHere(request.query.next));
    return reply.header("set-cookie", stateCookie(request, state, SIGN_IN_SECONDS)).redirect(url, 303);
  });

  api.get(CALLBACK, { config: { access: "open" } }, async (request, reply) => {
    void reply.header("set-cookie", stateCookie(request, "", 0));
    const result = await oidc.finish(request.url.split("?")[1] ?? "", readCookie(request.headers.cookie, STATE_COOKIE));
    if (result.ok) {
      await startSession(options, request, reply, result.identity);
      return reply.redirect(result.next, 303);
    }
    await refuse(options, request, result.why, null);
    return reply.redirect("/sign-in?refused=2", 303);
  });
}

function stateCookie(request: FastifyRequest, state: string, seconds: number): string {
  return `${STATE_COOKIE}=${state}; Path=/sign-in; HttpOnly; SameSite=Lax; Max-Age=${seconds}${isSecure(request) ? "; Secure" : ""}`;
}

/** A page goes on somewhere; a script is told that it is done. */
function answer(request: FastifyRequest, reply: FastifyReply, next: string): FastifyReply {
  return isPage(request) ? reply.redirect(next, 303) : reply.code(204).send();
}

function isPage(request: FastifyRequest): boolean {
  return (request.headers.accept ?? "").includes("text/html");
}
