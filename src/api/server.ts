import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import rateLimit from "@fastify/rate-limit";
import fastify from "fastify";
import type { FastifyServerOptions, HTTPMethods } from "fastify";
import { z } from "zod";
import { AccessLog } from "../access/access-log.ts";
import { Gate } from "../access/gate.ts";
import type { OidcSignIn } from "../access/oidc.ts";
import type { SignInOptions } from "../access/sign-in.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import type { EvidenceHead } from "../domain/compliance.ts";
import { assert } from "../errors.ts";
import type { Inventory } from "../policy/types.ts";
import { addAlertRoutes } from "./alert-routes.ts";
import { addChangeRoutes } from "./change-routes.ts";
import { addCommandRoutes } from "./command-routes.ts";
import { addEventRoutes } from "./event-routes.ts";
import { SECURITY_HEADERS, tagAnswer } from "./headers.ts";
import { addHealthRoutes } from "./health-routes.ts";
import { addHistoryRoutes } from "./history-routes.ts";
import { refuseForeignHost, requireServable } from "./loopback.ts";
import { describedRoutes } from "./described-routes.ts";
import { openApiDocument } from "./openapi.ts";
import type { DescribedRoute } from "./openapi.ts";
import { answerNotFound, ApiProblem, PROBLEM_TYPE, problemOf, problemOfError, sendProblem } from "./problem.ts";
import type { Api, RouteContext } from "./route-context.ts";
import { noQuery } from "./schema-parts.ts";
import { addRecordRoutes } from "./record-routes.ts";
import { addSignInRoutes } from "./sign-in-routes.ts";
import { addSourceRoutes } from "./source-routes.ts";
import type { TlsMaterial } from "./tls.ts";
import { tlsOptions } from "./tls.ts";
import { serializerCompiler, validatorCompiler } from "./zod-provider.ts";
import type { ZodTypeProvider } from "./zod-provider.ts";

export interface ApiOptions {
  readonly catalog: Catalog;
  readonly inventory: Inventory;
  readonly clock: Clock;
  /** The evidence writer of this host: tokens of others open nothing here. */
  readonly writer: string;
  readonly record: RouteContext["record"];
  readonly newRunId: RouteContext["newRunId"];
  readonly changes: RouteContext["changes"];
  /** Certificate and key, where the inventory says TLS. */
  readonly tls: TlsMaterial | null;
  /** Left out: people sign in with tokens only. */
  readonly oidc?: OidcSignIn | null;
  readonly isSchedulerRunning: () => boolean;
  readonly version: string;
  /** The newest entry of this host's evidence log, for compliance reports. Left out: reports say that it was not looked up. */
  readonly evidenceHead?: () => Promise<EvidenceHead | null>;
  /** Left out: there is no evidence to show. */
  readonly evidence?: RouteContext["evidence"];
  /** Told of every error that is our own trouble: the one who asked gets no details. */
  readonly onError?: (error: unknown, requestId: string | null) => void;
  /** Of one address, health apart. */
  readonly requestsPerMinute?: number;
  /** How long a request may take to come in, its head and all of it. */
  readonly patience?: { readonly headMs: number; readonly requestMs: number };
}

/** Nothing is uploaded here: what can be asked for fits into a few lines. */
const MOST_BODY_BYTES = 16 * 1024;
const MOST_NAME_LENGTH = 200;
/** Whoever sends a head letter by letter holds a connection and nothing else; but not for ever. */
const PATIENCE = { headMs: 10_000, requestMs: 30_000 } as const;
/** How often is looked for those who take longer, as a part of the time they have. */
const CHECKS = 4;
/** Far more than those who may listen, and far less than files may be open. */
const MOST_CONNECTIONS = 2000;
/** A wall of dashboards behind one address stays below; one that asks without a pause does not. */
const REQUESTS_PER_MINUTE = 1200;
const HEALTH: readonly string[] = ["/healthz", "/readyz"];
const FLUSH_ACCESS_LOG_MS = 60_000;

/** The API, ready to listen; other pages may be registered on it before, and pass the same gate. Throws `HF-CONFIG` where it would be open to those it should not be. */
export async function createApi(options: ApiOptions): Promise<Api> {
  const { inventory, tls } = options;
  requireServable(inventory.api);
  assert((tls === null) === (inventory.api.tls === null), "certificate and key where the inventory says TLS, and nowhere else");
  const { headMs, requestMs } = options.patience ?? PATIENCE;
  const http = { headersTimeout: headMs, requestTimeout: requestMs, connectionsCheckingInterval: Math.ceil(headMs / CHECKS) };
  const server: FastifyServerOptions = {
    bodyLimit: MOST_BODY_BYTES,
    requestTimeout: requestMs,
    genReqId: () => randomUUID(),
    // One proxy, ours: what those before it claim is not believed.
    trustProxy: inventory.api.behindProxy ? (_address, hop) => hop === 0 : false,
    routerOptions: { maxParamLength: MOST_NAME_LENGTH },
    clientErrorHandler: (error, socket) => refuseMalformed(socket, error.code),
    frameworkErrors: (error, _request, reply) => void sendProblem(reply.headers(SECURITY_HEADERS), problemOfError(error)),
  };
  const transport = tls === null ? { http } : { https: { ...tlsOptions(tls), ...http } };
  // To Fastify's types a server over TLS is another one; nothing here depends on which it is.
  const api = fastify({ ...server, ...transport } as FastifyServerOptions).withTypeProvider<ZodTypeProvider>();
  api.server.maxConnections = MOST_CONNECTIONS;
  api.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler);
  api.addHook("onRequest", async (request, reply) => {
    void reply.headers({ ...SECURITY_HEADERS, "x-request-id": request.id });
    refuseForeignHost(inventory.api, request);
  });
  api.addHook("onSend", async (request, reply, payload) => tagAnswer(request, reply, payload));
  await limitRate(api, options);
  const { gate, signIn } = addGate(api, options);
  api.setNotFoundHandler(answerNotFound);
  api.setErrorHandler((error, request, reply) => {
    const problem = problemOfError(error);
    if (problem.status >= 500) options.onError?.(error, request.id);
    return sendProblem(reply, problem);
  });
  addRoutes(api, options, { gate, accessLog: signIn.log });
  addSignInRoutes(api, signIn, { gate, oidc: options.oidc ?? null });
  return api;
}

