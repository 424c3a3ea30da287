import { appendFile, copyFile, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { infoOf, untilDurable } from "../support/site-state.ts";
import { digestTree } from "../support/tree.ts";

const MAIN = fileURLToPath(new URL("../../scripts/holdfast.mjs", import.meta.url));
const HIGHEST_EXIT = 125;
const WITH_SENDERS = { max_wal_senders: "5", max_replication_slots: "5" };

/** The other way of log backup: PostgreSQL hands every finished file to `holdfast wal push`, and no WAL is streamed at all. */
describePostgres("WAL through archive_command", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  /** Every file that PostgreSQL handed over, as it was. */
  let handed: string;
  let rows = 0;
  let restores = 0;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { archive_mode: "on", max_wal_senders: "0", max_replication_slots: "0" } }));
    site = stack.use(await openSite({ cluster: source, asServerUser: true }));
    handed = join(site.folder, "handed");
    await mkdir(handed);
    await giveToServerUser(handed);
    // This host was admitted by `init`: to write it needs no passphrase.
    const command = `cp %p ${handed}/%f && NODE_COMPILE_CACHE=${site.folder}/compiled HOLDFAST_CONFIG=${site.inventory} ${process.execPath} ${MAIN} wal push db %p`;
    await appendFile(join(source.dataDirectory, "postgresql.conf"), `archive_command = '${command}'\n`);
    await source.sql("select pg_reload_conf()");
    await source.sql("create table t (id int primary key, filler text)");
    await write();
    const backup = await site.run("backup");
    expect(backup, backup.stderr).toMatchObject({ exitCode: 0 });
    expect(backup.stderr).toMatch(/counting on archive_command/);
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function write(): Promise<void> {
    await source.sql(`insert into t select g, repeat(md5(g::text), 20) from generate_series(${rows + 1}, ${rows + 1000}) g`);
    rows += 1000;
  }

  /** More rows, and everything written so far goes through archive_command. */
  async function archived(): Promise<string> {
    await write();
    const [row] = await source.sql("select pg_walfile_name(pg_switch_wal()) as segment");
    const segment = row?.["segment"] ?? "";
    await eventually(`${segment} is archived`, async () => (await source.sql(`select from pg_stat_archiver where last_archived_wal >= '${segment}'`)).length === 1);
    return segment;
  }

  const push = async (file: string): Promise<Outcome> => site.run("wal", "push", "db", file, "--json");
  const stored = async (): Promise<Map<string, string>> => digestTree(join(site.folder, "onsite/sources"));

  async function restored(...args: readonly string[]): Promise<ClusterDigest> {
    const target = join(site.folder, `restored-${++restores}`);
    const outcome = await site.run("restore", "--target", target, "--to", "latest", ...args);
    expect(outcome, outcome.stderr).toMatchObject({ exitCode: 0 });
    await using cluster = await startOnFolder(target, { binaries, leftRecovery: true });
    return await digestDatabases(cluster.url());
  }

  /** A file of PostgreSQL's with something changed in it, under the same name. */
  async function altered(name: string, change: (bytes: Buffer) => void): Promise<string> {
    const bytes = await readFile(join(handed, name));
    change(bytes);
    await mkdir(join(site.folder, "altered"), { recursive: true });
    const file = join(site.folder, "altered", name);
    await writeFile(file, bytes);
    return file;
  }

  test("is enough for a backup and a restore to latest", async () => {
    for (let i = 0; i < 3; i++) {
      await archived();
    }
    const { gaps, windows, backups } = await infoOf(site);
    expect({ gaps, windows: windows.length, backups: backups.length }).toEqual({ gaps: [], windows: 1, backups: 1 });
    expect(await restored()).toEqual(await digestDatabases(source.url()));
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    // The .backup file of our own backup was among what was handed over, and was taken.
    expect((await readdir(handed)).some((name) => name.endsWith(".backup"))).toBe(true);
    expect(await source.sql("select failed_count from pg_stat_archiver")).toEqual([{ failed_count: "0" }]);
  });

  test("takes the same file again, and stores nothing more", async () => {
    const before = await stored();
    for (const name of (await readdir(handed)).toSorted().slice(-4)) expect(await push(join(handed, name))).toMatchObject({ exitCode: 0 });
    expect(await stored()).toEqual(before);
  });

  test("goes together with a stream: both find the same objects", async () => {
    await source.restart("fast", WITH_SENDERS);
    const stream = site.start({}, "wal", "stream");
    for (let i = 0; i < 3; i++) {
      await archived();
    }
    await write();
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    expect((await infoOf(site)).gaps).toEqual([]);
    const segments = [...(await stored()).keys()].map((path) => /\/([0-9A-F]{24})-[0-9a-f]{32}$/.exec(path)?.[1]).filter((name) => name !== undefined);
    expect(segments).toHaveLength(new Set(segments).size);
    expect(await restored()).toEqual(await digestDatabases(source.url()));
    expect(await source.sql("select failed_count from pg_stat_archiver")).toEqual([{ failed_count: "0" }]);
  });

  test("follows a promotion: the history, the unfinished segment of the old timeline, the new one", async () => {
    await write();
    const onTheOld = await digestDatabases(source.url());
    await source.stop("fast");
    await writeFile(join(source.dataDirectory, "standby.signal"), "");
    await source.start(WITH_SENDERS);
    await source.promote();
    await archived();
    expect(await readdir(handed)).toEqual(expect.arrayContaining(["00000002.history", expect.stringMatching(/^0{7}1.{16}\.partial$/)]));
    const { gaps, windows, timeline } = await infoOf(site);
    expect({ gaps, timeline }).toEqual({ gaps: [], timeline: 2 });
    expect(windows.map((window) => window.timeline)).toEqual([2]);
    expect(await restored()).toEqual(await digestDatabases(source.url()));
    expect(await restored("--timeline", "1")).toEqual(onTheOld);
    expect(await source.sql("select failed_count from pg_stat_archiver")).toEqual([{ failed_count: "0" }]);
  });

  describe("refuses", () => {
    test("another content under a name that is there, keeps both, and hands out neither", async () => {
      const name = await archived();
      const before = await stored();
      const outcome = await push(await altered(name, (bytes) => bytes.fill(0xff, 5000, 5100)));
      expect(outcome).toMatchObject({ exitCode: 4 });
      expect(outcome.json()).toMatchObject({ error: { code: "HF-DIVERGED", hint: expect.stringContaining("both are kept") as string } });
      const after = await stored();
      const added = [...after.keys()].filter((path) => !before.has(path));
      expect(added).toEqual([expect.stringContaining(`/${name}-`)]);
      for (const [path, digest] of before) expect(after.get(path), path).toBe(digest);
      expect(await push(join(handed, name))).toMatchObject({ exitCode: 4 });
      expect((await site.run("wal", "get", "db", name, join(site.folder, "got"))).exitCode).toBe(126);
      expect((await site.run("verify", "--json")).json()).toMatchObject({ ok: false });
      for (const path of added) await rm(join(site.folder, "onsite/sources", path));
      expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    });

    test("WAL of another cluster, a segment under a wrong name, what is damaged or no WAL; and stores nothing", async () => {
      const name = await archived();
      const other = await altered(name, (bytes) => bytes.writeBigUInt64LE(bytes.readBigUInt64LE(24) + 1n, 24));
      const renamed = join(site.folder, "altered/000000020000000000000FF0");
      await copyFile(join(handed, name), renamed);
      await writeFile(join(site.folder, "altered/000000020000000000000FF1"), (await readFile(join(handed, name))).subarray(0, 9000));
      await writeFile(join(site.folder, "altered/000000020000000000000FF2"), "");
      await writeFile(join(site.folder, "altered/00000003.history"), "no history\n");
      const before = await stored();
      const expected = {
        [other]: 4,
        [renamed]: 4,
        "altered/000000020000000000000FF1": 4,
        "altered/000000020000000000000FF2": 3,
        "altered/00000003.history": 3,
        "no-wal": 2,
        "000000020000000000000FF3": 3,
      };
      const outcomes = Object.keys(expected).map(async (file) => [file, (await push(file.startsWith("/") ? file : join(site.folder, file))).exitCode]);
      expect(Object.fromEntries(await Promise.all(outcomes))).toEqual(expected);
      expect(await stored()).toEqual(before);
    });
  });

  test("never exits above 125, which would stop the server", async () => {
    const file = join(handed, (await readdir(handed))[0] ?? "");
    await rename(join(site.folder, "onsite"), join(site.folder, "away"));
    const outcomes = await Promise.all([
      push(file),
      site.runWith({ HOLDFAST_CONFIG: join(site.folder, "nowhere.yaml") }, "wal", "push", "db", file),
      site.run("wal", "push", "orders", file),
      site.run("wal", "push", "db"),
      site.run("wal", "push", "db", file, "--no-such-option"),
    ]);
    await rename(join(site.folder, "away"), join(site.folder, "onsite"));
    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([3, 2, 2, 2, 2]);
    expect(Math.max(...outcomes.map(({ exitCode }) => exitCode ?? HIGHEST_EXIT + 1))).toBeLessThanOrEqual(HIGHEST_EXIT);
  });

  test("gives back what it took: 0 with the file, 1 where there is none, 126 for everything else", async () => {
    const folder = join(site.folder, "got");
    await mkdir(folder);
    await giveToServerUser(folder);
    const get = async (name: string, env = {}, from = site.repository()): Promise<number | null> =>
      (await site.runWith(env, "wal", "get", "db", name, join(folder, name), "--repository", from)).exitCode;
    const files = (await readdir(handed)).filter((name) => !/\.(partial|backup)$/.test(name)).slice(-4);
    expect(await Promise.all(files.map(async (name) => get(name)))).toEqual(files.map(() => 0));
    for (const name of files) expect((await readFile(join(folder, name))).equals(await readFile(join(handed, name))), name).toBe(true);
    const failures = [get("0000000200000000000000FF"), get("00000003.history"), get("000000010000000000000001.partial")];
    expect(await Promise.all(failures)).toEqual([1, 1, 1]);
    const broken = [
      get("00000002.history", { HOLDFAST_KEY: "another-passphrase" }),
      get("00000003.history", {}, `file://${site.folder}/nowhere`),
      site.run("wal", "get", "db").then(({ exitCode }) => exitCode),
    ];
    expect(await Promise.all(broken)).toEqual([126, 126, 126]);
    expect((await readdir(folder)).toSorted()).toEqual(files.toSorted());
  });
});
