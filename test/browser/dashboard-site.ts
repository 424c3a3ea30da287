import { join } from "node:path";
import type { Api } from "../../src/api/route-context.ts";
import { createApi } from "../../src/api/server.ts";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/clock.ts";
import { keepSummary } from "../../src/compliance/source-summary.ts";
import { addDashboard } from "../../src/dashboard/dashboard.ts";
import { inventoryFindings } from "../../src/policy/feasibility.ts";
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

export async function openDashboardSite(fill: (history: History, inventory: Inventory, now: Date) => void = fillSources, clock: Clock = systemClock): Promise<DashboardSite> {
  const history = await openHistory();
  const { inventory, findings } = await loadSite();
  const now = clock.now();
  fill(history, inventory, now);
  for (const source of inventory.sources.values()) if (source.name !== "wiki") keepSummary(history.catalog, source, now);
  const errors: unknown[] = [];
  const make = async (): Promise<Api> => {
    const common = {
      catalog: history.catalog,
      inventory,
      clock,
      version: VERSION,
      onError: (error: unknown) => void errors.push(error),
      evidenceHead: async () => headOf(history),
    };
    const refuse = (): Promise<never> => Promise.reject(new Error("nothing is changed here"));
    const changes = { pause: refuse, approve: refuse };
    const api = await createApi({ ...common, changes, writer: WRITER, record: async () => undefined, newRunId: () => "run", tls: null, isSchedulerRunning: () => true });
    addDashboard(api, {
      ...common,
      findings,
      evidence: async (upTo, limit) => Array.from({ length: Math.min(limit, upTo) }, (_, index) => entryOf(upTo - index, now)),
      visibleSources: () => [...inventory.sources.values()],
    });
    return api;
  };
  let api = await make();
  const address = await api.listen({ host: "127.0.0.1", port: 0 });
  return {
    address,
    history,
    inventory,
    errors,
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

async function loadSite(): Promise<{ inventory: Inventory; findings: ReturnType<typeof inventoryFindings> }> {
  await using folder = await configurationFolder({ "holdfast.yaml": INVENTORY, "policies/critical.yaml": POLICY, "policies/guide.yaml": readProjectFile("policies/guide.yaml") });
  const loaded = await loadInventory(join(folder.inventory));
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems));
  return { inventory: loaded.inventory, findings: inventoryFindings(loaded) };
}

function headOf({ sequence }: History): { writer: string; sequence: number; sha256: string } {
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
