import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import type { BackUpResult } from "../../src/operations/backup/backup-types.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { restoreLatest } from "../support/backup-while.ts";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import type { Cluster } from "../support/running-cluster.ts";

/**
 * A database that is copied by files while a backup runs is copied anew by recovery, from what the backup has of its model. Where the model was written to meanwhile that is something else than the
 * source has: seen on a real cluster by the random workloads, and named in PostgreSQL's own documentation.
 */
const context: OperationContext = { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };

/** A full backup that does not come to its end before `act` has, which begins as soon as it copies. */
async function backUpAround(source: Cluster, repository: WritableRepository, act: () => Promise<unknown>): Promise<BackUpResult> {
  const acts: Promise<unknown>[] = [];
  let rate: number | null = null;
  const target = { name: "db", url: source.url(), dataDirectory: null, readRate: () => rate };
  const onProgress: OperationContext["onProgress"] = ({ phase }) => {
    if (phase !== "copy" || acts.length > 0) return;
    rate = 1;
    acts.push(act().finally(() => (rate = null)));
  };
  const result = await backUp({ source: target, type: "full", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 }, { ...context, onProgress });
  expect(acts.length).toBe(1);
  await Promise.all(acts);
  return result;
}

/** What followed a backup is in the repository with the next one. */
async function bringWal(source: Cluster, repository: WritableRepository): Promise<void> {
  const target = { name: "db", url: source.url(), dataDirectory: null };
  await backUp({ source: target, type: "incremental", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 }, context);
}

const errorOf = ({ copies }: BackUpResult): unknown => copies[0]?.error;
const ROWS = "select count(*) as n, sum(hashtext(t::text)) as sum from t";

describeEachPostgres("a database that is made while a backup runs", {}, (binaries) => {
  const byFiles = binaries.major >= 15 ? "strategy file_copy" : "";

  test("by a copy of files, from one that is written to afterwards, refuses the backup; the next one is right", async () => {
    await using source = await startCluster({ binaries });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await source.sql("create database model");
    await source.sql("create table t as select generate_series(1, 1000) as id", "model");
    const refused = await backUpAround(source, repository, async () => {
      await source.sql(`create database copied template model ${byFiles}`);
      await source.sql("insert into t select generate_series(1001, 9000)", "model");
    });
    expect(errorOf(refused)).toMatchObject({
      code: "HF-SOURCE-CHANGED",
      message: expect.stringMatching(/database \d+ was copied from database \d+, which was written to afterwards/) as unknown,
    });
    const sound = await backUpAround(source, repository, async () => source.sql("insert into t select generate_series(9001, 9100)", "model"));
    expect(errorOf(sound)).toBeNull();
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql(ROWS, "copied")).toEqual(await source.sql(ROWS, "copied"));
  });

  test("by a copy of files, from one that is left alone, stands in no way", async () => {
    await using source = await startCluster({ binaries });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    const made = await backUpAround(source, repository, async () => {
      await source.sql(`create database copied ${byFiles}`);
      await source.sql("create table t as select generate_series(1, 5000) as id", "copied");
    });
    expect(errorOf(made)).toBeNull();
    await bringWal(source, repository);
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql(ROWS, "copied")).toEqual(await source.sql(ROWS, "copied"));
  });

  test("by being moved to another tablespace refuses the backup", async () => {
    await using source = await startCluster({ binaries, tablespaces: 1 });
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    const [space] = await source.sql("select spcname as name from pg_tablespace where spcname not in ('pg_default', 'pg_global')");
    await source.sql("create database moved");
    const refused = await backUpAround(source, repository, async () => source.sql(`alter database moved set tablespace ${space?.["name"] ?? ""}`));
    expect(errorOf(refused)).toMatchObject({ code: "HF-SOURCE-CHANGED", message: expect.stringMatching(/database \d+ was moved/) as unknown });
  });
});

describeEachPostgres("a database that is made while a backup runs, by WAL", { atLeast: 15 }, (binaries) => {
  test("stands in no way, whatever is done to its model afterwards", async () => {
    await using source = await startCluster({ binaries });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await source.sql("create database model");
    await source.sql("create table t as select generate_series(1, 1000) as id", "model");
    const made = await backUpAround(source, repository, async () => {
      await source.sql("create database copied template model strategy wal_log");
      await source.sql("insert into t select generate_series(1001, 9000)", "model");
    });
    expect(errorOf(made)).toBeNull();
    await bringWal(source, repository);
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql(ROWS, "copied")).toEqual([{ n: "1000", sum: (await source.sql(ROWS, "copied"))[0]?.["sum"] }]);
  });
});
