import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openApp } from "../../src/app.ts";
import type { App } from "../../src/app.ts";
import { readLedger } from "../../src/catalog/verify-ledger.ts";
import { listRuns } from "../../src/catalog/runs.ts";
import { systemClock } from "../../src/clock.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import { chooseSource } from "../../src/operations/installation.ts";
import { scrub } from "../../src/operations/verify/scrub.ts";
import type { ScrubResult } from "../../src/operations/verify/scrub.ts";
import type { VerifyView } from "../../src/operations/verify/run-verify.ts";
import { startCluster } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openSite } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";
import type { Site } from "../support/site.ts";

const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
const PLACE = { source: "db", repository: "onsite" };

/** Verification piece by piece: a sample that can be drawn again, and a scrub that goes on where it was. */
describePostgres("what is verified piece by piece", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let site: Site;
  let app: App;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await startCluster({ binaries }));
    await source.sql("create table t as select g as id, md5(g::text) as filler from generate_series(1, 20000) g");
    site = stack.use(await openSite({ cluster: source }));
    for (const type of ["full", "incr"]) expect(await site.run("backup", "db", "--type", type)).toMatchObject({ exitCode: 0 });
    Object.assign(process.env, { SITE_KEY: site.key, SITE_URL: source.url() });
    app = await open();
    stack.defer(async () => app[Symbol.asyncDispose]());
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  const open = async (): Promise<App> => openApp({ config: site.inventory, clock: systemClock, onNotice: () => undefined });
  const slice = async (budget: { bytesPerSecond: number | null; share: number | null } | null, seconds = 60): Promise<readonly ScrubResult[]> =>
    (await scrub(app, { source: chooseSource(app.inventory, "db"), budget, seconds }, context)).results;
  const verified = (): string[] => readLedger(app.catalog, PLACE).flatMap(({ unit, kind, number, at }) => (at === null ? [] : [`${unit}/${kind}/${number}`]));

  test("new WAL is verified by itself, and nothing else is", async () => {
    await slice(null);
    const lines = readLedger(app.catalog, PLACE);
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.every(({ kind, at }) => (kind === "wal") === (at !== null))).toBe(true);
  });

  test("a sample is drawn again with its seed, and what it read is in the ledger", async () => {
    const sampled = async (seed: string): Promise<VerifyView> => {
      const outcome = await site.run("verify", "--sample", "30%", "--seed", seed, "--json");
      expect(outcome).toMatchObject({ exitCode: 0 });
      return outcome.json<VerifyView>();
    };
    const before = verified();
    const first = await sampled("one");
    const { sample } = first;
    expect(sample).toMatchObject({ percent: 30, seed: "one" });
    expect(sample?.drawn).toBe(Math.ceil(((sample?.of ?? 0) * 30) / 100));
    const after = verified();
    expect((await sampled("one")).sample).toEqual(sample);
    expect(verified()).toEqual(after);
    expect(after.length).toBeLessThanOrEqual(before.length + (sample?.drawn ?? 0));
    expect(await site.run("verify", "--sample", "0%")).toMatchObject({ exitCode: 2 });
    expect(await site.run("verify", "--seed", "one")).toMatchObject({ exitCode: 2 });
  });

  test("the scrub takes what was verified longest ago, as much as its budget allows, and goes on there", async () => {
    const lines = readLedger(app.catalog, PLACE);
    const never = lines.filter(({ at }) => at === null).length;
    expect(never).toBeGreaterThan(0);
    // One byte a second: one piece a slice, whatever its size.
    await slice({ bytesPerSecond: 1, share: null }, 0.5);
    expect(readLedger(app.catalog, PLACE).filter(({ at }) => at === null).length).toBe(never - 1);
    while (readLedger(app.catalog, PLACE).some(({ at }) => at === null)) await slice({ bytesPerSecond: 1, share: null }, 0.5);
    const oldest = readLedger(app.catalog, PLACE)
      .map(({ at }) => at ?? "")
      .toSorted()[0];
    await slice({ bytesPerSecond: null, share: 1 });
    expect(
      readLedger(app.catalog, PLACE)
        .map(({ at }) => at ?? "")
        .toSorted()[0],
    ).not.toBe(oldest);
    const info = await infoOf(site);
    expect(info.verification?.[0]).toMatchObject({ repository: "onsite", damagedObjects: 0, verifiedObjects: info.verification?.[0]?.objects });
    expect(info.verification?.[0]?.oldestVerifiedAt).not.toBeNull();
  });

  test("the ledger is on record: a catalog that was lost has it again", async () => {
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    const state = (): unknown => readLedger(app.catalog, PLACE).map(({ unit, kind, number, tier, ok, at }) => [unit, kind, number, tier, ok, at]);
    const before = state();
    expect(await site.run("catalog", "rebuild")).toMatchObject({ exitCode: 0 });
    await app[Symbol.asyncDispose]();
    app = await open();
    expect(state()).toEqual(before);
  });

  test("damage that the scrub finds is a failed run at once, and stays until it is gone", async () => {
    const backups = join(site.folder, "onsite/sources/db/backups");
    const full = (await readdir(backups)).find((name) => name.endsWith("-full")) ?? "";
    const victim = join(backups, full, "data/00000000");
    const bytes = await readFile(victim);
    const spoiled = Buffer.from(bytes);
    spoiled[1000] = (spoiled[1000] ?? 0) ^ 1;
    await rm(victim);
    await writeFile(victim, spoiled);
    const [result] = await slice({ bytesPerSecond: null, share: 1 });
    expect(result?.damage.map(({ object }) => object)).toEqual([`sources/db/backups/${full}/data/00000000`]);
    expect(listRuns(app.catalog, { source: "db", operation: "verify", outcome: "failed" })[0]).toMatchObject({ reason: "1 objects are damaged or missing" });
    const info = await infoOf(site);
    // The incremental was made from it.
    expect(info.backups.map(({ copies }) => copies[0]?.state)).toEqual(["damaged", "damaged"]);
    expect(info.verification?.[0]?.damagedObjects).toBe(1);
    await rm(victim);
    await writeFile(victim, bytes);
    await slice({ bytesPerSecond: null, share: 1 });
    expect((await infoOf(site)).verification?.[0]?.damagedObjects).toBe(0);
    // That what it hurts is whole again is said by a look at the whole.
    expect((await infoOf(site)).backups[1]?.copies[0]?.state).toBe("damaged");
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    expect((await infoOf(site)).backups.map(({ copies }) => copies[0]?.state)).toEqual(["complete", "complete"]);
  });
});
