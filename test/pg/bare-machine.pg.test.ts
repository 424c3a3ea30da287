import { execFile, execFileSync } from "node:child_process";
import { chown, cp, mkdir, readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SourceInfo } from "../../src/domain/source-info.ts";
import { startCluster } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { assertSound } from "../support/oracle.ts";
import { startPlainly, timelineAfterRecovery } from "../support/pg-ctl.ts";
import type { KeptCopy } from "../support/kept-copies.ts";
import { copyInFolder, keepingAskedFor } from "../support/kept-copies.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { serverUser } from "../support/server-user.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { untilDurable, untilInEachCopy } from "../support/site-state.ts";

const MAIN = fileURLToPath(new URL("../../scripts/holdfast.mjs", import.meta.url));
const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

/** The machine burnt down. What is left is a copy of the repository in another place, and the passphrase on paper. */
describePostgres("a restore on a bare machine", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let bare: string;
  /** What is left. */
  let copy: KeptCopy;
  let atEnd: ClusterDigest;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(
      await startCluster({ binaries, settings: { archive_mode: "on", archive_command: "false", synchronous_standby_names: "nobody", synchronous_commit: "local" } }),
    );
    site = stack.use(await openSite({ cluster: source, keeping: keepingAskedFor() }));
    bare = stack.use(await openScratchFolder(await serverUser())).path;
    await source.sql("create database shop");
    await source.sql("create table t as select g, md5(g::text) from generate_series(1, 20000) g", "shop");
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    await source.sql("delete from t where g % 7 = 0", "shop");
    expect(await site.run("backup", "--type", "incr")).toMatchObject({ exitCode: 0 });
    const stream = site.start({}, "wal", "stream");
    await source.sql("insert into t select g, 'after the last backup' from generate_series(30001, 31000) g", "shop");
    await untilDurable(site);
    await untilInEachCopy(site, source);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    atEnd = await digestDatabases(source.url());
    await source.stop();
    copy = site.copies.at(-1) ?? copyInFolder("copy", bare);
    if (copy.place.includes("file://")) {
      await cp(join(site.folder, "onsite"), join(bare, "copy"), { recursive: true });
      copy = copyInFolder("copy", bare);
    }
    for (const folder of ["empty", "home"]) await mkdir(join(bare, folder));
    await rename(site.folder, `${site.folder}-burnt`);
    stack.defer(async () => rename(`${site.folder}-burnt`, site.folder));
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  /** In an empty folder, with nothing in the environment but the key. */
  async function holdfast(...args: string[]): Promise<string> {
    const env = { PATH: "/usr/bin:/bin", HOME: join(bare, "home"), HOLDFAST_KEY: site.key, ...copy.env };
    const { stdout } = await run(process.execPath, [MAIN, ...args, ...copy.address], { cwd: join(bare, "empty"), env });
    expect(await readdir(join(bare, "empty"))).toEqual([]);
    return stdout;
  }

  test("is preceded by a look at what there is, and whether it is whole", async () => {
    const { sources } = JSON.parse(await holdfast("info", "--json")) as { sources: SourceInfo[] };
    expect(sources).toMatchObject([{ name: "db", gaps: [], exposure: [{ seconds: null }], backups: [{ type: "full" }, { type: "incremental" }], windows: [{ timeline: 1 }] }]);
    expect(JSON.parse(await holdfast("verify", "--json"))).toMatchObject({ ok: true, tier: "pages", damage: [] });
    expect(JSON.parse(await holdfast("restore", "--to", "latest", "--target", join(bare, "planned"), "--plan", "--json"))).toMatchObject({ backupId: sources[0]?.backups[1]?.id });
    expect(await readdir(bare)).not.toContain("planned");
  });

  test("gives a cluster that runs by pg_ctl alone, with everything in it", async () => {
    const target = join(bare, "restored");
    expect(JSON.parse(await holdfast("restore", "--to", "latest", "--target", target, "--json"))).toMatchObject({ target, timeline: 1, startable: true });
    await copy.away(async () => expectWhole(target));
  });

  const toWhom = "belongs to --owner, in a folder of somebody else";
  if (!isRoot) test.skip(`${toWhom}: ${NOT_RUN}only root can give files away`);
  else
    test(toWhom, async () => {
      const owner = await serverUser();
      await mkdir(join(bare, "of-root"));
      await chown(join(bare, "of-root"), 0, 0);
      const target = join(bare, "of-root/deep/restored");
      await holdfast("restore", "--to", "latest", "--target", target, "--owner", execFileSync("id", ["-un", String(owner.uid)], { encoding: "utf8" }).trim());
      expect(await stat(target)).toMatchObject(owner);
      await copy.away(async () => expectWhole(target));
    });

  const closed = "is refused where its owner could not start it";
  if (!isRoot) test.skip(`${closed}: ${NOT_RUN}only root can give files away`);
  else
    test(closed, async () => {
      await mkdir(join(bare, "closed"), { mode: 0o700 });
      const refused = holdfast("restore", "--to", "latest", "--target", join(bare, "closed/restored"), "--owner", "nobody");
      await expect(refused).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(/^error\[HF-CONFIG\]: .*is closed to it\nhint: /) as string });
      expect(await readdir(join(bare, "closed"))).toEqual([]);
    });

  /** Started as its owner would, on the port the source had; and started again, when it has nothing of a restore about it any more. */
  async function expectWhole(target: string): Promise<void> {
    await using server = await startPlainly(binaries, target, source.port);
    expect(await timelineAfterRecovery(server)).toBe(2);
    expect(await digestDatabases(server.url())).toEqual(atEnd);
    await using session = await server.connect("shop");
    expect(
      await session.row(
        "select current_setting('archive_mode') as archive, current_setting('synchronous_standby_names') as standbys, current_setting('primary_conninfo') as primary",
      ),
    ).toEqual({
      archive: "off",
      standbys: "",
      primary: "",
    });
    await server.restart();
    expect(await timelineAfterRecovery(server)).toBe(2);
    await assertSound(server.url(), { isRestored: true });
  }
});
