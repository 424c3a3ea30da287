import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { recordCapacity } from "../../src/catalog/capacity.ts";
import { recordExposure } from "../../src/catalog/observations.ts";
import { keepSummary } from "../../src/compliance/source-summary.ts";
import { openDashboardSite } from "../browser/dashboard-site.ts";
import type { DashboardSite } from "../browser/dashboard-site.ts";
import { PROJECT_ROOT, readProjectFile } from "../support/markdown.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { noPrometheus, openPrometheus } from "../support/prometheus-servers.ts";
import { SNAPSHOT } from "../unit/compliance/recorded-history.ts";

/** What ships for Prometheus and Grafana, against the real servers and our real metrics: every rule fires when it is bad and is over when it is good, and says so to an Alertmanager. */
const RULES = "deploy/prometheus/holdfast-rules.yaml";
const GRAFANA = "deploy/compose/grafana/dashboards/holdfast.json";
const WAIT_MS = 90_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SOURCES = ["billing", "orders", "sessions", "wiki"] as const;

const rules = (parse(readProjectFile(RULES)) as { groups: { rules: { alert: string; annotations: { summary: string; description: string } }[] }[] }).groups.flatMap(
  (group) => group.rules,
);

describe.skipIf(noPrometheus !== null)("alert rules and dashboard, on real servers", () => {
  test("every rule fires and clears on real metrics and reaches the Alertmanager, and every query of the Grafana dashboard finds data", { timeout: 6 * WAIT_MS }, async () => {
    await using site = await openDashboardSite({ fill: () => undefined });
    using stage = new Stage(site);
    stage.goWrong();
    await using servers = await openPrometheus(new URL(site.address).host, join(PROJECT_ROOT, RULES));
    const names = rules.map(({ alert }) => alert);
    const wrong = names.filter((name) => name !== "HoldfastDown");
    await until("all of them fire", async () => {
      stage.failAgain();
      return missingOf(wrong, await servers.firing());
    });
    await until("the Alertmanager has them", async () => {
      stage.failAgain();
      return missingOf(wrong, await servers.held());
    });
    for (const expression of grafanaQueries()) expect([expression, (await servers.query(expression)) > 0]).toEqual([expression, true]);

    stage.getWell();
    const over = wrong.filter((name) => name !== "HoldfastWatchdog");
    await until("all of them are over, but the watchdog", async () => {
      const firing = await servers.firing();
      return [...over.filter((name) => firing.has(name)), ...missingOf(["HoldfastWatchdog"], firing)];
    });
    await site.stop();
    await until("that it is down fires", async () => missingOf(["HoldfastDown"], await servers.firing()));
    await site.start();
    await until("that it is down is over", async () => ((await servers.firing()).has("HoldfastDown") ? ["HoldfastDown"] : []));
    const told = (state: string): Set<string> => new Set(servers.notices.filter((notice) => notice.state === state).map(({ name }) => name));
    await until("the receiver was told of every one, and of the end of each", async () => [
      ...missingOf(names, told("firing")),
      ...missingOf([...over, "HoldfastDown"], told("resolved")),
    ]);
    expect(site.errors).toEqual([]);
  });
});

test.skipIf(noPrometheus === null)(noPrometheus === null ? "Prometheus is here" : `${NOT_RUN}${noPrometheus}`, () => undefined);

/** Four sources, of which each is bad in its own way, and then well. */
class Stage implements Disposable {
  readonly #site: DashboardSite;
  readonly #timer: NodeJS.Timeout;
  #isWell = false;
  #failures = 0;

