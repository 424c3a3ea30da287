import type { InjectOptions, LightMyRequestResponse } from "fastify";
import type { Clock } from "../../../src/clock.ts";
import { createApi } from "../../../src/api/server.ts";
import type { ApiOptions } from "../../../src/api/server.ts";
import type { Api } from "../../../src/api/route-context.ts";
import { currentPause } from "../../../src/catalog/pauses.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { makeToken } from "../../../src/access/token.ts";
import type { Role, Scope } from "../../../src/domain/access.ts";
import { VERSION } from "../../../src/version.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT, VERIFY_FIGURES, WRITER } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";

const NOW = "2026-11-08 12:00:10";
const clock: Clock = { now: () => new Date(iso(NOW)), monotonicMs: () => 0, sleep: async () => undefined };

interface AccessEntry {
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** An API over a catalog that tests fill; asked through `inject`, without a port. */
export interface ApiFixture extends AsyncDisposable {
  readonly api: Api;
  readonly history: History;
  readonly errors: readonly unknown[];
  /** For another server on the same catalog. */
  readonly options: ApiOptions;
  /** What the use of it put on record. */
  readonly access: readonly AccessEntry[];
  json(url: string): Promise<Record<string, unknown>>;
  /** A token that is on record. */
  token(role: Role, more?: { scope?: Scope; expiresAt?: string; name?: string }): string;
  /** Asks with a token, or without. */
  ask(url: string, token?: string | null, more?: InjectOptions): Promise<LightMyRequestResponse>;
}

export async function openApi(more: Partial<ApiOptions> = {}): Promise<ApiFixture> {
  const history = await openHistory();
  const errors: unknown[] = [];
  const inventory = await loadTestInventory();
  const access: AccessEntry[] = [];
  let runs = 0;
  const options: ApiOptions = {
    catalog: history.catalog,
    inventory,
    clock,
    writer: WRITER,
    record: async (kind, facts) => {
      access.push({ kind, facts });
      history.entry(kind, NOW, facts);
    },
    newRunId: () => `run-${++runs}`,
    changes: changesOf(history),
    tls: null,
    isSchedulerRunning: () => true,
    version: VERSION,
    onError: (error) => void errors.push(error),
    requestsPerMinute: 1_000_000,
    ...more,
  };
  const api = await createApi(options);
  return {
    api,
    history,
    errors,
    options,
    access,
    token: (role, { scope = null, expiresAt = null, name = role } = {}) => {
      const { id, token, sha256 } = makeToken();
      history.entry("token.added", "2026-11-08 09:00", { id, name, role, scope, sha256, expiresAt, by: "ann (shell)" });
      return token;
    },
    ask: async (url, token = null, { method = "GET", headers = {}, ...rest } = {}) =>
      api.inject({ method, url, headers: { ...headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) }, ...rest }),
    json: async (url) => {
      const response = await api.inject({ method: "GET", url });
      if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${url}: ${response.body}`);
      return response.json();
    },
    [Symbol.asyncDispose]: async () => {
      await api.close();
      await history[Symbol.asyncDispose]();
    },
  };
}

/** As the verbs put it on record; their own tests hold what they refuse. The change that waits was made by mallory. */
function changesOf(history: History): ApiOptions["changes"] {
  return {
    pause: async ({ source, reason, until, by }) => {
      history.entry("source.paused", NOW, { id: `pause-${by}`, source: source.name, until: until.toISOString(), reason, by });
      const pause = currentPause(history.catalog, source.name, clock.now());
      if (pause === null) throw new HoldfastError("HF-USAGE", "the pause would end before it begins");
      return pause;
    },
    approve: async ({ name, identity }) => {
      if (identity.name === "mallory") throw new HoldfastError("HF-HELD", "mallory made this change");
      if (name === "settled") throw new HoldfastError("HF-USAGE", "no change waits");
      const what = { sequence: 1, name, at: iso(NOW), by: "mallory", reason: null, category: "weaker", written: "{}", difference: "{}" };
      return { ...what, acceptedBy: null, approvedBy: null, approvedAt: null };
    },
  };
}

/** The same, where nothing is open without a token. */
export async function openGuardedApi(more: Partial<ApiOptions> = {}): Promise<ApiFixture> {
  const inventory = await loadTestInventory();
  return openApi({ inventory: { ...inventory, api: { ...inventory.api, demo: false } }, ...more });
}

/** A week as it should be, with one drill, one missed slot and a copy that is not observed. */
export function fillWeek(history: History): void {
  const copies = [
    { repository: "onsite", state: "complete" },
    { repository: "cloud", state: "failed" },
  ];
  history.ran({
    operation: "backup",
    type: "full",
    at: "2026-11-01 02:00:01",
    slot: "2026-11-01 02:00",
    seconds: 720,
    figures: { id: "20261101T020000Z-full", copies: copies.map((copy) => ({ ...copy, state: "complete" })) },
  });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-01 02:00", outcome: "superseded" });
  history.passedOver({ operation: "backup", type: "incremental", slot: "2026-11-02 02:00", until: "2026-11-06 02:00", slots: 5, at: "2026-11-07 02:00" });
  history.ran({
    operation: "backup",
    type: "incremental",
    at: "2026-11-07 02:00:01",
    slot: "2026-11-07 02:00",
    outcome: "failed",
    reason: "not stored in cloud",
    figures: { id: "20261107T020000Z-incr", copies },
  });
  history.drilled("2026-11-02 04:00:00", {}, { slot: "2026-11-02 04:00" });
  history.ran({
    operation: "verify",
    at: "2026-11-07 03:00:01",
    slot: "2026-11-07 03:00",
    figures: VERIFY_FIGURES,
    verified: [{ repository: "onsite", source: "orders", backup: "20261101T020000Z-full", tier: "decoded", ok: true }],
  });
  history.observed({ repository: "onsite", from: "2026-11-08 11:00", to: "2026-11-08 12:00:05", seconds: () => 4.5 });
  history.observed({ repository: "cloud", from: "2026-11-08 11:00", to: "2026-11-08 11:30", seconds: () => 9 });
  history.seen("2026-11-08 12:00", SNAPSHOT);
}

/** An alert that is open, `alert-1`, of the source orders. */
export function raiseAlert({ history }: ApiFixture, more: Readonly<Record<string, unknown>> = {}): void {
  const facts = {
    alert: "alert-1",
    key: "exposure orders",
    kind: "exposure",
    severity: "P2",
    source: "orders",
    repository: "onsite",
    title: "orders is exposed",
    detail: null,
    whatToDo: "look",
    since: NOW,
  };
  history.entry("alert.raised", "2026-11-08 11:00", { ...facts, ...more });
}
