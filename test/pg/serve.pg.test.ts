import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { listRuns } from "../../src/catalog/runs.ts";
import { listVerified } from "../../src/catalog/verified.ts";
import type { Run } from "../../src/catalog/runs.ts";
import { startCluster } from "../support/cluster.ts";
import { freePort } from "../support/postmaster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { parsePrometheusText } from "../unit/api/prometheus-text.ts";

/** Everything the scheduler runs, every few seconds. */
const everything = (log: string, retention: string): string => `backups:
  full: { schedule: { every: 10m }, retention: ${retention}, repositories: [onsite] }
  incremental: { schedule: { every: 10s }, retention: ${retention}, repositories: [onsite] }
  differential: { schedule: { every: 15s }, retention: ${retention}, repositories: [onsite] }
  log: { schedule: ${log}, retention: ${retention}, repositories: [onsite] }
verify: { schedule: { every: 20s }, tier: decoded }
expire: { schedule: { every: 10s } }
drills: { schedule: { every: 30s }, select: latest }
`;

const RETENTION = "15s";
const KINDS = ["backup full", "backup incremental", "backup differential", "verify", "expire", "drill"];
const PAUSE_MS = 25_000;
const STOP_WITHIN_MS = 10_000;

describePostgres("holdfast serve", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let base: string;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    const port = await freePort();
    base = `http://127.0.0.1:${port}`;
    source = stack.use(await startCluster({ binaries }));
    site = stack.use(
      await openSite({
        cluster: source,
        policy: everything("stream", RETENTION),
        policies: { polled: everything("{ every: 5s }", RETENTION) },
        sourceExtra: ", heartbeat: true",
        inventoryExtra: ["  polled: { kind: postgres, connection: env:SITE_URL, policy: polled }", `api: { listen: "127.0.0.1:${port}", demo: true }`],
      }),
    );
    await source.sql("create table t as select g, md5(g::text) from generate_series(1, 10000) g");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  test("runs all kinds of work by itself, stops in time, reports what it missed, and loses nothing with its catalog", async () => {
    const first = site.start({}, "serve");
    await eventually("every kind of work has succeeded", async () => (await succeeded("db", KINDS)) && (await succeeded("polled", [...KINDS, "log log"])), 240_000);
    await eventually("the exposure of both is observed", async () =>
      (await get<StatusAnswer>("/api/v1/status")).sources.every(({ copies }) => copies.every(({ observed }) => observed)),
    );
    const running = await get<StatusAnswer>("/api/v1/status");
    expect(running.sources.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual(["db ok", "polled ok"]);
    expect(await runs("failed"), first.output()).toEqual([]);
    await eventually(
      "old backups have gone",
      async () => (await get<Items>("/api/v1/backups")).items.length < (await runs("succeeded")).filter(({ operation }) => operation === "backup").length - 2,
      150_000,
    );
    expect((await get<Items>("/api/v1/drills")).items).toContainEqual(expect.objectContaining({ source: "polled", verdict: "pass" }));
    await metricsAreSound();
    await stop(first);
    const handled = history();

    await new Promise((resolve) => {
      setTimeout(resolve, PAUSE_MS);
    });
    const second = site.start({}, "serve");
    const known = new Set(handled.map(({ id }) => id));
    const missedNow = async (): Promise<RunItem[]> => (await runs("missed")).filter(({ id }) => !known.has(id));
    await eventually("what was missed is on record", async () => new Set((await missedNow()).map(({ source: name }) => name)).size === 2, 60_000);
    // Slots that fell into the pause: each is later than all of its kind that were dealt with before. None is invented for the time before.
    for (const missed of await missedNow())
      for (const { scheduledFor } of handled.filter((run) => kindOf(run) === kindOf(missed) && run.scheduledFor !== null))
        expect(Date.parse(missed.scheduledFor ?? "")).toBeGreaterThan(Date.parse(scheduledFor ?? ""));
    await stop(second);
    // From here on nothing expires while we look: what is known must not depend on when we ask.
    for (const [name, log] of Object.entries({ plain: "stream", polled: "{ every: 5s }" }))
      await writeFile(join(site.folder, `policies/${name}.yaml`), `version: 1\nname: ${name}\n${everything(log, "30d")}`);
    await catalogCanBeLost();
  });

  async function catalogCanBeLost(): Promise<void> {
    // Which pieces there are to verify is known as of the last look at them: a sample looks at all, and verifies a few.
    for (const name of ["db", "polled"]) expect((await site.run("verify", name, "--sample", "20%")).exitCode).toBe(0);
    const before = await knowledge();
    expect(before.runs.filter(({ outcome }) => outcome === "missed").length).toBeGreaterThan(0);
    for (const suffix of ["", "-wal", "-shm"]) await rm(join(site.folder, `state/catalog.sqlite${suffix}`), { force: true });
    expect((await site.run("catalog", "rebuild")).exitCode).toBe(0);
    expect(await knowledge()).toEqual(before);
    // The whole host is lost: what it told the repository is all there is.
    await rm(join(site.folder, "state"), { recursive: true });
    expect((await site.run("catalog", "rebuild")).exitCode).toBe(0);
    expect(await knowledge()).toEqual(before);
  }

  /** What is known of the past: all of it from the catalog, and what `info` says, without how exposed the source is at this very moment. */
  async function knowledge(): Promise<{ info: unknown; runs: readonly Run[]; verified: unknown }> {
    const info = (await site.run("info", "--json")).json<{ sources: { exposure: unknown }[] }>();
    using catalog = openCatalog();
    return {
      info: info.sources.map((item) => ({ ...item, exposure: null })),
      runs: history(),
      verified: ["db", "polled"].map((name) => listVerified(catalog, name)),
    };
  }

  function openCatalog(): Catalog {
    return Catalog.open(join(site.folder, "state/catalog.sqlite"));
  }

  function history(): readonly Run[] {
    using catalog = openCatalog();
    return listRuns(catalog, { limit: 10_000 });
  }

  async function metricsAreSound(): Promise<void> {
    const answer = await fetch(`${base}/metrics`);
    expect(answer.headers.get("content-type")).toContain("version=0.0.4");
    const metrics = parsePrometheusText(await answer.text());
    expect(metrics.get("holdfast_observed")?.samples.map(({ labels, value }) => `${labels["source"]} ${value}`)).toEqual(["db 1", "polled 1"]);
    for (const { value } of metrics.get("holdfast_last_success_timestamp_seconds")?.samples ?? []) expect(value).toBeGreaterThan(Date.now() / 1000 - 300);
    const drills = metrics.get("holdfast_runs_total")?.samples.filter(({ labels }) => labels["operation"] === "drill" && labels["outcome"] === "succeeded") ?? [];
    expect(drills.map(({ labels }) => labels["source"]).toSorted()).toEqual(["db", "polled"]);
  }

  async function succeeded(name: string, kinds: readonly string[]): Promise<boolean> {
    const done = new Set((await runs("succeeded")).filter((run) => run.source === name).map(({ operation, type }) => (type === null ? operation : `${operation} ${type}`)));
    return kinds.every((kind) => done.has(kind));
  }

  async function runs(outcome: string): Promise<RunItem[]> {
    return (await get<{ items: RunItem[] }>(`/api/v1/runs?outcome=${outcome}&limit=500`)).items;
  }

  async function get<T>(path: string): Promise<T> {
    const answer = await fetch(base + path).catch(() => null);
    // Not listening yet.
    if (answer === null) return { items: [], sources: [] } as T;
    expect(answer.status, path).toBe(200);
    return (await answer.json()) as T;
  }

  async function stop(running: Running): Promise<void> {
    const since = performance.now();
    running.process.kill("SIGTERM");
    const { exitCode } = await running.ended();
    expect(performance.now() - since).toBeLessThan(STOP_WITHIN_MS);
    expect(exitCode).toBe(0);
    const [{ count } = {}] = await source.sql("select count(*) from pg_stat_activity where application_name like 'holdfast%'");
    expect(count).toBe("0");
  }
});

interface Items {
  readonly items: readonly unknown[];
}

/** What a slot belongs to. */
function kindOf({ source, operation, type }: Pick<RunItem, "source" | "operation" | "type">): string {
  return `${source} ${operation} ${type}`;
}

interface RunItem {
  readonly id: string;
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly scheduledFor: string | null;
}

interface StatusAnswer {
  readonly sources: readonly { readonly name: string; readonly verdict: string; readonly copies: readonly { readonly observed: boolean }[] }[];
}
