import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { must } from "../../src/errors.ts";
import { packSlices, SLICE_BYTES } from "../../src/repository/zstd-slices.ts";
import { findPython, MANUAL_RESTORE_NEEDS, manualRestore, unpackedByScript } from "../support/manual-restore.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { untilDurable } from "../support/site-state.ts";

/**
 * The way out: a repository is restored by a page of Python that was written from docs/repository-format.md alone, and PostgreSQL starts on the result.
 * It proves that the description of the format is complete.
 */

const found = await findPython();
if (found === null)
  describe("a restore without holdfast", () => {
    test.skip(`${NOT_RUN}${MANUAL_RESTORE_NEEDS}`);
  });
else describePostgres("a restore without holdfast", {}, (binaries) => suite(binaries, found));

function suite(binaries: Cluster["binaries"], python: string): void {
  let resources: AsyncDisposableStack | undefined;
  let source: Cluster;
  let site: Site;
  let atBackup: ClusterDigest;
  let atEnd: ClusterDigest;
  let restores = 0;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], tablespaces: 1 }));
    site = stack.use(await openSite({ cluster: source }));
    await source.sql("create table t (id int primary key, text text)");
    await source.sql("create table elsewhere tablespace space1 as select g, repeat('x', 500) from generate_series(1, 500) g");
    await source.sql("insert into t select g, md5(g::text) from generate_series(1, 20000) g");
    await backUp("full");
    await source.sql("update t set text = 'changed' where id % 50 = 0");
    await source.sql("delete from elsewhere where g > 400");
    atBackup = await digestDatabases(source.url());
    await backUp("incr");
    await streamWhile(async () => void (await source.sql("insert into t select g, 'streamed' from generate_series(30001, 33000) g")));
    await promoteToNextTimeline(source);
    await streamWhile(async () => void (await source.sql("insert into t select g, 'on the next timeline' from generate_series(40001, 41000) g")));
    atEnd = await digestDatabases(source.url());
    resources = stack.move();
  });

  afterAll(async () => resources?.disposeAsync());

  async function backUp(type: string): Promise<void> {
    const outcome = await site.run("backup", "--type", type);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
  }

  /** Streams WAL until everything that was written meanwhile is durable. */
  async function streamWhile(act: () => Promise<void>): Promise<void> {
    const stream = site.start({}, "wal", "stream");
    await act();
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect((await stream.ended()).exitCode).toBe(0);
  }

  async function script(key: string, ...args: string[]): Promise<string> {
    return manualRestore(python, key, join(site.folder, "onsite"), ...args);
  }

  async function restoreByHand(...args: string[]): Promise<Cluster> {
    const target = join(site.folder, `by-hand-${++restores}`);
    const space = `${target}-space`;
    await script(site.key, target, ...args, "--tablespace", `${source.place.tablespaceDirectories[0]}=${space}`);
    await giveToServerUser(target);
    await giveToServerUser(space);
    return startOnFolder(target, { binaries, leftRecovery: true });
  }

  test("reads a frame of several slices, by each way to read zstd that is here", async () => {
    const plain = Buffer.alloc(3 * SLICE_BYTES + 100, "of a table, again and again ");
    const file = join(site.folder, "packed");
    await writeFile(file, must(packSlices(plain, 1), "packed bytes"));
    const unpacked = await unpackedByScript(python, file, plain.length);
    expect(unpacked.length).toBeGreaterThan(0);
    for (const { way, plain: read } of unpacked) expect(read.equals(plain), way).toBe(true);
  });

  test("lists the backups", async () => {
    const backups = await readdir(join(site.folder, "onsite/sources/db/manifests"));
    expect(await script(site.key)).toBe(backups.map((name) => `db ${name.replace(".json", "")}\n`).join(""));
  });

  test("brings back everything that was streamed, across a promotion, parts of an unfinished segment too", async () => {
    const wal = await readdir(join(site.folder, "onsite/sources/db/wal"), { recursive: true });
    expect(wal.some((path) => /\/00000002\/parts\/.+-/.test(path))).toBe(true);
    await using restored = await restoreByHand();
    expect(await digestDatabases(restored.url())).toEqual(atEnd);
  });

  test("brings back an incremental as it was", async () => {
    await using restored = await restoreByHand("--immediate");
    expect(await digestDatabases(restored.url())).toEqual(atBackup);
  });

  test("says no to a wrong passphrase, and touches nothing", async () => {
    await expect(script("wrong-passphrase", join(site.folder, "untouched"))).rejects.toThrow(/the passphrase does not open this repository/);
    expect(await readdir(site.folder)).not.toContain("untouched");
  });
}

/** The same data on the next timeline. */
async function promoteToNextTimeline(cluster: Cluster): Promise<void> {
  await cluster.stop("fast");
  await writeFile(join(cluster.dataDirectory, "standby.signal"), "");
  await cluster.start();
  await cluster.promote();
}
