import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Gate } from "../access/gate.ts";
import { AccessRefused } from "../access/refused.ts";
import { signInWithToken, signOut } from "../access/sign-in.ts";
import type { SignInOptions } from "../access/sign-in.ts";
import type { Api } from "./route-context.ts";

/** Forms of the sign-in page, which the dashboard shows. */
const tokenForm = z.strictObject({ token: z.string().max(200) });
const signOutForm = z.strictObject({ csrf: z.string().max(200).optional() });

export function addSignInRoutes(api: Api, options: SignInOptions, gate: Gate): void {
  api.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (_request, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(body.toString())));
  });

  api.post("/sign-in", { config: { access: "open" }, schema: { body: tokenForm } }, async (request, reply) => {
    try {
      await signInWithToken(options, request, reply, request.body.token.trim());
    } catch (error) {
      if (error instanceof AccessRefused && isPage(request)) return reply.redirect("/sign-in?refused=1", 303);
      throw error;
    }
    return answer(request, reply, "/");
  });

  api.post("/sign-out", { config: { access: "measure", csrfInBody: true }, schema: { body: signOutForm } }, async (request, reply) => {
    await gate.requireCsrf(request, request.body.csrf ?? request.headers["x-csrf-token"]);
    await signOut(options, request, reply);
    return answer(request, reply, "/sign-in");
  });
}

/** A page goes on somewhere; a script is told that it is done. */
function answer(request: FastifyRequest, reply: FastifyReply, next: string): FastifyReply {
  return isPage(request) ? reply.redirect(next, 303) : reply.code(204).send();
}

function isPage(request: FastifyRequest): boolean {
  return (request.headers.accept ?? "").includes("text/html");
}
