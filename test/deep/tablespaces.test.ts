import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { readTablespaces } from "../../src/postgres/capture.ts";
import { connect } from "../../src/postgres/connection.ts";
import { backUpWhile, restoreLatest } from "../support/backup-while.ts";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { withFaults } from "../support/store-faults.ts";

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

  test("that are just being dropped, and are in the list without a folder, fail nothing", async () => {
    await using source = await startCluster({ binaries, settings: { allow_in_place_tablespaces: "on" } });
    await source.sql("create tablespace going location ''");
    const [row] = await source.sql("select oid from pg_tablespace where spcname = 'going'");
    const folder = join(source.dataDirectory, "pg_tblspc", row?.["oid"] ?? "");
    await using connection = await connect({ url: source.url() }, { purpose: "backup" });
    await rename(folder, `${folder}-away`);
    await expect(source.sql("select pg_tablespace_location(oid) from pg_tablespace where spcname = 'going'")).rejects.toThrow(/could not stat file/);
    const [read] = await Promise.all([readTablespaces(connection.client), setTimeout(300).then(async () => rename(`${folder}-away`, folder))]);
    expect(read.map(({ name }) => name)).toEqual(["going"]);
  });

  test("made while a backup was getting ready are in it", async () => {
    await using source = await startCluster({ binaries, settings: { allow_in_place_tablespaces: "on" } });
    await using scratch = await openScratchFolder(source.place.owner);
    await using fixture = await openRepositoryFixture();
    using faulty = withFaults(fixture.store);
    const meanwhile = async (): Promise<void> => {
      await source.sql("create tablespace meanwhile location ''");
      await source.sql("create table there tablespace meanwhile as select generate_series(1, 1000) as id");
    };
    // Between the first look at the server and the start of the backup.
    faulty.queue("create", { meanwhile }, (key) => key.includes("/intents/"));
    const repository = await fixture.open("one", faulty.store);
    await backUpWhile(source, repository, async () => undefined);
    const target = join(scratch.path, "restored");
    await restoreLatest(repository, target, source);
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await restored.sql("select count(*) as n from there")).toEqual([{ n: "1000" }]);
  });
});
