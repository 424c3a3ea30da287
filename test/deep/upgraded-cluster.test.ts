import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { BackupView, SourceInfo } from "../../src/domain/source-info.ts";
import { must } from "../../src/errors.ts";
import { giveToServerUser, startCluster } from "../support/cluster.ts";
import { requirePostgres } from "../support/postgres-binaries.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { asUser } from "../support/server-user.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { infoOf, untilDurable, untilStreaming } from "../support/site-state.ts";

const at = (site: Site, cluster: Cluster, ...args: string[]): Promise<Outcome> => site.runWith({ SITE_URL: cluster.url() }, ...args);
const countOf = async (cluster: Cluster): Promise<string> => (await cluster.sql("select count(*)::text as n from t"))[0]?.["n"] ?? "";
const identifierOf = async (cluster: Cluster): Promise<string> =>
  must((await cluster.sql("select system_identifier::text as id from pg_control_system()"))[0]?.["id"], "an identifier");
const nowOf = async (cluster: Cluster): Promise<string> =>
  must((await cluster.sql(`select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`))[0]?.["now"], "a time");

describePostgres("a source whose cluster was made anew", {}, (binaries) => {
  test("is bound to the new one by name: both are restored, verified, and expire, each by itself", async () => {
    await using old = await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] });
    await using site = await openSite({ cluster: old, repositories: ["onsite", "cloud"] });
    await old.sql("create table t as select g from generate_series(1, 1000) g");
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    const stream = site.start({}, "wal", "stream");
    await untilStreaming(site);
    await old.sql("insert into t select g from generate_series(1, 20000) g");
    const oldTime = await nowOf(old);
    await old.sql("insert into t select g from generate_series(1, 7) g");
    await old.sql("select pg_switch_wal()");
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    const oldId = await identifierOf(old);

    await using young = await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] });
    await young.sql("create table t as select g from generate_series(1, 5) g");
    const youngId = await identifierOf(young);
    // Nothing becomes the source by being behind its address, and nothing is said of exposure by another's clock.
    const refused = await at(site, young, "backup");
    expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(new RegExp(`HF-OTHER-CLUSTER.*--cluster ${youngId}`, "s")) as string });
    expect((await infoOf(site, { SITE_URL: young.url() })).exposure.map(({ seconds }) => seconds)).toEqual([null, null]);
    expect(await at(site, young, "source", "reattach")).toMatchObject({ exitCode: 4 });
    expect(await at(site, young, "source", "reattach", "--cluster", oldId)).toMatchObject({ exitCode: 4 });

    const done = await at(site, young, "source", "reattach", "--cluster", youngId, "--json");
    expect(done.exitCode, done.stderr).toBe(0);
    expect(done.json<unknown>()).toMatchObject({ systemIdentifier: youngId, formerSystemIdentifier: oldId, timeline: 1, backup: { type: "full", state: "complete" } });
    await young.sql("insert into t select g from generate_series(1, 10) g");
    const incremental = await at(site, young, "backup", "--type", "incr", "--json");
    expect(incremental.json<BackupView>(), incremental.stderr).toMatchObject({ type: "incremental" });

    const info = await infoOf(site, { SITE_URL: young.url() });
    expect(info).toMatchObject({ systemIdentifier: youngId, timeline: 1, formerClusters: [{ systemIdentifier: oldId }], gaps: [] });
    expect(info.backups.map(({ type }) => type)).toEqual(["full", "full", "incremental"]);
    expect(new Set(info.windows.map(({ systemIdentifier }) => systemIdentifier))).toEqual(new Set([undefined, oldId]));
    expect(info.exposure.every(({ seconds }) => seconds !== null)).toBe(true);

    for (const name of ["onsite", "cloud"]) {
      await using latest = await restoreAndStart(site, young, "--to", "latest", "--from", name);
      expect(await countOf(latest)).toBe("15");
      await using former = await restoreAndStart(site, old, "--to", "latest", "--cluster", oldId, "--from", name);
      expect(await countOf(former)).toBe("21007");
    }
    // A time leads to the cluster of that time; a backup to the cluster that it is of.
    await using then = await restoreAndStart(site, old, "--to", oldTime);
    expect(await countOf(then)).toBe("21000");
    await using ofBackup = await restoreAndStart(site, old, "--to", "immediate", "--backup", must(info.backups[0], "a backup").id);
    expect(await identifierOf(ofBackup)).toBe(oldId);
    // In a file: the server's environment is not ours.
    const key = join(site.folder, "server.key");
    await writeFile(key, site.key, { mode: 0o644 });
    await giveToServerUser(join(site.folder, "onsite"));
    const where = ["--repository", `file://${site.folder}/onsite`, "--key", `file:${key}`];
    await using fetched = await restoreAndStart(site, old, ...where, "--to", "latest", "--cluster", oldId, "--wal", "on-demand");
    expect(await countOf(fetched)).toBe("21007");

    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    expect(await at(site, young, "drill")).toMatchObject({ exitCode: 0 });
    // The server that was left is another cluster now.
    for (const args of [["backup"], ["wal", "stream"]])
      expect(await at(site, old, ...args)).toMatchObject({ exitCode: 4, stderr: expect.stringContaining("HF-OTHER-CLUSTER") as string });

    // Damage in what the former one wrote is found, and named by the backup that it hurts.
    const first = must(info.backups[0], "a backup").id;
    await appendFile(join(site.folder, "onsite/sources/db/backups", first, "data/00000000"), "x");
    expect(await site.run("verify")).toMatchObject({ exitCode: 1, stdout: expect.stringContaining(first) as string });
    // Back to the one before: it goes on where it was.
    const back = await at(site, old, "source", "reattach", "--cluster", oldId, "--json");
    expect(back.exitCode, back.stderr).toBe(0);
    expect(back.json<unknown>()).toMatchObject({ formerSystemIdentifier: youngId });
    await using again = await restoreAndStart(site, old, "--to", "latest");
    expect(await countOf(again)).toBe("21007");
    await using youngAgain = await restoreAndStart(site, young, "--to", "latest", "--cluster", youngId);
    expect(await countOf(youngAgain)).toBe("15");
  });
});

