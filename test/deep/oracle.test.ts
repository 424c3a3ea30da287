import { chown, copyFile, open, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import { assertSound } from "../support/oracle.ts";
import type { Check, OracleOptions } from "../support/oracle.ts";
import { describeEachPostgres, describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { UnsoundError } from "../support/unsound.ts";
import { actionNames, buildWorkload, mutate } from "../support/workload.ts";

/**
 * Who judges the judge? Here each kind of damage that a wrong restore leaves behind is planted by hand, and each check of the oracle has to see what is
 * its to see. Where another check is blind to it, that is asserted too: it is the reason why there is more than one.
 */
const NEEDS = { contrib: ["amcheck", "pg_visibility"] } as const;
const QUIET = { autovacuum: "off" };

async function verdict(cluster: Cluster, options: OracleOptions = {}): Promise<UnsoundError | "sound"> {
  try {
    await assertSound(cluster.url(), options);
    return "sound";
  } catch (error) {
    if (error instanceof UnsoundError) return error;
    throw error;
  }
}

async function fileOf(cluster: Cluster, relation: string): Promise<string> {
  return join(cluster.dataDirectory, (await cluster.sql(`select pg_relation_filepath('${relation}') as path`))[0]?.["path"] ?? "");
}

async function makeTable(cluster: Cluster): Promise<void> {
  await cluster.sql("create table t (id int primary key, note text)");
  await cluster.sql("create index t_note on t using hash (note)");
  await cluster.sql("insert into t select i, md5(i::text) from generate_series(1, 2000) as i");
}

/** Puts an older copy of a file back, as a backup that missed a change would. */
async function putBack(copy: string, file: string): Promise<void> {
  const { uid, gid } = await stat(file);
  await copyFile(copy, file);
  await chown(file, uid, gid);
}

describeEachPostgres("the oracle", NEEDS, (binaries) => {
  test("finds a busy cluster sound, and really looked", async () => {
    await using cluster = await startCluster({ binaries, tablespaces: 1 });
    await buildWorkload(cluster);
    await mutate(cluster, 5, 1, { only: actionNames() });
    await mutate(cluster, 5, 2, { only: ["prepare a transaction"] });
    const report = await assertSound(cluster.url());
    expect(report).toMatchObject({ notAsked: [], extensions: ["amcheck", "pg_visibility"], unlogged: 0, prepared: 1 });
    expect(report.indexes).toBeGreaterThan(20);
    expect(report.indexOnly).toBeGreaterThan(20);
    expect(report.probed).toBeGreaterThan(3);
    expect(report.written).toBeGreaterThan(10);
    expect(report.btrees).toBeGreaterThan(600);
    expect(report.visibilityMaps).toBeGreaterThan(400);
    if (binaries.major >= 14) expect(report.heaps).toBeGreaterThan(400);
    if (binaries.major >= 18) expect(report.gins).toBeGreaterThan(1);
  });

  test("finds a cluster sound that was recovered to the middle of a drop, and drops that database", async () => {
    await using cluster = await startCluster({ binaries });
    await makeTable(cluster);
    await cluster.sql("create database half");
    await cluster.sql("update pg_database set datconnlimit = -2 where datname = 'half'"); // as DROP DATABASE does, before it removes anything
    expect(await verdict(cluster)).toBe("sound");
    expect(await cluster.sql("select 1 from pg_database where datname = 'half'")).toEqual([]);
  });

  test("objects to a stale visibility map, which reading the table cannot show", async () => {
    await using cluster = await startCluster({ binaries, settings: QUIET });
    await makeTable(cluster);
    await cluster.sql("vacuum t");
    const map = `${await fileOf(cluster, "t")}_vm`;
    await cluster.stop();
    await copyFile(map, join(cluster.dataDirectory, "..", "map"));
    await cluster.start();
    await cluster.sql("delete from t where id <= 5");
    const before = await digestDatabases(cluster.url());
    await cluster.stop();
    await putBack(join(cluster.dataDirectory, "..", "map"), map);
    await cluster.start();

    expect(await digestDatabases(cluster.url())).toEqual(before);
    expect(await verdict(cluster, { checks: ["structure"] })).toBe("sound");
    expect(await verdict(cluster, { checks: ["visibility maps"] })).toMatchObject({ check: "pg_check_visible", database: "postgres", relation: "t" });
    expect(await verdict(cluster, { checks: ["index scans"] })).toMatchObject({
      check: "index scan",
      relation: "public.t_pkey",
      message: expect.stringContaining("2000 rows") as string,
    });
    expect(await verdict(cluster)).toMatchObject({ name: "UnsoundError" });
  });

  test("objects to a table page that lost its all-visible mark while the map kept it, which only writing shows", async () => {
    await using cluster = await startCluster({ binaries, checksums: false, walLogHints: false, settings: QUIET });
    await makeTable(cluster);
    await cluster.sql("select count(*) from t"); // sets hint bits, so that the copy differs in the mark only
    const file = await fileOf(cluster, "t");
    await cluster.stop();
    await copyFile(file, join(cluster.dataDirectory, "..", "heap"));
    await cluster.start();
    await cluster.sql("vacuum t");
    await cluster.stop();
    await putBack(join(cluster.dataDirectory, "..", "heap"), file);
    await cluster.start();

    expect(await verdict(cluster, { checks: ["index scans", "visibility maps", "structure"] })).toBe("sound");
    expect(await verdict(cluster, { checks: ["index scans", "writes"] })).toMatchObject({ check: "index scan", relation: "public.t_pkey" });
  });

  test.each([
    ["a btree", "t_pkey", ["index scans"], "index scan"],
    ["a btree", "t_pkey", ["structure"], "bt_index_parent_check"],
    ["a hash index", "t_note", ["index scans"], "index scan"],
  ] as const)("objects to %s (%s) that lacks an entry, by %o", async (_kind, index, checks: readonly Check[], check) => {
    await using cluster = await startCluster({ binaries, settings: QUIET });
    await makeTable(cluster);
    expect(await verdict(cluster, { checks })).toBe("sound");
    await insertPastIndex(cluster, index);
    expect(await verdict(cluster, { checks })).toMatchObject({ check, relation: expect.stringMatching(new RegExp(`(^|\\.)${index}$`)) as string });
  });

  test("objects to an unlogged table that a restore did not empty, and to one that cannot be used", async () => {
    await using cluster = await startCluster({ binaries, settings: QUIET });
    await cluster.sql("create unlogged table u (id uuid primary key, n int not null, at timestamptz not null, tags text[] not null, data jsonb not null)");
    expect(await verdict(cluster, { isRestored: true, checks: [] })).toBe("sound");
    expect(await verdict(cluster, { isRestored: true, checks: [] })).toMatchObject({ check: "unlogged", message: expect.stringContaining("1 rows") as string });
    await cluster.sql("truncate u");
    const key = await fileOf(cluster, "u_pkey");
    await cluster.stop();
    await writeFile(key, ""); // the fork was not made from its init fork
    await cluster.start();
    expect(await verdict(cluster, { isRestored: true, checks: [] })).toMatchObject({ check: "unlogged", relation: "public.u" });
  });
});

/** Rows that the index never hears of: it is told that it is not ready. */
async function insertPastIndex(cluster: Cluster, index: string): Promise<void> {
  await cluster.sql(`update pg_index set indisready = false where indexrelid = '${index}'::regclass`);
  await cluster.sql("insert into t values (5000, 'unheard of')");
  await cluster.sql(`update pg_index set indisready = true where indexrelid = '${index}'::regclass`);
}

describePostgres("the oracle's check of tables", { ...NEEDS, atLeast: 14 }, (binaries) => {
  test("objects to a row from a transaction that never was", async () => {
    await using cluster = await startCluster({ binaries, checksums: false, settings: QUIET });
    await makeTable(cluster);
    const file = await fileOf(cluster, "t");
    await cluster.stop();
    await setFirstXmin(file, 2_000_000);
    await cluster.start();
    expect(await verdict(cluster, { checks: ["structure"] })).toMatchObject({ check: "verify_heapam", relation: "t", message: expect.stringContaining("2000000") as string });
  });
});

/** The first line pointer of page 0 says where the first row begins, and a row begins with its xmin. */
async function setFirstXmin(file: string, xid: number): Promise<void> {
  const offset = (await readFile(file)).readUInt32LE(24) & 0x7fff;
  await using handle = await open(file, "r+");
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(xid);
  await handle.write(bytes, 0, 4, offset);
}

describePostgres("the digest of a cluster", {}, (binaries) => {
  test("does not depend on where rows lie, and shows one row changed, doubled, gone, or an index dropped", async () => {
    await using cluster = await startCluster({ binaries, settings: QUIET });
    await cluster.sql("create table t (n int, note text)");
    await cluster.sql("insert into t select i % 50, 'note' from generate_series(1, 1000) as i");
    await cluster.sql("create index t_n on t (n)");
    const first = await digestDatabases(cluster.url());
    await cluster.sql("update t set note = note where n < 20");
    await cluster.sql("vacuum full t");
    expect(await digestDatabases(cluster.url())).toEqual(first);

    const changes = [
      "insert into t values (1, 'note')",
      "delete from t where ctid = (select min(ctid) from t)",
      "update t set note = 'Note' where ctid = (select min(ctid) from t)",
      "drop index t_n",
      "create database another",
    ];
    let before = first;
    for (const change of changes) {
      await cluster.sql(change);
      const after = await digestDatabases(cluster.url());
      expect(after).not.toEqual(before);
      before = after;
    }
  });
});
