import { readdir, rename, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openApp } from "../../src/app.ts";
import { systemClock } from "../../src/clock.ts";
import type { BackupView } from "../../src/domain/source-info.ts";
import { chooseSource } from "../../src/operations/installation.ts";
import { scrub } from "../../src/operations/verify/scrub.ts";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { infoOf, untilStreaming } from "../support/site-state.ts";

/** Every copy stands by itself: the other may burn down with everything that is in it. */
describePostgres("a backup that goes to two repositories, the log only to the first", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source, repositories: ["onsite", "offsite"], policy: POLICY }));
    await source.sql("create table t as select g as id, repeat(md5(g::text), 20) as filler from generate_series(1, 5000) g");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  const inOffsite = async (folder: string): Promise<string[]> => readdir(join(site.folder, "offsite/sources/db", folder), { recursive: true }).catch(() => []);
  const segments = async (): Promise<string[]> => (await inOffsite("wal")).filter((path) => /\/[0-9A-F]{24}-[0-9a-f]{32}$/.test(path));

  /** The log is streamed meanwhile, to the first only: what the second has of it, a backup has brought there. */
  async function whileStreaming<T>(act: () => Promise<T>): Promise<T> {
    const stream = site.start({}, "wal", "stream");
    await untilStreaming(site);
    const result = await act();
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    return result;
  }

  async function whileAway(repository: string, act: () => Promise<void>): Promise<void> {
    const [place, aside] = [join(site.folder, repository), join(site.folder, "aside")];
    await rename(place, aside);
    try {
      await act();
    } finally {
      await rename(aside, place);
    }
  }

  async function backUp(type: string): Promise<BackupView> {
    const outcome = await site.run("backup", "--type", type, "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    return outcome.json<BackupView>();
  }

  test("has its WAL in both before there is a manifest", async () => {
    const killed = await whileStreaming(() => site.runWith({ HOLDFAST_CRASH_AT: "backup.before-manifest:2" }, "backup"));
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    expect(await inOffsite("manifests")).toEqual([]);
    expect(await segments()).not.toEqual([]);
    // No backup came of it. With it there, nobody but the policy can tell that the log does not go to the second.
    await rm(join(site.folder, "offsite/sources/db/wal"), { recursive: true });
  });

  test("is verified in the first while the second is away, which is said", async () => {
    await whileStreaming(() => backUp("full"));
    await whileAway("offsite", async () => {
      const verified = await site.run("verify", "--tier", "decoded", "--json");
      expect(verified.exitCode, verified.stdout + verified.stderr).toBe(3);
      expect(verified.json()).toMatchObject({ ok: true, damage: [], repositories: ["onsite"], notReached: [{ repository: "offsite", code: "HF-STORAGE" }] });
    });
  });

  test.each([
    ["onsite", "offsite"],
    ["offsite", "onsite"],
  ])("is expired in the other while %s is away, which is said", async (away, other) => {
    await whileAway(away, async () => {
      const expired = await site.run("expire", "--json");
      expect(expired.exitCode, expired.stderr).toBe(3);
      expect(expired.json()).toMatchObject({ repositories: [{ repository: other, expired: [] }], notReached: [{ repository: away, code: "HF-STORAGE" }] });
      expect((await site.run("expire", "--dry-run")).stdout).toContain(`${away}: nothing was done: HF-STORAGE`);
    });
  });

  test("restores from the second with the first gone", async () => {
    await whileStreaming(() => backUp("full"));
    await whileAway("onsite", async () => {
      const target = join(site.folder, "restored");
      const outcome = await site.run("restore", "--repository", site.repository("offsite"), "--to", "latest", "--target", target);
      expect(outcome.exitCode, outcome.stderr).toBe(0);
      await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
      expect(await restored.sql("select count(*) as n from t")).toEqual([{ n: "5000" }]);
    });
  });

  test("has no gap in the second, which holds the WAL of each backup and nothing between; what one needs is missed there all the same", async () => {
    await whileStreaming(async () => {
      for (let i = 0; i < 3; i++) await source.sql(`insert into t select g, repeat(md5(g::text), 20) from generate_series(1, 3000) g; select pg_switch_wal()`);
      await backUp("full");
    });
    const numbers = [...new Set((await segments()).map((path) => Number.parseInt(path.slice(path.lastIndexOf("/") + 1).slice(16, 24), 16)))].toSorted((a, b) => a - b);
    expect(
      numbers.some((number, i) => i > 0 && number > (numbers[i - 1] ?? 0) + 1),
      "there is a hole",
    ).toBe(true);
    const verified = await site.run("verify", "--tier", "decoded", "--json");
    expect(verified.exitCode, verified.stdout + verified.stderr).toBe(0);
    expect((await site.run("verify", "--repository", site.repository("offsite"), "--tier", "decoded")).exitCode).toBe(0);
    expect((await infoOf(site)).gaps).toEqual([]);
    const own = join(site.folder, "offsite/sources/db/wal", (await segments()).at(-1) ?? "");
    await rename(own, join(site.folder, "own"));
    const damaged = await site.run("verify", "--from", "offsite", "--tier", "present", "--json");
    expect(damaged.exitCode).toBe(1);
    expect(damaged.json<{ damage: unknown[] }>().damage).toHaveLength(1);
    await rename(join(site.folder, "own"), own);
  });

  test("is scrubbed in the first while the second is away, which is said", async () => {
    Object.assign(process.env, { SITE_KEY: site.key, SITE_URL: source.url() });
    await using app = await openApp({ config: site.inventory, clock: systemClock, onNotice: () => undefined });
    const context = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
    await whileAway("offsite", async () => {
      const scrubbed = await scrub(app, { source: chooseSource(app.inventory, "db"), budget: { bytesPerSecond: null, share: 1 }, seconds: 60 }, context);
      expect(scrubbed).toMatchObject({ results: [{ repository: "onsite", damage: [] }], notReached: [{ repository: "offsite", code: "HF-STORAGE" }] });
      expect(scrubbed.results[0]?.pieces).toBeGreaterThan(0);
    });
  });

  test.each(["is missing", "is cut off"])("has no parent of which a pack %s in one of them: the one before is taken", async (how) => {
    const [before, parent] = [await backUp("full"), await backUp("full")];
    expect((await backUp("diff")).parentId).toBe(parent.id);
    const pack = join(site.folder, "offsite/sources/db/backups", parent.id, "data/00000000");
    await (how === "is missing" ? rm(pack) : truncate(pack, 1000));
    expect((await backUp("incr")).parentId).toBe(before.id);
    expect((await backUp("diff")).parentId).toBe(before.id);
  });
});

const RULE = "{ schedule: { every: 7d }, retention: { keepLast: 9 }, repositories: [onsite, offsite] }";
const POLICY = `backups:
  full: ${RULE}
  incremental: ${RULE}
  differential: ${RULE}
  log: { schedule: stream, retention: 24h, repositories: [onsite] }
`;