  constructor(site: DashboardSite) {
    this.#site = site;
    // As serve does: samples and summaries, again and again.
    this.#timer = setInterval(() => this.#look(), 500);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  goWrong(): void {
    const { history } = this.#site;
    history.seen(this.#ago(0), {
      name: "billing",
      gaps: [{ repository: "onsite", timeline: 1, startLsn: "0/42000000", endLsn: "0/43000000", firstSegment: "a", lastSegment: "a" }],
    });
    history.drilled(this.#ago(HOUR_MS), { rtoActualSeconds: 2000, bytes: 1_000_000, phases: [{ name: "restore", seconds: 1900 }] }, { source: "billing" });
    history.seen(this.#ago(0), { name: "orders" });
    history.drilled(this.#ago(40 * DAY_MS), {}, { source: "orders" });
    this.#backUp("orders", 3 * DAY_MS);
    this.#backUp("billing", HOUR_MS);
    for (let hour = 30; hour >= 0; hour--) recordCapacity(history.catalog, "onsite", { at: this.#ago(hour * HOUR_MS), usedBytes: (40 - hour) * 1e9, freeBytes: (hour + 1) * 3e7 });
    history.entry("alert.raised", this.#ago(0), { alert: "a-1", key: "wal_gap:billing", kind: "wal_gap", severity: "P1", source: "billing", title: "a gap", whatToDo: "look" });
    this.failAgain();
  }

  /** A counter shows that it rose only to who saw it before. */
  failAgain(): void {
    const { history } = this.#site;
    this.#failures++;
    history.ran({ source: "billing", operation: "verify", at: this.#ago(this.#failures), seconds: 0, outcome: "failed" });
    history.passedOver({ source: "billing", operation: "verify", slot: this.#ago(this.#failures) });
  }

  getWell(): void {
    const { history } = this.#site;
    this.#isWell = true;
    for (const source of SOURCES) {
      history.seen(this.#ago(0), { name: source });
      history.drilled(this.#ago(400_000), { rtoActualSeconds: 60, bytes: 734_003_200, walSegments: 12, phases: [{ name: "restore", seconds: 50 }] }, { source });
      history.drilled(this.#ago(350_000), { rtoActualSeconds: 60, bytes: 734_003_200, walSegments: 12, phases: [{ name: "restore", seconds: 50 }] }, { source });
      this.#backUp(source, HOUR_MS);
    }
    // Somebody made room: it is measured after what came before.
    for (let second = 3; second > 0; second--) recordCapacity(history.catalog, "onsite", { at: this.#ago(second * 1000), usedBytes: 40e9, freeBytes: 900e9 });
    history.entry("alert.resolved", this.#ago(0), { alert: "a-1" });
  }

  #look(): void {
    const { history, inventory } = this.#site;
    const now = new Date();
    const seconds: Readonly<Record<string, number | null>> = this.#isWell
      ? { billing: 1, orders: 1, sessions: 1, wiki: 1 }
      : { billing: 1200, orders: 270, sessions: null, wiki: 1 };
    for (const source of inventory.sources.values()) {
      for (const repository of ["onsite", "cloud"])
        recordExposure(history.catalog, {
          source: source.name,
          repository,
          at: now.toISOString(),
          seconds: seconds[source.name] ?? null,
          bytes: seconds[source.name] === null ? null : 1,
        });
      keepSummary(history.catalog, source, now);
    }
  }

  #backUp(source: string, agoMs: number): void {
    const figures = { ...SNAPSHOT.backups[0], copies: ["onsite", "cloud"].map((repository) => ({ repository, state: "complete" })) };
    this.#site.history.ran({ source, operation: "backup", type: "full", at: this.#ago(agoMs), figures });
  }

  #ago(ms: number): string {
    return new Date(Date.now() - ms).toISOString();
  }
}

function missingOf(wanted: readonly string[], there: ReadonlySet<string>): string[] {
  return wanted.filter((name) => !there.has(name));
}

/** Asks again until nothing is missing. */
async function until(what: string, missing: () => Promise<readonly string[]>): Promise<void> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const found = await missing();
    if (found.length === 0) return;
    if (performance.now() > end) throw new Error(`waited in vain until ${what}; left: ${found.join(", ")}`);
    await sleep(1000);
  }
}

function grafanaQueries(): string[] {
  const found = [...readProjectFile(GRAFANA).matchAll(/"expr": "((?:[^"\\]|\\.)*)"/g)].map(([, text]) => JSON.parse(`"${text}"`) as string);
  if (found.length < 5) throw new Error("the dashboard has hardly any queries");
  return found.map((expression) => expression.replaceAll("$source", ".*").replaceAll("$__rate_interval", "1m"));
}
