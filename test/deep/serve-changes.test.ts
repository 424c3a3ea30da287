import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listOpenAlerts } from "../../src/catalog/alerts.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import { listRuns } from "../../src/catalog/runs.ts";
import { startCluster } from "../support/cluster.ts";
import { freePort } from "../support/postmaster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";

const FULL = "  full: { schedule: { every: 7d }, retention: 7d, repositories: [onsite] }\n";
const INCREMENTAL = "  incremental: { schedule: { every: 5s }, retention: 7d, repositories: [onsite] }\n";
const LOG = "  log: { schedule: stream, retention: 24h, repositories: [onsite] }\n";
const EVENTUALLY_MS = 90_000;

describePostgres("holdfast serve, while its policies are changed", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let site: Site;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source, policy: `backups:\n${FULL}${LOG}`, inventoryExtra: [`api: { listen: "127.0.0.1:${await freePort()}" }`] }));
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  const change = async (backups: string): Promise<void> => writeFile(join(site.folder, "policies/plain.yaml"), `version: 1\nname: plain\nbackups:\n${backups}`);
  const backups = (type: string): number => fromCatalog((catalog) => listRuns(catalog, { operation: "backup", outcome: "succeeded" }).filter((run) => run.type === type).length);
  function fromCatalog<T>(ask: (catalog: Catalog) => T): T {
    using catalog = Catalog.open(join(site.folder, "state/catalog.sqlite"));
    return ask(catalog);
  }

  test("takes up what is valid without a restart, works on by what was in force where a file is not, and runs nothing twice", async () => {
    const serving = site.start({}, "serve");
    const eventually = async (what: string, holds: () => boolean): Promise<void> => {
      const until = Date.now() + EVENTUALLY_MS;
      while (!holds()) {
        if (Date.now() > until) throw new Error(`not within ${EVENTUALLY_MS} ms: ${what}\n${serving.output()}`);
        await new Promise((resolve) => {
          setTimeout(resolve, 200);
        });
      }
    };
    await eventually("the first full", () => backups("full") === 1);
    await change(FULL + INCREMENTAL + LOG);
    await eventually("incrementals, of which the policy said nothing at first", () => backups("incremental") >= 2);

    await change(`${FULL}  incremental: { schedule: { every: 5x }`);
    await eventually("an alert", () => fromCatalog((catalog) => listOpenAlerts(catalog)).some(({ kind, detail }) => kind === "configuration_not_taken_up" && detail !== null));
    const before = backups("incremental");
    await eventually("incrementals by the policy that is in force", () => backups("incremental") >= before + 2);

    await change(FULL + LOG);
    await eventually("no alert", () => !fromCatalog((catalog) => listOpenAlerts(catalog)).some(({ kind }) => kind === "configuration_not_taken_up"));
    serving.process.kill("SIGTERM");
    expect((await serving.ended()).exitCode, serving.output()).toBe(0);
    const runs = fromCatalog((catalog) => listRuns(catalog, { operation: "backup", limit: 1000 })).filter(({ outcome }) => outcome === "succeeded");
    expect(new Set(runs.map(({ type, scheduledFor }) => `${type} ${scheduledFor}`)).size).toBe(runs.length);
    expect(backups("full")).toBe(1);
  }, 300_000);
});
