import { lstat, readdir, readlink, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import { openSite } from "../support/site.ts";

describePostgres("a restore", {}, (binaries) => {
  test("puts pg_wal where --wal-dir says, and follows a real primary as a standby, over a switch of its WAL", async () => {
    await using primary = await startCluster({ binaries, settings: { wal_keep_size: "64MB" } });
    await primary.sql("create table t (id int primary key)");
    await using site = await openSite({ cluster: primary });
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    await primary.sql("insert into t select generate_series(1, 1000)");
    const [folder, wal] = [join(site.folder, "standby"), join(site.folder, "standby-wal")];
    const env = { CONNINFO: `host=127.0.0.1 port=${primary.port} user=postgres` };
    const ask = ["restore", "--to", "latest", "--target", folder, "--standby", "--wal-dir", wal];
    expect((await site.runWith(env, ...ask)).stderr).toContain("go together");
    expect(await readdir(site.folder)).not.toContain("standby");
    expect(await site.runWith(env, ...ask, "--primary-conninfo", "env:CONNINFO")).toMatchObject({ exitCode: 0 });
    expect(await readlink(join(folder, "pg_wal"))).toBe(wal);
    await using standby = await startOnFolder(folder, { binaries });
    const holds = async (count: number): Promise<void> =>
      eventually(`the standby holds ${count} rows`, async () => (await standby.sql("select count(*)::text as n from t"))[0]?.["n"] === String(count));
    await holds(1000);
    await primary.sql("select pg_switch_wal()");
    await primary.sql("insert into t select generate_series(1001, 1500)");
    await holds(1500);
    expect(await standby.sql("select pg_is_in_recovery()::text as r, (select status from pg_stat_wal_receiver) as s")).toEqual([{ r: "true", s: "streaming" }]);
    expect((await readdir(wal)).some((name) => /^[0-9A-F]{24}$/.test(name))).toBe(true);
  });

  // Without checksums a page that becomes all visible is not in WAL: recovery would end with a panic at a page of zeros.
  test("of one database leaves the others there in name only, vacuumed or not, and prints how to be rid of them", async () => {
    await using cluster = await startCluster({ binaries, checksums: false });
    for (const name of ["shop", "big"]) {
      await cluster.sql(`create database ${name}`);
      await cluster.sql("create table t (id int primary key, filler text)", name);
      await cluster.sql("create index on t using hash (filler)", name);
      await cluster.sql("insert into t select g, md5(g::text) from generate_series(1, 20000) g", name);
    }
    await cluster.sql("checkpoint");
    await using site = await openSite({ cluster });
    const { id: backupId } = (await site.run("backup", "--json")).json<{ id: string }>();
    for (const name of ["shop", "big"]) {
      await cluster.sql("vacuum t", name);
      await cluster.sql("delete from t where id % 3 = 0", name);
      await cluster.sql("vacuum t", name);
      await cluster.sql("insert into t select g, md5(g::text) from generate_series(30001, 35000) g", name);
    }
    const [whole] = await cluster.sql("select pg_database_size('big')::text as size, (select oid from pg_database where datname = 'big')::text as oid");
    const unknown = await site.run("restore", "--to", "latest", "--target", join(site.folder, "no"), "--database", "nobody");
    expect(unknown).toMatchObject({ exitCode: 2 });
    // Brings the WAL; what is restored is the backup before, so that all of it is replayed.
    expect(await site.run("backup", "--type", "incr")).toMatchObject({ exitCode: 0 });
    await using restored = await restoreAndStart(site, cluster, "--to", "latest", "--backup", backupId, "--database", "shop");
    expect(await restored.sql("select count(*)::text as n from t", "shop")).toEqual(await cluster.sql("select count(*)::text as n from t", "shop"));
    await restored.sql("update t set filler = 'x' where id < 50", "shop");
    await expect(restored.sql("select 1", "big")).rejects.toThrow();
    const blocks = await blocksOf(join(restored.dataDirectory, "base", whole?.["oid"] ?? ""));
    expect(blocks * 512).toBeLessThan(Number(whole?.["size"]) / 2);
    await restored.sql('drop database "big"');
    await restored.sql("alter system reset ignore_invalid_pages");
    await restored.restart();
    expect(await readFile(join(restored.dataDirectory, "postgresql.auto.conf"), "utf8")).not.toContain("ignore_invalid_pages =");
    expect(await restored.sql("select datname from pg_database where datname in ('shop', 'big')")).toEqual([{ datname: "shop" }]);
  });
});

/** What the files of a folder take on the disk, in blocks of 512 bytes. */
async function blocksOf(folder: string): Promise<number> {
  const found = await Promise.all((await readdir(folder)).map((name) => lstat(join(folder, name))));
  return found.reduce((sum, { blocks }) => sum + blocks, 0);
}
