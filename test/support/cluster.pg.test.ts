import { access, cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { giveToServerUser, startCluster, startOnFolder } from "./cluster.ts";
import { describeEachPostgres } from "./postgres-suite.ts";
import { openScratchFolder } from "./scratch-folder.ts";

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

describeEachPostgres("a test cluster", {}, (binaries) => {
  test("is what was asked for, and leaves nothing behind", async () => {
    let folder = "";
    {
      await using cluster = await startCluster({ binaries, checksums: false, walLogHints: true, tablespaces: 2, settings: { work_mem: "5MB" } });
      folder = join(cluster.dataDirectory, "..");
      expect(await cluster.sql("select current_setting('data_checksums') as checksums, current_setting('wal_log_hints') as hints, current_setting('work_mem') as work")).toEqual([
        { checksums: "off", hints: "on", work: "5MB" },
      ]);
      await cluster.sql("create table here (n int) tablespace space2");
      expect(await cluster.sql("select spcname from pg_tablespace where spcname like 'space%' order by 1")).toEqual([{ spcname: "space1" }, { spcname: "space2" }]);
      expect(await isThere(folder)).toBe(true);
    }
    expect(await isThere(folder)).toBe(false);
  });

  test("keeps what was committed when it is killed, and starts again", async () => {
    await using cluster = await startCluster({ binaries });
    await cluster.sql("create table kept as select generate_series(1, 1000) as n");
    await cluster.kill9();
    expect(cluster.isRunning).toBe(false);
    await cluster.start();
    expect(await cluster.sql("select count(*) from kept")).toEqual([{ count: "1000" }]);
    expect(await cluster.log()).toContain("not properly shut down");
  });

  test("says with the server's own words why it does not start", async () => {
    await using cluster = await startCluster({ binaries });
    await cluster.stop();
    await expect(cluster.start({ shared_buffers: "nonsense" })).rejects.toThrow(/shared_buffers/);
  });

  test("can be started on a copy of its folder, out of recovery, while the folder stays", async () => {
    await using cluster = await startCluster({ binaries });
    await cluster.sql("create table kept as select generate_series(1, 10) as n");
    await using copies = await openScratchFolder();
    const copy = join(copies.path, "copy");
    await cluster.kill9();
    await cp(cluster.dataDirectory, copy, { recursive: true });
    await giveToServerUser(copies.path);
    {
      await using other = await startOnFolder(copy, { binaries, leftRecovery: true, settings: { work_mem: "6MB" } });
      expect(await other.sql("select count(*), current_setting('work_mem') as work from kept")).toEqual([{ count: "10", work: "6MB" }]);
    }
    expect(await readFile(join(copy, "PG_VERSION"), "utf8")).toBe(`${binaries.major}\n`);
  });
});
