import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import { openSite } from "../support/site.ts";

const COMMITS = 80;
/** A little longer than the stream keeps them. */
const JOINED_STAY_MS = 6000;

describePostgres("a stream that commits wait for", {}, (binaries) => {
  test("makes each commit durable at once, and the last that was acknowledged survives the server", async () => {
    await using cluster = await startCluster({ binaries });
    await cluster.sql("create table t (id int primary key)");
    await using site = await openSite({ cluster });
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    await cluster.sql(`alter system set synchronous_standby_names = '"holdfast wal"'`);
    await cluster.sql("select pg_reload_conf()");
    const commits = async (): Promise<unknown> => (await site.run("info", "db", "--json")).json<{ sources: { commits: unknown }[] }>().sources[0]?.commits;
    expect(await commits()).toEqual({ wait: "alone", streaming: false });
    const stream = site.start({}, "wal", "stream");
    await using session = await cluster.connect();
    // The first waits until the stream is there.
    await session.rows("insert into t values (0)");
    const waited: number[] = [];
    for (let id = 1; id <= COMMITS; id++) {
      const since = performance.now();
      await session.rows(`insert into t values (${id})`);
      waited.push(performance.now() - since);
    }
    // What was joined stays some seconds for those who are reading it, and goes with a later part.
    await new Promise((resolve) => {
      setTimeout(resolve, JOINED_STAY_MS);
    });
    await session.rows("update t set id = id where id = 0");
    await eventually("parts that were joined have gone", async () => {
      const files = await readdir(join(site.folder, "onsite"), { recursive: true });
      return files.filter((name) => /\/parts\/[^/]+\/[^/]+$/.test(name)).length < COMMITS / 2;
    });
    expect(await commits()).toEqual({ wait: "alone", streaming: true });
    const checked = await site.run("check", "db", "--json");
    await cluster.kill9();
    await stream.ended();
    waited.sort((a, b) => a - b);
    const [p50, p95] = [waited[Math.floor(COMMITS * 0.5)] ?? 0, waited[Math.floor(COMMITS * 0.95)] ?? 0];
    process.stdout.write(`synchronous commits: p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms\n`);
    // Parts come once a second otherwise.
    expect(p50).toBeLessThan(300);
    expect(checked.stdout).toContain("every commit stops");
    await using restored = await restoreAndStart(site, cluster, "--to", "latest");
    expect(await restored.sql("select count(*)::text as n from t")).toEqual([{ n: String(COMMITS + 1) }]);
  });
});
