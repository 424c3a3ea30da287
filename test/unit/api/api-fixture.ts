import type { Clock } from "../../../src/clock.ts";
import { createApi } from "../../../src/api/server.ts";
import type { ApiOptions } from "../../../src/api/server.ts";
import type { Api } from "../../../src/api/route-context.ts";
import { VERSION } from "../../../src/version.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT, VERIFY_FIGURES } from "../compliance/recorded-history.ts";
import type { History } from "../compliance/recorded-history.ts";

const NOW = "2026-11-08 12:00:10";
const clock: Clock = { now: () => new Date(iso(NOW)), monotonicMs: () => 0, sleep: async () => undefined };

/** An API over a catalog that tests fill; asked through `inject`, without a port. */
export interface ApiFixture extends AsyncDisposable {
  readonly api: Api;
  readonly history: History;
  readonly errors: readonly unknown[];
  json(url: string): Promise<Record<string, unknown>>;
}

export async function openApi(more: Partial<ApiOptions> = {}): Promise<ApiFixture> {
  const history = await openHistory();
  const errors: unknown[] = [];
  const inventory = await loadTestInventory();
  const api = createApi({ catalog: history.catalog, inventory, clock, isSchedulerRunning: () => true, version: VERSION, onError: (error) => void errors.push(error), ...more });
  return {
    api,
    history,
    errors,
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
