import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { AccessRefused } from "../access/refused.ts";
import { readSummaries } from "../catalog/summaries.ts";
import type { Clock } from "../clock.ts";
import type { SourceConfig } from "../policy/types.ts";
import { html } from "../compliance/html.ts";
import type { SourceSummary } from "../domain/source-summary.ts";
import { countOpenAlertsBySource } from "../catalog/alerts.ts";
import { ASSETS } from "./assets.ts";
import { pathTo, signInPath } from "./links.ts";
import { renderPage } from "./page.ts";
import type { Page } from "./page.ts";
import { alertsPage } from "./pages/alerts-page.ts";
import { auditPage } from "./pages/audit-page.ts";
import { backupPage } from "./pages/backup-page.ts";
import { drillsPage } from "./pages/drills-page.ts";
import { overviewPage } from "./pages/overview-page.ts";
import { policiesPage } from "./pages/policies-page.ts";
import { reportDownload, reportPage } from "./pages/report-page.ts";
import { runPage } from "./pages/run-page.ts";
import { runsPage } from "./pages/runs-page.ts";
import { refusedPage } from "./pages/refused-page.ts";
import { signInPage } from "./pages/sign-in-page.ts";
import { sourcePage } from "./pages/source-page.ts";
import { storagePage } from "./pages/storage-page.ts";
import { storedOf } from "./stored.ts";
import { PageProblem } from "./view.ts";
import type { DashboardFacts, PageQuery, View, Who } from "./view.ts";

export interface DashboardOptions extends Omit<DashboardFacts, "summaries" | "stored"> {
  readonly clock: Clock;
  /** What whoever asks may see. */
  readonly visibleSources: (request: FastifyRequest) => readonly SourceConfig[];
  /** Told of every error that is our own trouble: the page gives no details. */
  readonly onError: (error: unknown) => void;
}

/** Nothing from elsewhere, nothing inline, in nobody's frame; forms lead back here only. */
const POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const A_YEAR = "public, max-age=31536000, immutable";

type Pages = Readonly<Record<string, (view: View, params: PageQuery) => Page | Promise<Page>>>;

const PAGES: Pages = {
  [pathTo.overview]: overviewPage,
  [pathTo.alerts]: alertsPage,
  [pathTo.runs]: runsPage,
  "/runs/:id": runPage,
  [pathTo.drills]: drillsPage,
  [pathTo.policies]: policiesPage,
  [pathTo.storage]: storagePage,
  [pathTo.report]: reportPage,
  [pathTo.audit]: auditPage,
  "/sources/:name": sourcePage,
  "/sources/:name/backups/:id": backupPage,
};

const SUMMARIES_HOLD_MS = 1000;

function summariesOf({ catalog, clock }: DashboardOptions): () => readonly SourceSummary[] {
  let held: { readonly untilMs: number; readonly summaries: readonly SourceSummary[] } | null = null;
  return () => {
    const nowMs = clock.monotonicMs();
    if (held === null || nowMs >= held.untilMs) held = { untilMs: nowMs + SUMMARIES_HOLD_MS, summaries: readSummaries(catalog) };
    return held.summaries;
  };
}

/** Pages for people, on the server that answers the API: rendered here, complete without a script, and in step with the same judgements. */
export function addDashboard(server: Pick<FastifyInstance, "register">, options: DashboardOptions): void {
  const facts: DashboardFacts = { ...options, summaries: summariesOf(options), stored: storedOf(options.catalog, [...options.inventory.sources.keys()], options.clock) };
  const viewOf = (request: FastifyRequest): View => viewFor(facts, options, request);
  void server.register(async (scope) => {
    scope.setErrorHandler((error, request, reply) => sendProblem(options, request, reply, error));
    for (const [path, page] of Object.entries(PAGES))
      scope.get(path, { config: { access: path === pathTo.audit ? "audit" : "look" } }, async (request, reply) =>
        sendPage(options, request, reply, await page(viewOf(request), wordsOf(request.params)), openAlerts(viewOf(request))),
      );
    scope.get("/sign-in", { config: { access: "open" } }, (request, reply) =>
      sendPage(options, request, reply, signInPage({ query: wordsOf(request.query) }, { hasService: options.inventory.api.oidc !== null })),
    );
    scope.get("/report/download", { config: { access: "look" } }, async (request, reply) => {
      const { name, type, body } = await reportDownload(viewOf(request));
      return reply.header("content-disposition", `attachment; filename="${name}"`).type(type).send(body);
    });
    for (const asset of Object.values(ASSETS))
      scope.get(asset.path, { config: { access: "open" } }, (_request, reply) => reply.header("cache-control", A_YEAR).type(asset.type).send(asset.body));
  });
}

function viewFor(facts: DashboardFacts, options: DashboardOptions, request: FastifyRequest): View {
  const sources = options.visibleSources(request);
  return {
    who: whoAsks(request),
    facts,
    sources: new Map(sources.map((source) => [source.name, source])),
    seesAll: sources.length === options.inventory.sources.size,
    now: options.clock.now(),
    query: wordsOf(request.query),
  };
}

function whoAsks({ identity, session }: Pick<FastifyRequest, "identity" | "session">): Who | null {
  return identity === null ? null : { name: identity.name, role: identity.role, isAnybody: identity.kind === "demo", csrf: session?.csrf ?? null };
}

/** Of what is given several times, and of everything that is no text, nothing is taken. */
function wordsOf(parts: unknown): PageQuery {
  return Object.fromEntries(Object.entries(parts ?? {}).filter((part): part is [string, string] => typeof part[1] === "string"));
}

function openAlerts({ facts, sources, seesAll }: View): number {
  return [...countOpenAlertsBySource(facts.catalog)].reduce((sum, [source, count]) => (seesAll || sources.has(source) ? sum + count : sum), 0);
}

function sendPage({ version, clock }: DashboardOptions, request: FastifyRequest, reply: FastifyReply, page: Page, alerts = 0): FastifyReply {
  const [path = "/"] = request.url.split("?");
  return (
    reply
      .header("content-security-policy", POLICY)
      // Where pages tell nobody at all where a request comes from, a browser calls the origin of their forms unknown: they could not be told from another site's.
      .header("referrer-policy", "same-origin")
      .type("text/html; charset=utf-8")
      .send(renderPage(page, { path, version, now: clock.now(), who: whoAsks(request), openAlerts: alerts }))
  );
}

function sendProblem(options: DashboardOptions, request: FastifyRequest, reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof AccessRefused && error.statusCode === 401) return reply.redirect(signInPath(request), 303);
  if (error instanceof AccessRefused) return sendPage(options, request, reply.code(error.statusCode), refusedPage(whoAsks(request)));
  const known = error instanceof PageProblem ? error : null;
  if (known === null) options.onError(error);
  const still = html`<p>${known?.message ?? "The page could not be made. The log of the server says more."}</p>
    <p><a href="/">To the overview</a></p>`;
  return sendPage(options, request, reply.code(known?.status ?? 500), { title: known === null ? "Something went wrong here" : "Not found", still });
}