async function limitRate(api: Api, { requestsPerMinute = REQUESTS_PER_MINUTE }: ApiOptions): Promise<void> {
  await api.register(rateLimit, {
    max: requestsPerMinute,
    timeWindow: 60_000,
    // Health is asked by those who decide whether we live.
    allowList: ({ routeOptions }) => HEALTH.includes(routeOptions.url ?? ""),
    errorResponseBuilder: (_request, { ttl }) => new ApiProblem(429, "too many requests", { hint: `again in ${Math.ceil(ttl / 1000)} s` }),
  });
}

/** Who asks and whether they may: before anything else of a request is read. */
function addGate(api: Api, { catalog, inventory, clock, writer, record, onError }: ApiOptions): { gate: Gate; signIn: SignInOptions } {
  const log = new AccessLog(record, clock, (error) => onError?.(error, null));
  const { demo, tls } = inventory.api;
  const gate = new Gate({ catalog, writer, clock, demo, clients: tls?.clients ?? new Map(), log });
  api.decorateRequest("identity", null).decorateRequest("session", null);
  api.addHook("onRoute", ({ method, url, config }) => {
    if (config?.access === undefined) throw new Error(`${String(method)} ${url} has no rule of access`);
  });
  api.addHook("onRequest", async (request) => gate.admit(request));
  const flushing = setInterval(() => void log.flush("due"), FLUSH_ACCESS_LOG_MS).unref();
  api.addHook("onClose", async () => {
    clearInterval(flushing);
    await log.flush("all");
  });
  return { gate, signIn: { catalog, writer, clock, log } };
}

function addRoutes(api: Api, options: ApiOptions, { gate, accessLog }: { gate: Gate; accessLog: AccessLog }): void {
  const routes: DescribedRoute[] = [];
  api.addHook("onRoute", (route) => void routes.push(...describedRoutes(route)));
  const context = { ...options, accessLog, evidenceHead: options.evidenceHead ?? (async () => null), evidence: options.evidence ?? (async () => []) };
  addHealthRoutes(api, context);
  addSourceRoutes(api, context);
  addHistoryRoutes(api, context);
  addRecordRoutes(api, context);
  addAlertRoutes(api, context);
  addCommandRoutes(api, context);
  addChangeRoutes(api, context);
  addEventRoutes(api, context, { gate, onTrouble: (error) => options.onError?.(error, null) });
  api.get(
    "/api/v1/openapi.json",
    { config: { access: "look" }, schema: { summary: "This description", querystring: noQuery, response: { 200: z.record(z.string(), z.unknown()) } } },
    () => openApiDocument(described, options.version),
  );
  const described = [...routes];
  refuseOtherMethods(api, described);
}

/** There is something at the address, but not that to be done there. Refused before a body is read, and to those who may do the other thing. */
function refuseOtherMethods(api: Api, routes: readonly DescribedRoute[]): void {
  for (const [url, known] of Map.groupBy(routes, (route) => route.url)) {
    const allowed = new Set(known.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method])));
    const [access = "govern"] = known.map((route) => route.access);
    api.route({
      method: api.supportedMethods.filter((name): name is HTTPMethods => !allowed.has(name)),
      url,
      config: { access },
      onRequest: async (_request, reply) => {
        void reply.header("allow", [...allowed].join(", "));
        throw new ApiProblem(405, allowed.has("GET") ? "this address can only be read" : "this address takes only POST");
      },
      handler: answerNotFound,
    });
  }
}

/** What is not even HTTP, or does not come to an end, gets an answer, and the end of the connection. */
const MALFORMED: Readonly<Record<string, readonly [status: number, reason: string, detail: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout", "the request took too long to come in"],
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large", "the head of the request is too large"],
};

function refuseMalformed(socket: Socket, code: string | undefined): void {
  if (!socket.writable) return;
  const [status, reason, detail] = MALFORMED[code ?? ""] ?? [400, "Bad Request", "this is not a valid HTTP request"];
  const body = JSON.stringify(problemOf(status, detail));
  socket.end(`HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}
