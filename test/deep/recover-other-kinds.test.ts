import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RECOVERY_STEPS } from "../../src/domain/recovery-steps.ts";
import { startCluster } from "../support/cluster.ts";
import { openDumpSite } from "../support/dump-site.ts";
import { stopLeft } from "../support/pg-ctl.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSession } from "../support/session.ts";
import type { Outcome, Site } from "../support/site.ts";
import { expectAlike, openPlantedSite, pictureOf } from "../support/tree-site.ts";
import type { TreeSite } from "../support/tree-site.ts";

interface Recovered {
  readonly outcome: string;
  readonly failedStep: string | null;
  readonly target: string | null;
  readonly into: string | null;
  readonly steps: readonly { readonly step: string; readonly outcome: string; readonly detail: string }[];
}

const ALL_DONE = RECOVERY_STEPS.map((step) => `${step} done`);

/** What the last try of each step came to. */
function stepsOf(outcome: Outcome): string[] {
  const last = new Map(outcome.json<Recovered>().steps.map((record) => [record.step, record.outcome]));
  return [...last].map(([step, how]) => `${step} ${how}`);
}

async function killAt(site: Site, point: string, env: Readonly<Record<string, string>>, ...args: string[]): Promise<void> {
  const killed = await site.runWith({ ...env, HOLDFAST_CRASH_AT: point }, "recover", ...args);
  expect(killed.signal, `${point}: ${killed.stdout}${killed.stderr}`).toBe("SIGKILL");
}

describe("a recovery of a tree of files", () => {
  let place: TreeSite;

  beforeAll(async () => {
    place = await openPlantedSite();
    // What is half restored is cleared away name by name: this one is no text.
    await writeFile(Buffer.concat([Buffer.from(`${place.tree}/no-text`), Buffer.from([0xff])]), "bytes");
    await place.backUp("full");
  });

  afterAll(async () => place[Symbol.asyncDispose]());

  test("is refused, before anything is on record, over what is there, to what only WAL leads to, and with what a tree does not have", async () => {
    const { site } = place;
    const mine = join(site.folder, "mine");
    await mkdir(mine);
    await writeFile(join(mine, "letter"), "mine");
    const to = join(site.folder, "elsewhere");
    expect(await site.run("recover", "uploads", "--target", mine, "--yes")).toMatchObject({ exitCode: 4 });
    expect(await readdir(mine)).toEqual(["letter"]);
    for (const args of [["--target", to, "--to", "lsn:0/1000000"], ["--target", to, "--port", "5433"], ["--target", to, "--owner", "nobody"], ["--into", "env:SITE_URL"], []])
      expect(await site.run("recover", "uploads", "--yes", ...args), args.join(" ")).toMatchObject({ exitCode: 2 });
    await expect(stat(to)).rejects.toThrow("ENOENT");
    expect(await site.run("recover", "uploads", "--resume", "--yes")).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("not finished") as string });
  });

  test("asks before it writes, goes on where it was killed, wherever that is, and ends with the tree as it was", async () => {
    const { site, tree } = place;
    const target = join(site.folder, "recovered");
    const asked = await site.run("recover", "uploads", "--to", "latest", "--target", target);
    expect(asked, asked.stderr).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(/the step 'restore' \(restore\) wants to be confirmed/) as string });
    await expect(stat(target)).rejects.toThrow("ENOENT");
    // What came meanwhile changes nothing of what was chosen.
    const before = await pictureOf(tree);
    await writeFile(join(tree, "a/one.txt"), "written since");
    await place.backUp("incr");

    const resume = ["uploads", "--resume", "--yes"];
    // With nothing in it, half of it, all of it and the mark; then without the mark, and not on record.
    for (const point of ["restore.begun", "restore.copying", "restore.before-done", "recover.before-record:1"]) await killAt(site, point, {}, ...resume);
    expect(await readdir(target)).toContain("many");
    // Somebody put something there meanwhile: it is not ours to take away.
    await writeFile(join(target, "a/stranger"), "mine");
    const refused = await site.run("recover", ...resume, "--json");
    expect(refused, refused.stdout).toMatchObject({ exitCode: 4 });
    expect(await readFile(join(target, "a/stranger"), "utf8")).toBe("mine");
    await rm(join(target, "a/stranger"));
    // Back to when the folder was last changed: what is in it is compared, times too.
    await promisify(execFile)("touch", ["-r", join(tree, "a"), join(target, "a")]);
    for (const point of ["recover.before-record:1", "recover.before-record:2", "recover.before-record:2"]) await killAt(site, point, {}, ...resume);

    const done = await site.run("recover", ...resume, "--json");
    expect(done.exitCode, done.stdout + done.stderr).toBe(0);
    expect(done.json()).toMatchObject({ outcome: "recovered", target, into: null });
    expect(stepsOf(done)).toEqual(ALL_DONE);
    const details = new Map(done.json<Recovered>().steps.map(({ step, detail }) => [step, detail]));
    expect(details.get("restore")).toBe("was restored before");
    expect(details.get("apply-logs")).toMatch(/^nothing to apply/);
    expect(await site.run("recover", "uploads", "--resume", "--yes")).toMatchObject({ exitCode: 2 });
    expect(await readFile(join(target, "a/one.txt"), "utf8")).toBe("hello");
    await expectAlike(before, target);
  });

  test("fails at what the policy's program says no to, and goes on when it says yes", async () => {
    const { site, tree } = place;
    await writeFile(join(tree, "a/one.txt"), "");
    await place.backUp("incr");
    const target = join(site.folder, "empty-one");
    const failed = await site.run("recover", "uploads", "--target", target, "--yes", "--json");
    expect(failed, failed.stdout).toMatchObject({ exitCode: 1 });
    expect(failed.json()).toMatchObject({ outcome: "failed", failedStep: "connectivity" });
    await expectAlike(await pictureOf(target), tree);
    await writeFile(join(target, "a/one.txt"), "repaired");
    const done = await site.run("recover", "uploads", "--resume", "--yes", "--json");
    expect(done.exitCode, done.stdout).toBe(0);
    expect(stepsOf(done)).toEqual(ALL_DONE);
  });
});

