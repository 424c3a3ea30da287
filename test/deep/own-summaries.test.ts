import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { BackupView } from "../../src/domain/source-info.ts";
import { startCluster } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { assertSound } from "../support/oracle.ts";
import { describeEachPostgres, describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { buildWorkload, mutate } from "../support/workload.ts";

/** Where versions are asked for, one more. */
const STEPS = process.env["HOLDFAST_TEST_MAJORS"] === undefined ? [1, 2] : [1, 2, 3];
const MIB = 1 << 20;
const BALLAST_MIB = 96;
/** WAL is not written before somebody waits for it: then a server that dies leaves pages in files that no WAL tells of. */
const SETTINGS = { max_wal_size: "4GB", wal_keep_size: "1GB", wal_buffers: "16MB", wal_writer_delay: "10s", bgwriter_lru_maxpages: "0" };

interface Taken {
  readonly view: BackupView;
  readonly digest: ClusterDigest;
}

/** It takes a minute a version: by default on one whose server has no summaries; on all of them where versions are asked for. */
const describeThem = process.env["HOLDFAST_TEST_MAJORS"] === undefined ? describePostgres : describeEachPostgres;
const NEEDS = process.env["HOLDFAST_TEST_MAJORS"] === undefined ? { atMost: 16 } : {};

describeThem("an incremental from WAL summaries of our own", NEEDS, (binaries) => {
  test("restores exactly after all that happens to files, and reads little", async () => {
    await using source = await startSource();
    await using site = await openSite({ cluster: source });
    let stream = await startStream(site, source);
    const taken = [await takeBackup(site, source, "full")];
    for (const step of STEPS) {
      await mutate(source, 5, step);
      await oddities(source, step);
      if (step === 1) {
        await stopStream(stream);
        await leaveZeroPages(source);
        stream = await startStream(site, source);
      }
      taken.push(await takeBackup(site, source, "incr"));
    }
    await stopStream(stream);
    for (const { view } of taken.slice(1)) {
      expect(view.changeSource, view.changeSourceReason).toBe("wal-summaries");
      expect(view.readBytes, view.changeSourceReason).toBeLessThan(view.sourceBytes / 4);
    }
    for (const { view, digest } of taken.slice(1)) await expectRestored(site, source, view.id, digest);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test("is made by a host that can only write, and after a promotion", async () => {
    await using source = await startCluster({ binaries });
    await source.sql("create table t (id int primary key, text text); insert into t select g, repeat(md5(g::text), 20) from generate_series(1, 40000) g");
    await source.sql("vacuum (freeze) t");
    await using site = await openSite({ cluster: source });
    const taken = [await takeBackup(site, source, "full")];
    // Without the passphrase it cannot open what it wrote: the WAL of the last seconds neither.
    const env = { SITE_KEY: "" };
    const change = `update t set text = 'changed' where id % 1000 = `;
    let stream = await startStream(site, source, env);
    for (const remainder of [1, 2]) {
      await source.sql(change + String(remainder));
      taken.push(await takeBackup(site, source, "incr", env));
    }
    await stopStream(stream);
    await promoteToNextTimeline(source);
    stream = await startStream(site, source);
    await source.sql(`${change}3`);
    taken.push(await takeBackup(site, source, "incr"));
    await stopStream(stream);
    for (const { view, digest } of taken.slice(1)) {
      expect(view.changeSource, view.changeSourceReason).toBe("wal-summaries");
      expect(view.readBytes).toBeLessThan(view.sourceBytes / 4);
      await expectRestored(site, source, view.id, digest);
    }
  });

  async function startSource(): Promise<Cluster> {
    const source = await startCluster({ binaries, tablespaces: 2, settings: SETTINGS });
    try {
      await buildWorkload(source);
      // What hardly changes, as most of a real cluster.
      await source.sql(`create table ballast (id int, text text); insert into ballast select g, repeat(md5(g::text), 30) from generate_series(1, ${BALLAST_MIB * 1024}) g`, "shop");
      await source.sql("vacuum (freeze) ballast", "shop");
      await source.sql("create table cut_off (id int primary key, text text); insert into cut_off select g, repeat('cut off', 100) from generate_series(1, 4000) g");
      await source.sql("create table cut (id int primary key, text text); insert into cut select g, repeat('cut', 300) from generate_series(1, 4000) g", "shop");
      return source;
    } catch (error) {
      await source[Symbol.asyncDispose]();
      throw error;
    }
  }
});

/** What a summary must not miss, at every step. */
async function oddities(source: Cluster, step: number): Promise<void> {
  await using shop = await source.connect("shop");
  await shop.each([
    `update ballast set text = text || 'changed' where id % 20000 = ${step}`,
    // The tail of the file goes, and comes back with other rows, of a transaction that never was too.
    `delete from cut where id > ${4000 / (step + 1)}`,
    "vacuum (truncate) cut",
    "begin; insert into cut select g, repeat('gone', 200) from generate_series(10001, 12000) g; rollback",
    `insert into cut select g, repeat('new', ${100 * step}) from generate_series(${20_000 * step}, ${20_000 * step + 1500}) g`,
    `create database odd_${step}`,
    ...(step > 1 ? [`drop database odd_${step - 1}`] : []),
    `create table odd_${step} (id int primary key, text text); insert into odd_${step} select g, 'odd' from generate_series(1, 3000) g`,
    ...(step > 1 ? [`drop table odd_${step - 1}`] : []),
    `begin; create table odd_kept_${step} (id int primary key); insert into odd_kept_${step} select generate_series(1, 500); prepare transaction 'odd ${step}'`,
    ...(step > 1 ? [`commit prepared 'odd ${step - 1}'`] : []),
    "vacuum",
  ]);
  if (step === 2) await shop.rows("truncate cut; insert into cut values (1, 'alone')");
}

/**
 * The tail of a table goes, and comes back as empty pages: what filled them died with the server, before it was in WAL. The parent has rows there (recovery rule 3). In a database
 * without prepared transactions, which would keep the dead rows.
 */
async function leaveZeroPages(source: Cluster): Promise<void> {
  await source.sql("delete from cut_off where id > 300");
  await source.sql("vacuum (truncate) cut_off");
  // Or else recovery would cut it again.
  await source.sql("checkpoint");
  await using session = await source.connect();
  await session.rows("begin; insert into cut_off select g, repeat('lost', 200) from generate_series(50001, 51000) g");
  await source.kill9();
  await source.start();
  const [row] = await source.sql(
    "select count(*) as pages from generate_series(0, pg_relation_size('cut_off') / 8192 - 1) n where pg_read_binary_file(pg_relation_filepath('cut_off'), n * 8192, 8192) = decode(repeat('00', 8192), 'hex')",
  );
  expect(Number(row?.["pages"])).toBeGreaterThan(50);
}

/** The same data on the next timeline. */
async function promoteToNextTimeline(source: Cluster): Promise<void> {
  await source.stop("fast");
  await writeFile(join(source.dataDirectory, "standby.signal"), "");
  await source.start();
  await source.promote();
}

async function startStream(site: Site, source: Cluster, env: Readonly<Record<string, string>> = {}): Promise<Running> {
  const stream = site.start(env, "wal", "stream");
  await eventually("WAL is streamed", async () => (await source.sql("select 1 from pg_replication_slots where active")).length === 1);
  return stream;
}

async function stopStream(stream: Running): Promise<void> {
  stream.process.kill("SIGTERM");
  expect(await stream.ended()).toMatchObject({ exitCode: 0 });
}

async function takeBackup(site: Site, source: Cluster, type: "full" | "incr", env: Readonly<Record<string, string>> = {}): Promise<Taken> {
  const outcome = await site.runWith(env, "backup", "--type", type, "--json");
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  const view = outcome.json<BackupView>();
  process.stdout.write(`${source.binaries.version}: ${view.type} by ${view.changeSource} read ${Math.round(view.readBytes / MIB)} of ${Math.round(view.sourceBytes / MIB)} MiB\n`);
  return { view, digest: await digestDatabases(source.url()) };
}

async function expectRestored(site: Site, source: Cluster, id: string, digest: ClusterDigest): Promise<void> {
  await using restored = await restoreAndStart(site, source, "--backup", id, "--to", "immediate");
  expect(await digestDatabases(restored.url())).toEqual(digest);
  await assertSound(restored.url(), { isRestored: true });
}
