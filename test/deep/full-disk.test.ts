import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";

/** Disks that are really full: small filesystems in memory, which only root may mount. Everything that can be filled is: the repository, the state folder, the target of a restore, the scratch folder of a drill. */
const MOUNTABLE = canMount();
const FULL = /error\[HF-SPACE\]|HF-SPACE/;

describePostgres("a full disk", {}, (binaries) => {
  if (!MOUNTABLE) {
    test.skip(`${NOT_RUN}no filesystem can be mounted here (it takes root)`);
    return;
  }
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let disk: string;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    disk = await mkdtemp(join(tmpdir(), "hf-disk-"));
    stack.defer(async () => rm(disk, { recursive: true, force: true }));
    mount(disk, "size=48m");
    stack.defer(() => unmount(disk));
    site = stack.use(await openSite({ cluster: source, places: { onsite: `url: "file://${join(disk, "repository")}"` } }));
    await source.sql("create table t (id int primary key, text text)");
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  /** Fills the disk but for so many bytes, until disposed. */
  async function fill(leave: number): Promise<Disposable> {
    const { bavail, bsize } = statfsSync(disk);
    const filler = join(disk, "filler");
    await writeFile(filler, Buffer.alloc(Math.max(0, bavail * bsize - leave)));
    return { [Symbol.dispose]: () => rmSync(filler, { force: true }) };
  }

  function expectFull(outcome: Outcome): void {
    expect(outcome.stderr + outcome.stdout).toMatch(FULL);
    expect(outcome.exitCode, outcome.stderr).toBe(3);
    expect(outcome.stderr).not.toMatch(/^\s+at /m);
  }

  async function backups(): Promise<number> {
    const info = await site.run("info", "--json");
    return info.json<{ sources: { backups: unknown[] }[] }>().sources[0]?.backups.length ?? 0;
  }

  test("in the repository: the backup says so, is not there, and the next one is", async () => {
    for (const leave of [0, 300 << 10, 2 << 20]) {
      using filled = await fill(leave);
      expectFull(await site.run("backup", "--json"));
      void filled;
    }
    expect(await backups()).toBe(0);
    const next = await site.run("backup", "--json");
    expect(next.exitCode, next.stderr).toBe(0);
    expect(await backups()).toBe(1);
    const verified = await site.run("verify", "--json");
    expect(verified.exitCode, verified.stdout).toBe(0);
  });

  test("in the repository: the stream goes on by itself when there is space again, and no WAL is lost", async () => {
    const stream = site.start({}, "wal", "stream");
    await source.sql("insert into t select g, 'before' from generate_series(1, 100) g");
    await reaches(await position());
    {
      using filled = await fill(100 << 10);
      await source.sql("insert into t select g, repeat(md5(g::text), 10) from generate_series(101, 6000) g");
      await source.sql("select pg_switch_wal()");
      await delay(3000);
      expect(stream.output()).toMatch(/no space left/);
      expect(stream.process.exitCode, stream.output()).toBeNull();
      void filled;
    }
    await source.sql("insert into t select g, 'after' from generate_series(6001, 6100) g");
    await reaches(await position());
    stream.process.kill("SIGTERM");
    expect((await stream.ended()).exitCode, stream.output()).toBe(0);
    expect((await site.run("wal", "status", "--json")).stdout).toContain('"gaps": []');
    const verified = await site.run("verify", "--json");
    expect(verified.exitCode, verified.stdout).toBe(0);
  });

  async function position(): Promise<string> {
    return String((await source.sql("select pg_current_wal_flush_lsn()::text as lsn"))[0]?.["lsn"]);
  }

  /** Waits until the repository has WAL up to there. */
  async function reaches(wanted: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const status = await site.run("wal", "status", "--json");
      const end = /"endLsn": "([^"]+)"/.exec(status.stdout)?.[1];
      if (end !== undefined && lsnOf(end) >= lsnOf(wanted)) return;
      if (attempt > 60) throw new Error(`WAL does not reach ${wanted}: ${status.stdout} ${status.stderr}`);
      await delay(500);
    }
  }

  test("in the state folder: the backup says so, and the next one is fine", async () => {
    const state = join(site.folder, "state");
    const before = await backups();
    const copy = join(site.folder, "state-copy");
    cpSync(state, copy, { recursive: true });
    mount(state, "size=3m");
    try {
      cpSync(copy, state, { recursive: true });
      const { bavail, bsize } = statfsSync(state);
      await writeFile(join(state, "filler"), Buffer.alloc(bavail * bsize));
      expectFull(await site.run("backup", "--json"));
      rmSync(join(state, "filler"));
      const next = await site.run("backup", "--json");
      expect(next.exitCode, next.stderr).toBe(0);
      expect(await backups()).toBe(before + 1);
    } finally {
      rmSync(copy, { recursive: true });
      cpSync(state, copy, { recursive: true });
      unmount(state);
      cpSync(copy, state, { recursive: true, force: true });
    }
  });

  test("in the target of a restore, before it and in the middle of it: nothing that could be started, and the next one is fine", async () => {
    const parent = join(site.folder, "targets");
    const target = join(parent, "db");
    for (const options of ["size=20m", "size=200m,nr_inodes=300"]) {
      mkdirSync(parent);
      mount(parent, `${options},mode=755`);
      try {
        expectFull(await site.run("restore", "db", "--to", "latest", "--target", target));
        expect(existsSync(join(target, "global/pg_control"))).toBe(false);
        execFileSync("/bin/mount", ["-o", "remount,size=200m,nr_inodes=20000", parent]);
        const next = await site.run("restore", "db", "--to", "latest", "--target", target);
        expect(next.exitCode, next.stderr).toBe(0);
      } finally {
        unmount(parent);
        rmSync(parent, { recursive: true });
      }
    }
  });

  test("in the scratch folder of a drill: inconclusive, nothing is left, and the next drill passes", async () => {
    const scratch = join(site.folder, "scratch");
    await mkdir(scratch, { recursive: true });
    mount(scratch, "size=300m,nr_inodes=300,mode=755");
    try {
      const drill = await site.run("drill", "db", "--json");
      expect(drill.exitCode, drill.stdout + drill.stderr).toBe(3);
      expect(drill.json<{ verdict: string; fault: string }>()).toMatchObject({ verdict: "inconclusive", fault: "environment" });
      expect(readdirSync(scratch)).toEqual([]);
      execFileSync("/bin/mount", ["-o", "remount,nr_inodes=20000", scratch]);
      const next = await site.run("drill", "db", "--json");
      expect(next.exitCode, next.stdout + next.stderr).toBe(0);
    } finally {
      unmount(scratch);
    }
  });
});

function lsnOf(text: string): bigint {
  const [high, low] = text.split("/");
  return (BigInt(`0x${high ?? "0"}`) << 32n) + BigInt(`0x${low ?? "0"}`);
}

function mount(folder: string, options: string): void {
  execFileSync("/bin/mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
}

function unmount(folder: string): void {
  execFileSync("/bin/umount", ["-l", folder]);
}

/** Containers are often root and may not mount all the same: so it is tried. */
function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const folder = join(tmpdir(), `hf-mount-${process.pid}`);
  mkdirSync(folder);
  try {
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], { stdio: "ignore" });
    unmount(folder);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
