import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import { CopyView } from "../../src/operations/copy-view.ts";
import { planRestore } from "../../src/operations/restore/plan-restore.ts";
import { restore } from "../../src/operations/restore/restore.ts";
import type { RestoreResult } from "../../src/operations/restore/restore.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";

describeEachPostgres("a tablespace that is made while a backup runs", {}, (binaries) => {
  test("is made again by WAL; never where a server of this machine has it", async () => {
    await using source = await startCluster({ binaries });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await source.sql("create table filler as select g as id, repeat(md5(g::text), 30) as text from generate_series(1, 100000) g");
    const location = join(scratch.path, "late");
    await mkdir(location);
    await giveToServerUser(location);
    const made = await backUpWhile(source, repository, async () => {
      await source.sql(`create tablespace late location '${location}'`);
      await source.sql("create table there (id int primary key using index tablespace late) tablespace late");
      await source.sql("insert into there select generate_series(1, 1000)");
    });
    expect(made.duringCopy).toBe(true);
    expect((await readdir(location)).length).toBe(1);

    await expect(restoreLatest(repository, join(scratch.path, "refused"), source)).rejects.toMatchObject({ code: "HF-TARGET-NOT-EMPTY", facts: { folder: location } });
    await expect(startOnFolder(join(scratch.path, "refused"), { binaries })).rejects.toThrow();

    await source.stop();
    await rename(location, `${location}-of-the-source`);
    await mkdir(location);
    await giveToServerUser(location);
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql("select count(*) as n, sum(id) as sum from there")).toEqual([{ n: "1000", sum: "500500" }]);
    expect(await restored.sql("select pg_tablespace_location(oid) as location from pg_tablespace where spcname = 'late'")).toEqual([{ location }]);
  });
});

describeEachPostgres("tablespaces in place", { atLeast: 15 }, (binaries) => {
  test("are restored, from the backup and from WAL", async () => {
    await using source = await startCluster({ binaries, settings: { allow_in_place_tablespaces: "on" } });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    const make = async (name: string): Promise<void> => {
      await source.sql(`create tablespace ${name} location ''`);
      await source.sql(`create table in_${name} (id int primary key using index tablespace ${name}) tablespace ${name}`);
      await source.sql(`insert into in_${name} select generate_series(1, 1000)`);
    };
    await make("early");
    await backUpWhile(source, repository, async () => make("late"));
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    for (const name of ["early", "late"]) expect(await restored.sql(`select count(*) as n, sum(id) as sum from in_${name}`)).toEqual([{ n: "1000", sum: "500500" }]);
  });
});

function contextFor(onProgress: OperationContext["onProgress"] = () => undefined): OperationContext {
  return { clock: systemClock, signal: new AbortController().signal, onProgress, onNotice: () => undefined };
}

/** Takes a full backup, and does something as soon as it began to copy. */
async function backUpWhile(source: Cluster, repository: WritableRepository, act: () => Promise<void>): Promise<{ duringCopy: boolean }> {
  const acts: Promise<void>[] = [];
  let [copying, ended] = [true, false];
  const context = contextFor(({ phase }) => {
    if (phase !== "copy" || acts.length > 0) return;
    acts.push(act().then(() => void (ended = copying)));
  });
  const target = { name: "db", url: source.url(), dataDirectory: null };
  const result = await backUp({ source: target, type: "full", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 }, context);
  copying = false;
  await Promise.all(acts);
  // What followed the backup must be in WAL that is there: a second one brings it.
  await backUp({ source: target, type: "incremental", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 }, contextFor());
  expect(result.copies[0]?.error).toBeNull();
  return { duringCopy: ended };
}

/** From the full backup, to the end of WAL. */
async function restoreLatest(repository: WritableRepository, target: string, source: Cluster): Promise<RestoreResult> {
  const view = await CopyView.open(repository, "db");
  if (view === null) throw new Error("nothing was backed up");
  const [full] = view.listing.backups;
  const plan = await planRestore(view, { target: { kind: "latest" }, backup: full?.manifest.id ?? null, timeline: "latest", exclusive: false, acceptGap: false });
  return restore({ plan, target, tablespaces: new Map(), owner: source.place.owner, action: "promote", socketDirectory: target, port: null }, contextFor());
}
