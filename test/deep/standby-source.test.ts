import { appendFile, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { assertSound } from "../support/oracle.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { openSite } from "../support/site.ts";
import { startWriter } from "../support/writer.ts";

interface Pair extends AsyncDisposable {
  readonly primary: Cluster;
  readonly standby: Cluster;
}

describePostgres("a backup from a standby", { atMost: 16 }, (binaries) => {
  async function openPair(): Promise<Pair> {
    await using stack = new AsyncDisposableStack();
    const primary = stack.use(await startCluster({ binaries, settings: { wal_keep_size: "256MB", autovacuum_naptime: "1s" } }));
    await primary.sql("create table t (id int primary key, filler text)");
    await primary.sql("insert into t select g, repeat(md5(g::text), 10) from generate_series(1, 20000) g");
    await primary.stop();
    const folder = join(stack.use(await openScratchFolder()).path, "standby");
    await cp(primary.dataDirectory, folder, { recursive: true });
    await writeFile(join(folder, "standby.signal"), "");
    await appendFile(join(folder, "postgresql.conf"), `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres'\nwal_retrieve_retry_interval = '100ms'\n`);
    await giveToServerUser(join(folder, ".."));
    await primary.start();
    const standby = stack.use(await startOnFolder(folder, { binaries }));
    const held = stack.move();
    return { primary, standby, [Symbol.asyncDispose]: async () => held.disposeAsync() };
  }

  test("while the primary writes, full and incremental, is restored sound and with every commit that was there", async () => {
    await using pair = await openPair();
    const { primary, standby } = pair;
    await using site = await openSite({ cluster: standby });
    await using writer = await startWriter(primary, { connections: 2, ratePerSecond: 200 });
    await writer.more(50);
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    await primary.sql("delete from t where id % 7 = 0");
    await primary.sql("vacuum t");
    await primary.sql("update t set filler = 'changed' where id % 11 = 0");
    await writer.more(50);
    const promised = writer.count();
    const [written] = await primary.sql("select max(sequence)::text as last, pg_current_wal_flush_lsn()::text as lsn from written");
    while ((await standby.sql(`select pg_last_wal_replay_lsn() >= '${written?.["lsn"]}' as there`))[0]?.["there"] !== "t");
    const incremental = await site.run("backup", "--type", "incr", "--json");
    expect(incremental.json<{ type: string }>().type, incremental.stderr).toBe("incremental");
    await writer.stop();
    await using restored = await restoreAndStart(site, standby, "--to", "latest");
    expect(await restored.sql("select count(*)::text as n from t where id % 7 = 0 or (id % 11 = 0 and filler <> 'changed')")).toEqual([{ n: "0" }]);
    expect(Number((await restored.sql("select count(*)::text as n from written"))[0]?.["n"])).toBeGreaterThanOrEqual(promised);
    await assertSound(restored.url());
  });

  test("that is promoted meanwhile fails, and leaves nothing that counts", async () => {
    await using pair = await openPair();
    const { standby } = pair;
    await using site = await openSite({ cluster: standby });
    const backup = site.start({}, "backup");
    const isThere = async (): Promise<boolean> => (await standby.sql("select 1 from pg_stat_activity where application_name = 'holdfast backup'")).length > 0;
    await eventually("the backup has begun", isThere, 20_000);
    await standby.promote();
    const outcome = await backup.ended();
    expect(outcome.exitCode, outcome.stderr).toBe(3);
    expect(outcome.stderr).toMatch(/in_?recovery|not the one it was|standby was promoted/i);
    expect((await site.run("info", "db", "--json")).stdout).not.toContain('"type":"full"');
  });
});