const PORT = 54_398;

describePostgres("a recovery of dumps", { clientTools: ["pg_dump", "psql"] }, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    ({ source, site } = await openDumpSite(stack, binaries, { ordersExpected: "equals: 5000" }));
    await source.sql("create table things as select g as id from generate_series(1, 10) g", "odd 'name");
    await source.sql("create table here as select 1 as id", "postgres");
    const made = await site.run("backup", "shop", "--json");
    expect(made.exitCode, made.stderr).toBe(0);
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  test("into a folder goes on where it was killed, and ends with a server that works, has the rows of then, and lets its owner in", async () => {
    const target = join(site.folder, "recovered");
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => stopLeft(binaries, target));
    expect(await site.run("recover", "shop", "--target", source.dataDirectory, "--yes")).toMatchObject({ exitCode: 4 });
    expect(await site.run("recover", "shop", "--target", target, "--port", "none", "--yes")).toMatchObject({ exitCode: 2 });
    const asked = await site.run("recover", "shop", "--target", target, "--port", String(PORT));
    expect(asked, asked.stderr).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("wants to be confirmed") as string });
    // Claimed; a server of ours left on it, half loaded; all made, in the folder within; all moved, but for the mark; done, and not on record; the server runs, and that is not on record.
    for (const point of ["restore.begun", "restore.copying:2", "restore.before-control-file", "restore.before-done:4", "recover.before-record:1", "recover.before-record:2"])
      await killAt(site, point, {}, "shop", "--resume", "--yes");
    const done = await site.run("recover", "shop", "--resume", "--yes", "--json");
    expect(done.exitCode, done.stdout + done.stderr).toBe(0);
    expect(done.json()).toMatchObject({ outcome: "recovered", target, into: null });
    expect(stepsOf(done)).toEqual(ALL_DONE);
    const directory = /^unix_socket_directories = '(.*)'$/m.exec(await readFile(join(target, "postgresql.conf"), "utf8"))?.[1] ?? "";
    await using session = await openSession(`postgres://postgres@/shop?host=${encodeURIComponent(directory)}&port=${PORT}`);
    expect(await session.rows("select count(*)::text as n, pg_get_userbyid((select datdba from pg_database where datname = 'shop')) as owner from orders")).toEqual([
      { n: "5000", owner: "clerk" },
    ]);
    const names = await readdir(target);
    expect(names.filter((name) => name.startsWith("holdfast"))).toEqual(["holdfast-start.log"]);
  });

  test("into a server goes on where it was killed: what is whole is kept, what is half is set aside, and what is somebody else's is never touched", async () => {
    await using other = await startCluster({ binaries });
    const env = { OTHER_URL: other.url() };
    const databases = async (): Promise<string[]> => (await other.sql("select datname from pg_database where not datistemplate order by 1")).map((row) => row["datname"] ?? "");
    const args = ["shop", "--into", "env:OTHER_URL", "--yes"];
    await other.sql("create database shop");
    expect(await site.runWith(env, "recover", ...args)).toMatchObject({ exitCode: 4 });
    expect(await databases()).toEqual(["postgres", "shop"]);
    await other.sql("drop database shop");

    // In the first, in the second, in the third; and at its end.
    const resume = ["shop", "--resume", "--yes"];
    for (const point of ["restore.copying:1", "restore.before-done:1", "restore.copying:2", "restore.before-done:2"]) await killAt(site, point, env, ...resume);
    await using elsewhere = await startCluster({ binaries });
    const moved = await site.runWith({ OTHER_URL: elsewhere.url() }, "recover", ...resume);
    expect(moved, moved.stderr).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("loads into the server") as string });
    await killAt(site, "recover.before-record:1", env, ...resume);
    const done = await site.runWith(env, "recover", ...resume, "--json");
    expect(done.exitCode, done.stdout + done.stderr).toBe(0);
    expect(done.json()).toMatchObject({ outcome: "recovered", target: null, into: "env:OTHER_URL" });
    expect(stepsOf(done)).toEqual(ALL_DONE);
    expect(await other.sql("select count(*) as n from orders", "shop")).toEqual([{ n: "5000" }]);
    expect(await other.sql("select count(*) as n from here", "postgres")).toEqual([{ n: "1" }]);
    expect((await databases()).filter((name) => !name.includes(" unfinished "))).toEqual(["odd 'name", "postgres", "shop"]);
    expect((await databases()).filter((name) => name.includes(" unfinished ")).length).toBeGreaterThan(0);
    expect((await readdir(join(site.folder, "state"))).filter((name) => name.startsWith("recovery-"))).toEqual([]);
  });
});