test("pg_upgrade: the source keeps its name, its chain and its past", async ({ skip }) => {
  const [before, after] = [await requirePostgres(15), await requirePostgres(17).catch(() => null)];
  if (after === null || !existsSync(join(after.directory, "pg_upgrade"))) return skip("needs PostgreSQL 15 and 17, with pg_upgrade");
  await using old = await startCluster({ binaries: before });
  await using site = await openSite({ cluster: old });
  await old.sql("create table t as select g from generate_series(1, 1000) g");
  expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
  await old.sql("insert into t select g from generate_series(1, 500) g");
  expect(await site.run("backup", "--type", "incr")).toMatchObject({ exitCode: 0 });
  const oldId = await identifierOf(old);
  await using young = await startCluster({ binaries: after });
  await Promise.all([old.stop(), young.stop()]);
  await using scratch = await openScratchFolder(young.place.owner);
  await promisify(execFile)(
    join(after.directory, "pg_upgrade"),
    [
      "-b",
      before.directory,
      "-B",
      after.directory,
      "-d",
      old.dataDirectory,
      "-D",
      young.dataDirectory,
      "-U",
      "postgres",
      "-p",
      String(old.port),
      "-P",
      String(young.port),
      "-s",
      scratch.path,
    ],
    { cwd: scratch.path, ...asUser(young.place.owner) },
  );
  await young.start();
  const youngId = await identifierOf(young);
  const done = await at(site, young, "source", "reattach", "--cluster", youngId, "--json");
  expect(done.exitCode, done.stderr).toBe(0);
  await young.sql("insert into t select g from generate_series(1, 20) g");
  expect(await at(site, young, "backup", "--type", "incr")).toMatchObject({ exitCode: 0 });
  await using latest = await restoreAndStart(site, young, "--to", "latest");
  expect(await countOf(latest)).toBe("1520");
  await using former = await restoreAndStart(site, old, "--to", "latest", "--cluster", oldId);
  expect(await countOf(former)).toBe("1500");
  expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  const info: SourceInfo = await infoOf(site, { SITE_URL: young.url() });
  expect(info.backups).toHaveLength(4);
});
