import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { backUpWhile, restoreLatest } from "../support/backup-while.ts";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";

describeEachPostgres("a prepared transaction", {}, (binaries) => {
  test("survives, whether it was prepared before the backup, or while it ran and then written to a file", async () => {
    await using source = await startCluster({ binaries });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await source.sql("create table filler as select g as id, repeat(md5(g::text), 30) as text from generate_series(1, 100000) g");
    await source.sql("create table t (id int primary key)");
    const [before, between] = [1, 2];
    await prepare(source, before);
    const made = await backUpWhile(source, repository, async () => {
      await source.sql("select pg_current_xact_id()"); // the very next transaction would be recognised, others after it are not
      await prepare(source, between);
      await source.sql("checkpoint");
    });
    expect(made.duringCopy).toBe(true);
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql("select gid from pg_prepared_xacts order by gid")).toEqual([{ gid: "1" }, { gid: "2" }]);
    for (const id of [before, between]) await restored.sql(`commit prepared '${id}'`);
    expect(await restored.sql("select id from t order by id")).toEqual([{ id: "1" }, { id: "2" }]);
  });

  test("survives a promotion in the segment that it was prepared in", async () => {
    await using source = await startCluster({ binaries });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await source.sql("create table t (id int primary key)");
    await backUpWhile(source, repository, async () => undefined);
    await prepare(source, 1);
    await source.stop();
    await writeFile(join(source.dataDirectory, "standby.signal"), "");
    await source.start();
    await source.promote();
    await backUpWhile(source, repository, async () => undefined);
    const target = join(scratch.path, "restored");
    expect(await restoreLatest(repository, target, source)).toMatchObject({ timeline: 2 });
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    await restored.sql("commit prepared '1'");
    expect(await restored.sql("select id from t")).toEqual([{ id: "1" }]);
  });
});

async function prepare(source: Cluster, id: number): Promise<void> {
  await using session = await source.connect();
  await session.each(["begin", `insert into t values (${id})`, `prepare transaction '${id}'`]);
}
