import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { listRuns, openRuns } from "../../src/catalog/runs.ts";
import type { Run } from "../../src/catalog/runs.ts";
import { listSlots } from "../../src/catalog/slot-population.ts";
import { slotsBetween } from "../../src/domain/schedule.ts";
import type { Schedule } from "../../src/domain/schedule.ts";
import { startCluster } from "../support/cluster.ts";
import { freePort } from "../support/postmaster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { Random } from "../support/random.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";

/** Killed so often, at random moments between the least and the most. HOLDFAST_KILLS says how often, HOLDFAST_SEED which moments. */
const KILLS = Number(process.env["HOLDFAST_KILLS"] ?? 50);
const SEED = Number(process.env["HOLDFAST_SEED"] ?? 20_261_128);
const LIVES_MS = { least: 300, most: 9000 } as const;
/** After the last kill: long enough for each kind of work to come round. */
const LAST_MS = 60_000;

const every = (seconds: number): Schedule => ({ kind: "every", seconds });
const SCHEDULES: readonly { operation: string; type: string | null; schedule: Schedule }[] = [
  { operation: "backup", type: "full", schedule: every(30) },
  { operation: "backup", type: "incremental", schedule: every(10) },
  { operation: "log", type: "log", schedule: every(5) },
  { operation: "expire", type: null, schedule: every(10) },
  { operation: "verify", type: null, schedule: every(20) },
  { operation: "drill", type: null, schedule: every(30) },
];
const POLICY = `backups:
  full: { schedule: { every: 30s }, retention: 60s, repositories: [onsite] }
  incremental: { schedule: { every: 10s }, retention: 60s, repositories: [onsite] }
  log: { schedule: { every: 5s }, retention: 60s, repositories: [onsite] }
verify: { schedule: { every: 20s }, tier: stored }
expire: { schedule: { every: 10s } }
drills: { schedule: { every: 30s }, select: latest }
`;

const sleep = async (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

describePostgres("holdfast serve, killed again and again", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    const listen = `api: { listen: "127.0.0.1:${await freePort()}" }`;
    site = stack.use(await openSite({ cluster: source, policy: POLICY, inventoryExtra: [listen] }));
    await source.sql("create table t as select g, md5(g::text) from generate_series(1, 1000) g");
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  test(
    `${KILLS} times at random: nothing runs twice, every slot is on record, and nothing is left behind`,
    async () => {
      const random = new Random(SEED);
      for (let kill = 0; kill < KILLS; kill++) {
        const serving = site.start({}, "serve");
        await sleep(LIVES_MS.least + random.integer(0, LIVES_MS.most - LIVES_MS.least));
        expect(serving.process.exitCode, serving.output()).toBeNull();
        serving.process.kill("SIGKILL");
        await serving.ended();
      }
      const last = site.start({}, "serve");
      await sleep(LAST_MS);
      last.process.kill("SIGTERM");
      expect((await last.ended()).exitCode, last.output()).toBe(0);

      using catalog = Catalog.open(join(site.folder, "state/catalog.sqlite"));
      expect(openRuns(catalog)).toEqual([]);
      const runs = listRuns(catalog, { limit: 100_000 });
      expect(runs.filter(({ outcome }) => outcome === "interrupted").length).toBeGreaterThan(0);
      expect(ranTwice(runs)).toEqual([]);
      expect(overlapping(runs)).toEqual([]);
      for (const { operation, type, schedule } of SCHEDULES) expectWhole(catalog, operation, type, schedule);
      expect(await leftBehind()).toEqual([]);
      const verified = await site.run("verify", "--json");
      expect(verified.exitCode, verified.stdout).toBe(0);
    },
    KILLS * 20_000 + 300_000,
  );

  /** From the first slot on record to the last, none is missing, and none is there twice. */
  function expectWhole(catalog: Catalog, operation: string, type: string | null, schedule: Schedule): void {
    const slots = [...listSlots(catalog, { source: "db", operation, type }, new Date(0), new Date("9999-01-01"))].map(({ slot }) => slot);
    const [first, last] = [slots[0], slots.at(-1)];
    expect(first, operation).toBeDefined();
    const due = slotsBetween(schedule, new Date(Date.parse(first ?? "") - 1), new Date(last ?? ""), 100_000).map((slot) => slot.toISOString());
    expect(slots, `${operation} ${type}`).toEqual(due);
  }

  /** What a killed process could leave: servers of drills, their folders, half-written files. The last one that ran in peace must have cleared it away. */
  async function leftBehind(): Promise<string[]> {
    const left = (await readdir(join(site.folder, "scratch")).catch(() => [])).map((name) => `scratch/${name}`);
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      if (command.includes(site.folder)) left.push(command.replaceAll("\0", " "));
    }
    const [{ count } = {}] = await source.sql("select count(*) from pg_stat_activity where application_name like 'holdfast%'");
    if (count !== "0") left.push(`${count} connections`);
    return left;
  }
});

/** Slots that were served by two runs that both succeeded. */
function ranTwice(runs: readonly Run[]): string[] {
  const served = runs.filter(({ outcome, scheduledFor, until }) => outcome === "succeeded" && scheduledFor !== null && until === null);
  return [...Map.groupBy(served, ({ operation, type, scheduledFor }) => `${operation} ${type} ${scheduledFor}`)].filter(([, same]) => same.length > 1).map(([slot]) => slot);
}

/** Work of which one at a time may run, and did not. Of what was interrupted only the beginning is known. */
function overlapping(runs: readonly Run[]): string[] {
  const exclusive = runs
    .filter(({ operation, outcome, until }) => operation !== "log" && until === null && ["succeeded", "failed", "interrupted"].includes(outcome))
    .map((run) => ({ run, from: run.startedAt, to: run.outcome === "interrupted" ? run.startedAt : (run.finishedAt ?? run.startedAt) }))
    .toSorted((a, b) => (a.from < b.from ? -1 : 1));
  return exclusive.flatMap(({ run, from }, index) =>
    exclusive
      .slice(0, index)
      .filter(({ to }) => to > from)
      .map((other) => `${other.run.id} and ${run.id}`),
  );
}
