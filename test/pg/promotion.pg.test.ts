import { cp, appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { SourceInfo } from "../../src/domain/source-info.ts";
import { parseHistory } from "../../src/domain/timeline.ts";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";

/** A primary with a standby, and Holdfast that knows them as one source: the address behind it moves, as it does in a failover. */
interface Pair extends AsyncDisposable {
  readonly primary: Cluster;
  readonly standby: Cluster;
  readonly site: Site;
}

describePostgres("a promotion", {}, (binaries) => {
  async function openPair(): Promise<Pair> {
    await using stack = new AsyncDisposableStack();
    const primary = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { wal_keep_size: "64MB" } }));
    await primary.sql("create table t (id int primary key, filler text)");
    await primary.stop();
    const folder = join(stack.use(await openScratchFolder()).path, "standby");
    await cp(primary.dataDirectory, folder, { recursive: true });
    await writeFile(join(folder, "standby.signal"), "");
    await appendFile(join(folder, "postgresql.conf"), `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'\nwal_retrieve_retry_interval = '100ms'\n`);
    await giveToServerUser(join(folder, ".."));
    await primary.start();
    const standby = stack.use(await startOnFolder(folder, { binaries }));
    const site = stack.use(await openSite({ cluster: primary }));
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    const held = stack.move();
    return { primary, standby, site, [Symbol.asyncDispose]: async () => held.disposeAsync() };
  }

  const insert = async (cluster: Cluster, from: number, count: number): Promise<unknown> =>
    cluster.sql(`insert into t select g, repeat(md5(g::text), 20) from generate_series(${from}, ${from + count - 1}) g`);

  async function info(site: Site, at: Cluster): Promise<SourceInfo> {
    return infoOf(site, { SITE_URL: at.url() });
  }

  const streamFrom = (site: Site, at: Cluster): Running => site.start({ SITE_URL: at.url() }, "wal", "stream");

  /** All that the server has written is in the repository, on the timeline it is on. */
  async function caughtUp(site: Site, at: Cluster, timeline: number): Promise<SourceInfo> {
    await eventually("everything is durable", async () => {
      const found = await info(site, at);
      return found.timeline === timeline && found.exposure[0]?.seconds === 0;
    });
    return info(site, at);
  }

  async function replayed({ primary, standby }: Pair): Promise<void> {
    const [row] = await primary.sql("select pg_current_wal_flush_lsn() as lsn");
    await eventually("the standby is where the primary is", async () => (await standby.sql(`select pg_last_wal_replay_lsn() >= '${row?.["lsn"]}' as there`))[0]?.["there"] === "t");
  }

  async function stopped(stream: Running): Promise<void> {
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
  }

  async function expectRestored(site: Site, like: Cluster, digest: Awaited<ReturnType<typeof digestDatabases>>, ...args: readonly string[]): Promise<void> {
    await using restored = await restoreAndStart(site, like, ...args);
    expect(await digestDatabases(restored.url())).toEqual(digest);
  }

  test("of the server that is being streamed is followed, and both timelines can be recovered", async () => {
    await using pair = await openPair();
    const { primary, standby, site } = pair;
    const stream = streamFrom(site, standby);
    await insert(primary, 1, 3000);
    const onTheOld = await digestDatabases(primary.url());
    const [row] = await primary.sql("select pg_current_wal_insert_lsn() as lsn");
    await insert(primary, 10_001, 1000);
    await replayed(pair);
    await primary.stop();
    await standby.promote();
    await insert(standby, 20_001, 3000);
    const found = await caughtUp(site, standby, 2);
    expect(found.gaps).toEqual([]);
    // One window, from the backup on the old timeline to now: nothing of the old one lies beside the new one.
    expect(found.windows.map(({ timeline }) => timeline)).toEqual([2]);
    expect(stream.process.exitCode).toBeNull();
    await stopped(stream);
    await expectRestored(site, standby, await digestDatabases(standby.url()), "--to", "latest");
    // Before the promotion is before it, whether one says the timeline or not; and what is restored there can be the source again.
    await expectRestored(site, standby, onTheOld, "--to", `lsn:${row?.["lsn"]}`, "--timeline", "1", "--exclusive");
    await using before = await restoreAndStart(site, standby, "--to", `lsn:${row?.["lsn"]}`, "--exclusive");
    expect(await digestDatabases(before.url())).toEqual(onTheOld);
    const [{ timeline, history } = {}] = await before.sql("select timeline_id::text as timeline, pg_read_file('pg_wal/00000003.history') as history from pg_control_checkpoint()");
    expect(timeline).toBe("3");
    expect(parseHistory(3, history ?? "")?.forks.map((fork) => fork.timeline)).toEqual([1]);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    // The next backup is on the new timeline, from a parent on the old one.
    expect((await site.runWith({ SITE_URL: standby.url() }, "backup", "--type", "incr", "--json")).json()).toMatchObject({ type: "incremental" });
    await expectRestored(site, standby, await digestDatabases(standby.url()), "--to", "latest");
  });

  test.each([
    { what: "in an unfinished segment", lost: 10 },
    { what: "in whole segments", lost: 4000 },
  ])("of a standby that lagged: what only the dead primary had $what is kept beside", async ({ lost }) => {
    await using pair = await openPair();
    const { primary, standby, site } = pair;
    const before = streamFrom(site, primary);
    await insert(primary, 1, 1000);
    await replayed(pair);
    await standby.stop();
    await insert(primary, 10_001, lost);
    await caughtUp(site, primary, 1);
    const ofTheDead = await digestDatabases(primary.url());
    await primary.kill9();
    expect((await before.ended()).exitCode).toBe(3);
    await standby.start();
    await standby.promote();
    await insert(standby, 20_001, 1500);
    const after = streamFrom(site, standby);
    const found = await caughtUp(site, standby, 2);
    expect(found.gaps).toEqual([]);
    expect(found.windows.map(({ timeline }) => timeline)).toEqual([1, 2]);
    await stopped(after);
    await expectRestored(site, standby, await digestDatabases(standby.url()), "--to", "latest");
    await expectRestored(site, standby, ofTheDead, "--to", "latest", "--timeline", "1");
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });
});
