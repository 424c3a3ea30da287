import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { digestTree } from "../support/tree.ts";

/** Names of the place itself are in these. */
const OF_THE_PLACE = /^(postgresql\.conf|postgresql\.auto\.conf|tablespace_map|pg_tblspc\/\d+)$/;

describePostgres("restoring over a cluster that is there", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let fresh: string;
  let target: string;

  const restore = async (folder: string, ...options: string[]): Promise<Outcome> => site.run("restore", "--to", "immediate", "--target", folder, ...options);
  const spaceOf = (folder: string): string[] => ["--tablespace", `${source.place.tablespaceDirectories[0] ?? ""}=${folder}-space`];
  const tree = async (folder: string): Promise<Map<string, string>> => digestTree(folder, (path) => OF_THE_PLACE.test(path));

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, tablespaces: 1, settings: { autovacuum: "off" } }));
    site = stack.use(await openSite({ cluster: source }));
    await source.sql("create table kept as select g, repeat(md5(g::text), 20) as filler from generate_series(1, 20000) g");
    await source.sql("create table cut as select * from kept limit 9000");
    await source.sql("create table gone as select * from kept limit 1000");
    await source.sql("create table apart tablespace space1 as select * from kept limit 3000");
    expect(await site.run("backup", "--type", "full")).toMatchObject({ exitCode: 0 });
    target = join(site.folder, "target");
    expect(await restore(target, ...spaceOf(target))).toMatchObject({ exitCode: 0 });
    await source.sql("update kept set filler = 'changed' where g % 1000 = 0");
    await source.sql("truncate cut");
    await source.sql("drop table gone");
    await source.sql("update apart set filler = 'changed' where g % 100 = 0");
    await source.sql("create table made as select * from kept limit 500");
    expect(await site.run("backup", "--type", "incremental")).toMatchObject({ exitCode: 0 });
    fresh = join(site.folder, "fresh");
    expect(await restore(fresh, ...spaceOf(fresh))).toMatchObject({ exitCode: 0 });
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  test("gives what a restore into an empty folder gives, and writes only what differs", async () => {
    await liveIn(target);
    const outside = join(site.folder, "outside");
    await writeFile(outside, "not ours");
    await mkdir(join(target, "base/left-behind"));
    await symlink(outside, join(target, "base/left-behind/link"));
    await symlink(outside, join(target, "standby.signal"));
    const outcome = await restore(target, "--delta", "--json", ...spaceOf(target));
    expect(outcome).toMatchObject({ exitCode: 0 });
    expect(await tree(target)).toEqual(await tree(fresh));
    expect(await digestTree(`${target}-space`)).toEqual(await digestTree(`${fresh}-space`));
    expect(await readFile(outside, "utf8")).toBe("not ours");
    const { bytes, writtenBytes } = outcome.json<{ bytes: number; writtenBytes: number }>();
    expect(writtenBytes).toBeGreaterThan(0);
    expect(writtenBytes).toBeLessThan(bytes / 2);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql("select (select count(*) from kept where filler = 'changed') as changed, (select count(*) from cut) as cut, to_regclass('gone') as gone")).toEqual([
      { changed: "20", cut: "0", gone: null },
    ]);
    expect(await restored.sql("select count(*) as n from apart where filler = 'changed'")).toEqual([{ n: "30" }]);
  });

  test("that was killed cannot be started, and is gone on with", async () => {
    const other = join(site.folder, "killed");
    expect(await restore(other, "--backup", await fullBackup(), ...spaceOf(other))).toMatchObject({ exitCode: 0 });
    const killed = await site.runWith({ HOLDFAST_CRASH_AT: "restore.copying" }, "restore", "--to", "immediate", "--target", other, "--delta", ...spaceOf(other));
    expect(killed.signal).toBe("SIGKILL");
    expect((await digestTree(other)).has("global/pg_control")).toBe(false);
    await expect(startOnFolder(other, { binaries })).rejects.toThrow();
    expect(await restore(other, "--delta", ...spaceOf(other))).toMatchObject({ exitCode: 0 });
    expect(await tree(other)).toEqual(await tree(fresh));
  });

  test("is refused where a server runs, where it is another cluster, and where there is none, and changes nothing there", async () => {
    await using other = await startCluster({ binaries });
    // What is still in memory would be written meanwhile.
    await source.sql("checkpoint");
    const refuse = async (folder: string, code: string): Promise<void> => {
      const before = await digestTree(folder, isRunning);
      const outcome = await restore(folder, "--delta", ...spaceOf(folder));
      expect(outcome.exitCode).toBe(4);
      expect(outcome.stderr).toContain(code);
      expect(await digestTree(folder, isRunning)).toEqual(before);
    };
    await refuse(source.dataDirectory, "HF-TARGET-NOT-EMPTY");
    await other.stop();
    await refuse(other.dataDirectory, "HF-OTHER-CLUSTER");
    const things = join(site.folder, "things");
    await mkdir(things);
    await writeFile(join(things, "letter"), "dear");
    await refuse(things, "HF-TARGET-NOT-EMPTY");
  });

  /** The server that was restored works for a while, and stops. */
  async function liveIn(folder: string): Promise<void> {
    await using restored = await startOnFolder(folder, { binaries, leftRecovery: true });
    await restored.sql("create table of_its_own as select generate_series(1, 5000)");
    await restored.sql("update kept set filler = 'another way' where g % 500 = 1");
    await restored.sql("insert into cut select * from kept");
    await restored.sql("vacuum full apart");
  }

  async function fullBackup(): Promise<string> {
    const { sources } = (await site.run("info", "--json")).json<{ sources: { backups: { id: string }[] }[] }>();
    return sources[0]?.backups.find(({ id }) => id.endsWith("-full"))?.id ?? "none";
  }
});

/** What a running server touches by itself. */
function isRunning(path: string): boolean {
  return /^(pg_stat|pg_wal|pg_logical|global\/pg_control|postmaster)/.test(path);
}
