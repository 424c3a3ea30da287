import { join } from "node:path";
import { makeToken } from "../../src/access/token.ts";
import type { Api } from "../../src/api/route-context.ts";
import { createApi } from "../../src/api/server.ts";
import type { ApiOptions } from "../../src/api/server.ts";
import type { Catalog } from "../../src/catalog/catalog.ts";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/clock.ts";
import { keepSummary } from "../../src/compliance/source-summary.ts";
import { addDashboard } from "../../src/dashboard/dashboard.ts";
import { isInScope } from "../../src/domain/access.ts";
import type { Role, Scope } from "../../src/domain/access.ts";
import { inventoryFindings } from "../../src/policy/feasibility.ts";
import type { PolicyFinding } from "../../src/policy/feasibility.ts";
import { loadInventory } from "../../src/policy/load.ts";
import { formatProblems } from "../../src/policy/problem.ts";
import type { Inventory } from "../../src/policy/types.ts";
import { VERSION } from "../../src/version.ts";
import { openHistory, WRITER } from "../unit/compliance/recorded-history.ts";
import type { History } from "../unit/compliance/recorded-history.ts";
import { configurationFolder } from "../unit/policy/configuration-folder.ts";
import { readProjectFile } from "../support/markdown.ts";
import { fillSources } from "./dashboard-history.ts";

/** The server as `serve` puts it together, on a catalog that was filled the way the program fills it. */
export interface DashboardSite extends AsyncDisposable {
  readonly address: string;
  readonly history: History;
  readonly inventory: Inventory;
  /** Errors that no page told anybody about. */
  readonly errors: readonly unknown[];
  /** One that is on record. */
  token(role: Role, scope?: Scope): string;
  stop(): Promise<void>;
  /** Listens again, where it did before. */
  start(): Promise<void>;
}

const POLICY = readProjectFile("policies/critical.yaml");

const INVENTORY = `version: 1
repositories:
  onsite: { url: file:///srv/holdfast, site: primary, class: fast, encryption: { passphrase: env:HOLDFAST_KEY } }
  cloud: { url: file:///mnt/offsite, site: secondary, encryption: { passphrase: env:HOLDFAST_KEY } }
sources:
  billing: { connection: env:U, policy: critical, tier: critical, dataClass: financial, labels: { team: payments } }
  orders: { connection: env:U, policy: critical, tier: critical, dataClass: financial, labels: { team: payments } }
  sessions: { connection: env:U, policy: guide, tier: standard, dataClass: user, labels: { team: web } }
  wiki: { connection: env:U, policy: guide, tier: non-critical, dataClass: system }
api: { demo: true }
`;

interface SiteOptions {
  readonly fill?: (history: History, inventory: Inventory, now: Date) => void;
  /** Left out: everybody may look. Else only whoever shows a token. */
  readonly guarded?: boolean;
  /** A sign-in service is offered, which nobody answers for. */
  readonly service?: boolean;
  readonly clock?: Clock;
}

export async function openDashboardSite({ fill = fillSources, guarded = false, service = false, clock = systemClock }: SiteOptions = {}): Promise<DashboardSite> {
  const history = await openHistory();
  const { inventory, findings } = await loadSite({ guarded, service });
  const now = clock.now();
  fill(history, inventory, now);
  for (const source of inventory.sources.values()) if (source.name !== "wiki") keepSummary(history.catalog, source, now);
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const record: ApiOptions["record"] = async (kind, facts) => history.entry(kind, clock.now().toISOString(), facts);
  const make = async (): Promise<Api> => makeSite({ catalog: history.catalog, inventory, findings, clock, onError, record, sequence: () => history.sequence });
  let api = await make();
  const address = await api.listen({ host: "127.0.0.1", port: 0 });
  return {
    address,
    history,
    inventory,
    errors,
    token: (role, scope = null) => {
      const { id, token, sha256 } = makeToken();
      history.entry("token.added", now.toISOString(), { id, name: `kim the ${role}`, role, scope, sha256, expiresAt: null, by: "test" });
      return token;
    },
    stop: () => api.close(),
    start: async () => {
      api = await make();
      await api.listen({ host: "127.0.0.1", port: Number(new URL(address).port) });
    },
    [Symbol.asyncDispose]: async () => {
      await api.close();
      await history[Symbol.asyncDispose]();
    },
  };
}

interface SiteParts extends Pick<ApiOptions, "catalog" | "inventory" | "clock" | "record"> {
  readonly findings: readonly PolicyFinding[];
  readonly onError: (error: unknown) => void;
  readonly sequence: () => number;
}

async function makeSite({ findings, sequence, ...parts }: SiteParts): Promise<Api> {
  const { inventory, clock } = parts;
  const now = clock.now();
  const common = { ...parts, version: VERSION, evidenceHead: async () => headOf(sequence()) };
  const refuse = (): Promise<never> => Promise.reject(new Error("nothing is changed here"));
  const api = await createApi({ ...common, changes: { pause: refuse, approve: refuse }, writer: WRITER, newRunId: () => "run", tls: null, isSchedulerRunning: () => true });
  addDashboard(api, {
    ...common,
    findings,
    evidence: async (upTo, limit) => Array.from({ length: Math.min(limit, upTo) }, (_, index) => entryOf(upTo - index, now)),
    visibleSources: ({ identity }) => [...inventory.sources.values()].filter((source) => identity !== null && isInScope(identity.scope, source)),
  });
  return api;
}

/** The same site on a catalog that is there already, for a process that can be killed. */
export async function listenAsSite(catalog: Catalog, port: number): Promise<string> {
  const { inventory, findings } = await loadSite({ guarded: false, service: false });
  const onError = (error: unknown): void => void process.stderr.write(`${String(error)}\n`);
  const api = await makeSite({ catalog, inventory, findings, clock: systemClock, onError, record: async () => undefined, sequence: () => 1 });
  return api.listen({ host: "127.0.0.1", port });
}

async function loadSite({ guarded, service }: Required<Pick<SiteOptions, "guarded" | "service">>): Promise<{ inventory: Inventory; findings: readonly PolicyFinding[] }> {
  const oidc = service ? ", oidc: { issuer: https://sign-in.example, clientId: holdfast, groups: { dba: operator } }" : "";
  const text = guarded ? INVENTORY.replace("api: { demo: true }", `api: { listen: "127.0.0.1:8420"${oidc} }`) : INVENTORY;
  await using folder = await configurationFolder({ "holdfast.yaml": text, "policies/critical.yaml": POLICY, "policies/guide.yaml": readProjectFile("policies/guide.yaml") });
  const loaded = await loadInventory(join(folder.inventory));
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems));
  return { inventory: loaded.inventory, findings: inventoryFindings(loaded) };
}

function headOf(sequence: number): { writer: string; sequence: number; sha256: string } {
  return { writer: WRITER, sequence, sha256: "ab".repeat(32) };
}

function entryOf(sequence: number, now: Date): { sequence: number; at: string; kind: string; facts: Record<string, unknown>; sha256: string } {
  const facts =
    sequence % 7 === 0 ? { repository: "onsite", backup: "20261101T020000Z-full" } : { source: "orders", operation: "verify", outcome: "succeeded", run: "unknown-run" };
  return {
    sequence,
    at: new Date(now.getTime() - (1000 - sequence) * 60_000).toISOString(),
    kind: sequence % 7 === 0 ? "deletion" : "run.finished",
    facts,
    sha256: sequence.toString(16).padStart(64, "0"),
  };
}
