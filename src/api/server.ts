import type { Socket } from "node:net";
import fastify from "fastify";
import type { HTTPMethods } from "fastify";
import { z } from "zod";
import type { Catalog } from "../catalog/catalog.ts";
import { lastApplied } from "../catalog/runs.ts";
import type { Clock } from "../clock.ts";
import type { EvidenceHead } from "../domain/compliance.ts";
import type { Inventory } from "../policy/types.ts";
import { SECURITY_HEADERS, tagAnswer } from "./headers.ts";
import { addHistoryRoutes } from "./history-routes.ts";
import { refuseForeignHost, requireLoopback } from "./loopback.ts";
import { METRICS_TYPE, renderMetrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import type { DescribedRoute } from "./openapi.ts";
import { answerNotFound, ApiProblem, PROBLEM_TYPE, problemOf, problemOfError, sendProblem } from "./problem.ts";
import type { Api } from "./route-context.ts";
import { noQuery } from "./schema-parts.ts";
import { addSourceRoutes } from "./source-routes.ts";
import { serializerCompiler, validatorCompiler } from "./zod-provider.ts";
import type { ZodTypeProvider } from "./zod-provider.ts";

export interface ApiOptions {
  readonly catalog: Catalog;
  readonly inventory: Inventory;
  readonly clock: Clock;
  readonly isSchedulerRunning: () => boolean;
  readonly version: string;
  /** The newest entry of this host's evidence log, for compliance reports. Left out: reports say that it was not looked up. */
  readonly evidenceHead?: () => Promise<EvidenceHead | null>;
  /** Told of every error that is our own trouble: the one who asked gets no details. */
  readonly onError?: (error: unknown) => void;
}

/** Nothing is uploaded here; a body is read only to be refused. */
const MOST_BODY_BYTES = 1024;
const MOST_NAME_LENGTH = 200;
const REQUEST_TIMEOUT_MS = 30_000;

/** The API, ready to listen. It reads the catalog and the inventory and changes nothing. Throws `HF-CONFIG` where it would be open to other machines. */
export function createApi(options: ApiOptions): Api {
  requireLoopback(options.inventory.api.host);
  const api = fastify({
    bodyLimit: MOST_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: MOST_NAME_LENGTH },
    clientErrorHandler: (_error, socket) => refuseMalformed(socket),
    frameworkErrors: (error, _request, reply) => void sendProblem(reply.headers(SECURITY_HEADERS), problemOfError(error)),
  }).withTypeProvider<ZodTypeProvider>();
  api.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler);
  api.addHook("onRequest", async (request, reply) => {
    void reply.headers(SECURITY_HEADERS);
    refuseForeignHost(request);
  });
  api.addHook("onSend", async (request, reply, payload) => tagAnswer(request, reply, payload));
  api.setNotFoundHandler(answerNotFound);
  api.setErrorHandler((error, _request, reply) => {
    const problem = problemOfError(error);
    if (problem.status >= 500) options.onError?.(error);
    return sendProblem(reply, problem);
  });
  addRoutes(api, options);
  return api;
}

function addRoutes(api: Api, options: ApiOptions): void {
  const routes: DescribedRoute[] = [];
  api.addHook("onRoute", ({ method, url, schema = {} }) => {
    // Pages for people have no summary, and no place in the description.
    if (method === "GET" && schema.summary !== undefined)
      routes.push({ url, summary: schema.summary, querystring: zodOrNull(schema.querystring), params: zodOrNull(schema.params), answer: answerOf(schema.response) });
  });
  const context = { ...options, evidenceHead: options.evidenceHead ?? (async () => null) };
  addHealthRoutes(api, options);
  addSourceRoutes(api, context);
  addHistoryRoutes(api, context);
  api.get("/api/v1/openapi.json", { schema: { summary: "This description", querystring: noQuery, response: { 200: z.record(z.string(), z.unknown()) } } }, () =>
    openApiDocument(routes, options.version),
  );
  refuseOtherMethods(api, new Set(routes.map(({ url }) => url)));
}

function addHealthRoutes(api: Api, { catalog, inventory, clock, isSchedulerRunning, version }: ApiOptions): void {
  api.get("/healthz", { schema: { summary: "The process is alive; looks at nothing", querystring: noQuery, response: { 200: z.object({ status: z.literal("ok") }) } } }, () => ({
    status: "ok" as const,
  }));

  const ready = z.object({ status: z.literal("ready") });
  api.get("/readyz", { schema: { summary: "The catalog answers and the scheduler runs; 503 otherwise", querystring: noQuery, response: { 200: ready } } }, () => {
    const down = [...(answers(catalog) ? [] : ["the catalog does not answer"]), ...(isSchedulerRunning() ? [] : ["the scheduler does not run"])];
    if (down.length > 0) throw new ApiProblem(503, down.join(", and "));
    return { status: "ready" as const };
  });

  api.get("/metrics", { schema: { summary: "Metrics for Prometheus", querystring: noQuery } }, async (_request, reply) => {
    const text = await renderMetrics({ catalog, inventory, now: clock.now(), version });
    return reply.header("content-type", METRICS_TYPE).send(text);
  });
}

function answers(catalog: Catalog): boolean {
  try {
    lastApplied(catalog, "");
    return true;
  } catch {
    // Whatever is wrong with it: it does not answer.
    return false;
  }
}

/** There is something at the address, but nothing to be done there. Refused before a body is read. */
function refuseOtherMethods(api: Api, urls: ReadonlySet<string>): void {
  const method = api.supportedMethods.filter((name): name is HTTPMethods => name !== "GET" && name !== "HEAD");
  for (const url of urls) {
    api.route({
      method,
      url,
      onRequest: async (_request, reply) => {
        void reply.header("allow", "GET, HEAD");
        throw new ApiProblem(405, "this address can only be read");
      },
      handler: answerNotFound,
    });
  }
}

/** What is not even HTTP gets an answer, and the end of the connection. */
function refuseMalformed(socket: Socket): void {
  if (!socket.writable) return;
  const body = JSON.stringify(problemOf(400, "this is not a valid HTTP request"));
  socket.end(`HTTP/1.1 400 Bad Request\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

function zodOrNull(schema: unknown): z.ZodType | null {
  return schema instanceof z.ZodType ? schema : null;
}

function answerOf(response: unknown): z.ZodType | null {
  return typeof response === "object" && response !== null && 200 in response ? zodOrNull(response[200]) : null;
}
