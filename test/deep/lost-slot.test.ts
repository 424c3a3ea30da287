import { expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { infoOf, untilStreaming } from "../support/site-state.ts";

describePostgres("a server that gives up our slot while nobody streams", {}, (binaries) => {
  test("is noticed by check; the stream then begins behind a gap that is on record, and a new backup makes good", async () => {
    await using source = await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { max_slot_wal_keep_size: "1MB", max_wal_size: "4MB", min_wal_size: "2MB" } });
    await using site = await openSite({ cluster: source });
    await source.sql("create table t (id int primary key)");
    expect((await site.run("backup")).exitCode).toBe(0);
    await stopped(await streaming(site));
    await loseSlot(source);

    const checked = await site.run("check", "--json");
    expect(checked.exitCode).toBe(1);
    expect(checked.stdout).toMatch(/has removed WAL that slot holdfast_db was to keep/);

    const stream = await streaming(site);
    await source.sql("insert into t values (-1)");
    await eventually("what comes now is durable", async () => (await infoOf(site)).gaps.length === 1);
    await stopped(stream);
    expect((await site.run("restore", "--to", "latest", "--target", `${site.folder}/refused`)).exitCode).toBe(1);

    expect((await site.run("backup")).exitCode).toBe(0);
    await using restored = await restoreAndStart(site, source, "--to", "latest");
    expect(await restored.sql("select count(*) as n from t")).toEqual(await source.sql("select count(*) as n from t"));
  });
});

async function streaming(site: Site): Promise<Running> {
  const stream = site.start({}, "wal", "stream");
  await untilStreaming(site);
  return stream;
}

async function stopped(stream: Running): Promise<void> {
  stream.process.kill("SIGTERM");
  expect((await stream.ended()).exitCode, stream.output()).toBe(0);
}

/** Writes until the server says that the slot's WAL is gone. */
async function loseSlot(source: Cluster): Promise<void> {
  for (let i = 0; i < 100; i++) {
    await source.sql(`insert into t select g from generate_series(${i * 1000}, ${i * 1000 + 999}) g`);
    await source.sql("select pg_switch_wal()");
    await source.sql("checkpoint");
    const [slot] = await source.sql("select wal_status from pg_replication_slots where slot_name = 'holdfast_db'");
    if (slot?.["wal_status"] === "lost") return;
  }
  throw new Error("the server keeps all WAL");
}
