import { execFile } from "node:child_process";
import { chown, readdir, rm, stat, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { keepingAskedFor } from "../support/kept-copies.ts";
import type { KeptCopy } from "../support/kept-copies.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { infoOf, untilDurable, untilInEachCopy } from "../support/site-state.ts";

/** PostgreSQL restores past a hole by stopping before it, promotes, and logs no error: so we must notice, in every way somebody could meet it. */
describePostgres("a WAL segment that is missing in the middle", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  /** The objects that hold one segment, one in each copy. */
  let missing: { readonly copy: KeptCopy; readonly key: string }[];

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries }));
    site = stack.use(await openSite({ cluster: source, keeping: keepingAskedFor() }));
    await source.sql("create table t (id int primary key, at timestamptz default clock_timestamp())");
    expect((await site.run("backup")).exitCode).toBe(0);
    const stream = site.start({}, "wal", "stream");
    for (let i = 0; i < 6; i++) {
      await source.sql(`insert into t select g from generate_series(${i * 100}, ${i * 100 + 99}) g`);
      await source.sql("select pg_switch_wal()");
    }
    await source.sql("insert into t values (1000000)");
    await untilDurable(site);
    await untilInEachCopy(site, source);
    stream.process.kill("SIGTERM");
    await stream.ended();
    // The server's user runs the restore command: it must be able to read the repository.
    const folders = (await readdir(site.folder)).filter((name) => name === "onsite");
    for (const name of folders) await promisify(execFile)("chmod", ["-R", "a+rX", join(site.folder, name)]);
    missing = await Promise.all(site.copies.map(async (copy) => ({ copy, key: (await segmentsIn(copy)).at(-3) ?? "" })));
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function segmentsIn({ objects }: KeptCopy): Promise<string[]> {
    return (await objects.list()).filter((path) => /\/[0-9A-F]{24}-[0-9a-f]{32}$/.test(path)).toSorted();
  }

  async function without<T>(act: () => Promise<T>): Promise<T> {
    const aside = await Promise.all(missing.map(async ({ copy, key }) => ({ copy, key, bytes: await copy.objects.read(key) })));
    for (const { copy, key } of aside) await copy.objects.remove(key);
    try {
      return await act();
    } finally {
      for (const { copy, key, bytes } of aside) await copy.objects.put(key, bytes);
    }
  }

  test("is a gap in info, shortens the window, and is what exposure counts from", async () => {
    const before = await infoOf(site);
    expect(before.gaps).toEqual([]);
    expect(before.windows).toHaveLength(site.copies.length);
    await without(async () => {
      const { gaps, windows, exposure } = await infoOf(site);
      const [name = ""] = missing.map(({ key }) => key.slice(key.lastIndexOf("/") + 1, -33));
      const inEach = <T>(expected: (i: number) => T): T[] => site.copies.map((_, i) => expected(i));
      expect(gaps).toMatchObject(inEach((i) => ({ repository: site.copies[i]?.name, firstSegment: name, lastSegment: name })));
      expect(windows).toMatchObject(inEach((i) => ({ repository: site.copies[i]?.name, endLsn: gaps[i]?.startLsn })));
      for (const [i, window] of windows.entries()) expect(Date.parse(window.to ?? "")).toBeLessThan(Date.parse(before.windows[i]?.to ?? ""));
      expect(exposure).toHaveLength(site.copies.length);
      for (const { seconds } of exposure) expect(seconds).toBeGreaterThan(0);
    });
  });

  test("makes a drill to latest fail, and a restore refuse", async () => {
    await without(async () => {
      const drill = await site.run("drill", "--json");
      expect(drill.json()).toMatchObject({ verdict: "fail", fault: "backup" });
      expect(drill.exitCode).toBe(1);
      const restore = await site.run("restore", "--to", "latest", "--target", join(site.folder, "refused"));
      expect(restore).toMatchObject({ exitCode: 1 });
      expect(restore.stderr).toMatch(/gap in WAL/);
      expect((await site.run("verify", "--json")).json()).toMatchObject({ ok: false, damage: site.copies.map(() => ({ kind: "missing" })) });
    });
    expect((await site.run("drill", "--json")).json()).toMatchObject({ verdict: "pass" });
  });

  test("can be accepted: what is before it is restored, and said to be all", async () => {
    await without(async () => {
      const target = join(site.folder, "accepted");
      expect((await site.run("restore", "--to", "latest", "--accept-gap", "--target", target)).exitCode).toBe(0);
      await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
      expect(Number((await restored.sql("select count(*) as n from t"))[0]?.["n"])).toBeGreaterThan(0);
      expect(Number((await restored.sql("select count(*) as n from t where id = 1000000"))[0]?.["n"])).toBe(0);
    });
  });

  test("stops PostgreSQL through restore_command alone, where it would promote", async () => {
    const target = join(site.folder, "by-command");
    const restored = await restoredWithCommand(target, addressOfLast());
    await without(async () => {
      await expect(startOnFolder(restored, { binaries, settings: { hot_standby: "off" } })).rejects.toThrow(
        /WAL after it is there: a gap, not the end[\s\S]*could not restore file/,
      );
    });
  });

  test("does not stop it at the true end of the archive", async () => {
    const target = join(site.folder, "to-the-end");
    await using cluster = await startOnFolder(await restoredWithCommand(target, addressOfLast()), { binaries, leftRecovery: true });
    expect(Number((await cluster.sql("select count(*) as n from t where id = 1000000"))[0]?.["n"])).toBe(1);
  });

  test("an unreachable repository stops PostgreSQL too", async () => {
    const target = join(site.folder, "unreachable");
    const restored = await restoredWithCommand(target, ["--repository", `file://${site.folder}/nowhere`]);
    await expect(startOnFolder(restored, { binaries, settings: { hot_standby: "off" } })).rejects.toThrow(/there is no repository at[\s\S]*could not restore file/);
  });

  test("stops a restore whose server fetches its WAL on demand; with the segment it ends at the target, and no WAL was placed", async () => {
    // In a file: the server's environment is not ours.
    const key = join(site.folder, "server.key");
    await writeFile(key, site.key, { mode: 0o644 });
    const where = [...addressOfLast(), "--key", `file:${key}`, "--wal", "on-demand", "--to", "latest"];
    const [first, second] = [join(site.folder, "on-demand"), join(site.folder, "on-demand-gap")];
    for (const target of [first, second]) expect((await site.run("restore", "db", ...where, "--target", target)).exitCode).toBe(0);
    expect((await readdir(join(first, "holdfast-wal"))).filter((name) => /^[0-9A-F]{24}$/.test(name))).toEqual([]);
    const env = site.copies.at(-1)?.env ?? {};
    await using cluster = await startOnFolder(first, { binaries, leftRecovery: true, env });
    expect(await cluster.sql("select count(*)::text as n from t where id = 1000000")).toEqual([{ n: "1" }]);
    await without(async () => {
      await expect(startOnFolder(second, { binaries, env, settings: { hot_standby: "off" } })).rejects.toThrow(/could not restore file/);
    });
  });

  const addressOfLast = (): readonly string[] => site.copies.at(-1)?.address ?? [];

  /** A backup restored, and then left to fetch all its WAL by `wal get`, with nothing of ours running and no target but the end. */
  async function restoredWithCommand(target: string, address: readonly string[]): Promise<string> {
    expect((await site.run("restore", "--to", "immediate", "--target", target)).exitCode).toBe(0);
    await rm(join(target, "holdfast-wal"), { recursive: true });
    const file = join(target, "postgresql.auto.conf");
    const { uid, gid } = await stat(file);
    const main = new URL("../../scripts/holdfast.mjs", import.meta.url).pathname;
    const environment = Object.entries({ HOLDFAST_KEY: site.key, ...site.copies.at(-1)?.env }).map(([name, value]) => `${name}=${value}`);
    const command = `${environment.join(" ")} ${process.execPath} ${main} wal get db %f %p ${address.join(" ")}`;
    await writeFile(file, `restore_command = '${command}'\nrecovery_target_timeline = 'latest'\narchive_mode = off\n`);
    await chown(file, uid, gid);
    return target;
  }
});
