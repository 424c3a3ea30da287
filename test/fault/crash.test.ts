import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CRASH_POINTS } from "../../src/crash-points.ts";
import type { CrashPoint } from "../../src/crash-points.ts";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import { keepingAskedFor } from "../support/kept-copies.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { infoOf, untilDurable, untilStreaming } from "../support/site-state.ts";

/** The process is killed as hard as a power cut at every named place. Nothing half may be visible, nothing lost, and the next run must work without a hand. */
const hit = new Set<CrashPoint>();

describePostgres("killed in the middle", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let rows = 0;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    // Small segments: what is switched and restored again and again is then small too.
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source, policy: SHORT_POLICY, keeping: keepingAskedFor() }));
    await source.sql("create table t (id int primary key, filler text)");
    await write();
    expect((await site.run("backup")).exitCode).toBe(0);
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function write(): Promise<void> {
    await source.sql(`insert into t select g, repeat(md5(g::text), 20) from generate_series(${rows + 1}, ${rows + 500}) g`);
    rows += 500;
  }

  /** Runs a command that is killed at a point, and notes that the point was hit. */
  async function killed(point: CrashPoint, ...args: string[]): Promise<Outcome> {
    const outcome = await site.runWith({ HOLDFAST_CRASH_AT: point }, ...args);
    expect(outcome.signal, `${point} was not hit by ${args.join(" ")}: ${outcome.stdout}${outcome.stderr}`).toBe("SIGKILL");
    hit.add(point);
    return outcome;
  }

  /** Every folder of objects belongs to a backup, in each copy. */
  async function expectNothingLeft(): Promise<void> {
    // Asked of each by itself: one that was killed between two copies is whole in the first, and never was in the second.
    for (const { name, address, objects } of site.copies) {
      const visible = (await infoOf(site, {}, ...address)).backups.map(({ id }) => id).toSorted();
      expect(await objects.folders("sources/db/backups"), name).toEqual(visible);
    }
  }

  /** The newest state restores and is what the source is. */
  async function expectRecoverable(): Promise<void> {
    const target = join(site.folder, `t${Math.round(performance.now())}`);
    await streamToNow();
    const outcome = await site.run("restore", "--to", "latest", "--target", target);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await digestDatabases(restored.url())).toEqual(await digestDatabases(source.url()));
  }

  async function streamToNow(): Promise<void> {
    const stream = site.start({}, "wal", "stream");
    await untilStreaming(site);
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect((await stream.ended()).exitCode).toBe(0);
  }

  test.each(CRASH_POINTS.filter((point) => point.startsWith("backup.")))("a backup killed at %s leaves no half backup, and the next works", async (point) => {
    const before = (await infoOf(site)).backups.map(({ id }) => id);
    await write();
    await killed(point, "backup", "--type", "incr");
    const after = (await infoOf(site)).backups.map(({ id }) => id);
    // Only after its manifest a backup exists, and then it is whole.
    expect(after).toHaveLength(before.length + (point === "backup.after-manifest" ? 1 : 0));
    const next = await site.run("backup", "--type", "incr", "--json");
    expect(next.exitCode, next.stderr).toBe(0);
    expect((await infoOf(site)).backups).toHaveLength(after.length + 1);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    // What the dead run left is cleared away.
    await expectNothingLeft();
  });

  test.each(CRASH_POINTS.filter((point) => point.startsWith("wal.")))("a WAL stream killed at %s loses nothing", async (point) => {
    const stream = site.start({ HOLDFAST_CRASH_AT: point }, "wal", "stream");
    const died = stream.ended();
    const isAlive = (): boolean => stream.process.exitCode === null && stream.process.signalCode === null;
    for (let i = 0; i < 100 && isAlive(); i++) {
      await write();
      await source.sql("select pg_switch_wal()");
      await write();
      await new Promise((resolve) => {
        setTimeout(resolve, 300);
      });
    }
    expect((await died).signal, stream.output()).toBe("SIGKILL");
    hit.add(point);
    await expectRecoverable();
    expect((await infoOf(site)).gaps).toEqual([]);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test.each(CRASH_POINTS.filter((point) => point.startsWith("restore.")))("a restore killed at %s cannot be started until it is done again", async (point) => {
    await streamToNow();
    const target = join(site.folder, `killed-${point}`);
    await killed(point, "restore", "--to", "latest", "--target", target);
    if (point !== "restore.before-done") {
      await expect(startOnFolder(target, { binaries })).rejects.toThrow();
      const again = await site.run("restore", "--to", "latest", "--target", target);
      expect(again.exitCode, again.stderr).toBe(0);
    }
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await digestDatabases(restored.url())).toEqual(await digestDatabases(source.url()));
  });

  test.each(CRASH_POINTS.filter((point) => point.startsWith("expire.")))("an expiry killed at %s is finished by the next", async (point) => {
    expect((await site.run("backup", "--type", "full")).exitCode).toBe(0);
    expect((await site.run("backup", "--type", "full")).exitCode).toBe(0);
    await killed(point, "expire");
    const visible = (await infoOf(site)).backups.map(({ id }) => id);
    expect((await site.run("expire")).exitCode).toBe(0);
    expect((await infoOf(site)).backups.length).toBeLessThanOrEqual(visible.length);
    await expectNothingLeft();
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    await expectRecoverable();
  });

  test.each(CRASH_POINTS.filter((point) => point.startsWith("rotate.")))("a rotation killed at %s has happened or has not, and the next one works", async (point) => {
    const before = await newestKey();
    await killed(point, "key", "rotate", "onsite");
    expect((await newestKey()) === before).toBe(point === "rotate.before-commit");
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    expect(await site.run("key", "rotate", "onsite")).toMatchObject({ exitCode: 0 });
    expect((await site.run("backup", "--type", "full")).exitCode).toBe(0);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    await expectRecoverable();
  });

  async function newestKey(): Promise<string> {
    return (await site.run("key", "list", "onsite", "--json")).json<{ keyId: string }>().keyId;
  }

  test("a run that was killed is on record as interrupted", async () => {
    expect((await site.run("status", "--json")).json<{ sources: unknown[] }>().sources).toHaveLength(1);
    const { DatabaseSync } = await import("node:sqlite");
    using database = new DatabaseSync(join(site.folder, "state/catalog.sqlite"), { readOnly: true });
    const interrupted = database.prepare("select count(*) as n from runs where outcome = 'interrupted'").get() as { n: number };
    expect(interrupted.n).toBeGreaterThan(5);
  });

  test("every crash point was hit; those of copying, in test/deep/copy-command.test.ts", () => {
    expect([...hit].toSorted()).toEqual(CRASH_POINTS.filter((point) => !/^(?:copy|recover)\./.test(point)).toSorted());
  });
});

const SHORT_POLICY = `backups:
  full: { schedule: { every: 7d }, retention: { keepLast: 1 }, repositories: [onsite] }
  incremental: { schedule: { every: 1d }, retention: { keepLast: 1 }, repositories: [onsite] }
  log: { schedule: stream, retention: 1s, repositories: [onsite] }
`;
