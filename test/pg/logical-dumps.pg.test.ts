import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BackupView, SourceInfo } from "../../src/domain/source-info.ts";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { openDumpSite } from "../support/dump-site.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import type { Site } from "../support/site.ts";

describePostgres("databases by pg_dump", { clientTools: ["pg_dump", "psql"] }, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    ({ source, site } = await openDumpSite(stack, binaries, { ordersExpected: "min: 1000" }));
    await source.sql("create index on orders (note)", "shop");
    await source.sql("create table empty (id int)", "odd 'name");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function backUp(): Promise<BackupView> {
    const outcome = await site.run("backup", "shop", "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    return outcome.json<BackupView>();
  }

  test("are backed up whole, verified, and come back in a new cluster, with roles and their passwords", async () => {
    expect(await backUp()).toMatchObject({ type: "full", state: "complete", startLsn: null, changeSource: "everything" });
    const verified = await site.run("verify", "shop", "--json");
    expect(verified.json(), verified.stderr).toMatchObject({ ok: true });
    const target = join(site.folder, "restored");
    const outcome = await site.run("restore", "shop", "--to", "latest", "--target", target, "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    expect(outcome.json()).toMatchObject({ databases: expect.arrayContaining(["shop", "odd 'name"]) as unknown, reachedLsn: null, startable: true });
    // Whoever runs this test is not the user that the cluster trusts over its socket.
    await writeFile(join(target, "pg_hba.conf"), "local all all trust\nhost all all 127.0.0.1/32 trust\n");
    await using restored = await startOnFolder(target, { binaries });
    expect(await restored.sql("select count(*) as n, max(note) = (select max(repeat(md5(g::text), 3)) from generate_series(1, 5000) g) as same from orders", "shop")).toEqual([
      { n: "5000", same: "t" },
    ]);
    expect(await restored.sql("select rolpassword like 'SCRAM%' as has from pg_authid where rolname = 'clerk'")).toEqual([{ has: "t" }]);
    expect(await restored.sql("select pg_get_userbyid(datdba) as owner from pg_database where datname = 'shop'")).toEqual([{ owner: "clerk" }]);
  });

  test("are loaded into a server that is there, one of them alone, and never over one that is there", async () => {
    await using other = await startCluster({ binaries });
    const env = { OTHER_URL: other.url() };
    const one = await site.runWith(env, "restore", "shop", "--to", "latest", "--into", "env:OTHER_URL", "--database", "shop", "--json");
    expect(one.exitCode, one.stderr).toBe(0);
    expect(await other.sql("select count(*) as n from orders", "shop")).toEqual([{ n: "5000" }]);
    const again = await site.runWith(env, "restore", "shop", "--to", "latest", "--into", "env:OTHER_URL");
    expect(again).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('the server has "shop" already') as string });
    expect(await other.sql("select count(*) as n from pg_database where datname like 'odd%'")).toEqual([{ n: "0" }]);
  });

  test("pass a drill with every row counted, and fail it by the fault of the source where a table was emptied before the backup", async () => {
    const passed = await site.run("drill", "shop", "--json");
    expect(passed.exitCode, passed.stdout + passed.stderr).toBe(0);
    expect(passed.json()).toMatchObject({ verdict: "pass", checks: expect.arrayContaining([expect.objectContaining({ name: "rows of shop", outcome: "pass" })]) as unknown });
    await source.sql("create table kept as select * from orders", "shop");
    await source.sql("truncate orders", "shop");
    await backUp();
    const failed = await site.run("drill", "shop", "--json");
    expect(failed.exitCode).toBe(1);
    expect(failed.json()).toMatchObject({ verdict: "fail", fault: "source" });
    await source.sql("insert into orders select * from kept", "shop");
    await backUp();
    expect(await readdir(join(site.folder, "scratch"))).toEqual([]);
  });

  test("are found damaged where a bit of them is wrong, and a drill of that fails by the fault of the backup", async () => {
    const folder = join(site.folder, "onsite/sources/shop/backups");
    const pack = join(folder, (await readdir(folder)).toSorted().at(-1) ?? "", "data/00000000");
    const before = await readFile(pack);
    const broken = Buffer.from(before);
    broken[100] = (broken[100] ?? 0) ^ 1;
    await writeFile(pack, broken);
    expect((await site.run("verify", "shop")).exitCode).toBe(1);
    const drilled = await site.run("drill", "shop", "--json");
    expect(drilled.json()).toMatchObject({ verdict: "fail", fault: "backup" });
    await writeFile(pack, before);
    expect((await site.run("verify", "shop")).exitCode).toBe(0);
  });

  test("show nothing of a backup that was killed", async () => {
    const ids = async (): Promise<string[]> => {
      const { sources } = (await site.run("info", "shop", "--json")).json<{ sources: SourceInfo[] }>();
      return (sources[0]?.backups ?? []).map(({ id }) => id);
    };
    const before = await ids();
    expect((await site.runWith({ HOLDFAST_CRASH_AT: "backup.copied" }, "backup", "shop")).signal).toBe("SIGKILL");
    expect(await ids()).toEqual(before);
    expect((await backUp()).id).not.toBe(before.at(-1));
  });

  test("have full backups only, and nothing of what needs WAL", async () => {
    const incremental = await site.run("backup", "shop", "--type", "incr", "--json");
    expect(incremental.json()).toMatchObject({ type: "full" });
    const lsn = await site.run("restore", "shop", "--to", "lsn:0/1000000", "--target", join(site.folder, "lsn"));
    expect(lsn).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("has no WAL") as string });
    const delta = await site.run("restore", "shop", "--to", "latest", "--target", join(site.folder, "delta"), "--standby", "--primary-conninfo", "env:SITE_URL");
    expect(delta.exitCode).toBe(2);
  });
});
