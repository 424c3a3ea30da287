import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import type { BackupView } from "../../src/domain/source-info.ts";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Outcome, Site } from "../support/site.ts";
import { infoOf, untilDurable, untilStreaming } from "../support/site-state.ts";

interface Reattached {
  readonly timeline: number;
  readonly parentTimeline: number | null;
  readonly forkLsn: string | null;
  readonly abandoned: { readonly timeline: number; readonly fromLsn: string; readonly toLsn: string } | null;
  readonly slot: string | null;
  readonly backup: BackupView;
}

const countOf = async (cluster: Cluster): Promise<string> => (await cluster.sql("select count(*)::text as n from t"))[0]?.["n"] ?? "";
const at = (site: Site, cluster: Cluster, ...args: string[]): Promise<Outcome> => site.runWith({ SITE_URL: cluster.url() }, ...args);

describePostgres("a source whose cluster was brought back", {}, (binaries) => {
  test("is bound to it: its timeline is followed, a full taken, what was left is kept, and the server that was left is refused by everything that writes", async () => {
    await using source = await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] });
    await using site = await openSite({ cluster: source, repositories: ["onsite", "cloud"] });
    await source.sql("create table t as select g from generate_series(1, 1000) g");
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    const stream = site.start({}, "wal", "stream");
    await untilStreaming(site);
    await source.sql("insert into t select g from generate_series(1, 500) g");
    const [row] = await source.sql("select pg_current_wal_insert_lsn()::text as lsn");
    await source.sql("insert into t select g from generate_series(1, 30000) g");
    await source.sql("select pg_switch_wal()");
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });

    // Brought back to before the mistake: what came after it is left.
    await using restored = await restoreAndStart(site, source, "--to", `lsn:${row?.["lsn"]}`, "--exclusive");
    expect(await countOf(restored)).toBe("1500");
    const done = await at(site, restored, "source", "reattach", "--json");
    expect(done.exitCode, done.stderr).toBe(0);
    const view = done.json<Reattached>();
    expect(view).toMatchObject({
      timeline: 2,
      parentTimeline: 1,
      abandoned: { timeline: 1, fromLsn: view.forkLsn },
      slot: "holdfast_db",
      backup: { type: "full", state: "complete" },
    });
    expect(view.backup.copies.map(({ state }) => state)).toEqual(["complete", "complete"]);
    expect(entriesOf(site)).toEqual([{ timeline: 2, repositories: ["onsite", "cloud"] }]);
    const [slot] = await restored.sql("select active::text, restart_lsn is not null as keeps from pg_replication_slots where slot_name = 'holdfast_db'");
    expect(slot).toMatchObject({ keeps: "t" });

    // Life goes on there: the chain, the log, restores to latest.
    await restored.sql("insert into t select g from generate_series(1, 10) g");
    const incremental = await at(site, restored, "backup", "--type", "incr", "--json");
    expect(incremental.json<BackupView>(), incremental.stderr).toMatchObject({ type: "incremental", parentId: view.backup.id });
    expect((await infoOf(site, { SITE_URL: restored.url() })).timeline).toBe(2);
    for (const name of ["onsite", "cloud"]) {
      await using latest = await restoreAndStart(site, restored, "--to", "latest", "--from", name);
      expect(await countOf(latest)).toBe("1510");
    }
    // What was left can still be had.
    await using left = await restoreAndStart(site, source, "--to", "latest", "--timeline", "1", "--from", "onsite");
    expect(await countOf(left)).toBe("31500");

    // The server that was left still runs, and writes.
    await source.sql("insert into t select g from generate_series(1, 5000) g");
    const [segment] = await source.sql("select pg_walfile_name(pg_current_wal_insert_lsn()) as name, pg_switch_wal()");
    for (const args of [["backup"], ["wal", "stream"], ["source", "reattach"], ["wal", "push", "db", join(source.dataDirectory, "pg_wal", segment?.["name"] ?? "")]]) {
      const refused = await at(site, source, ...args);
      expect(refused.stderr, args.join(" ")).toMatch(/HF-DIVERGED.*left at/s);
      expect(refused.exitCode, args.join(" ")).not.toBe(0);
    }
    // Done again it has nothing to change but takes its full.
    expect((await at(site, restored, "source", "reattach", "--json")).json<Reattached>()).toMatchObject({ timeline: 2, forkLsn: null, abandoned: null });
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test("is not bound to another cluster, nor to a standby, and nothing is changed then", async () => {
    await using source = await startCluster({ binaries });
    await using site = await openSite({ cluster: source });
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    await using other = await startCluster({ binaries });
    expect(await at(site, other, "source", "reattach")).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(/HF-OTHER-CLUSTER.*--cluster \d+ binds/s) as string });
    const folder = join(site.folder, "standby");
    expect(await site.runWith({ PRIMARY: source.url() }, "restore", "--to", "latest", "--target", folder, "--standby", "--primary-conninfo", "env:PRIMARY")).toMatchObject({
      exitCode: 0,
    });
    await using standby = await startOnFolder(folder, { binaries });
    expect(await at(site, standby, "source", "reattach")).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(/is a standby.*promote it/s) as string });
    expect(entriesOf(site)).toEqual([]);
    expect(await site.run("backup", "--type", "incr")).toMatchObject({ exitCode: 0 });
  });
});

function entriesOf(site: Site): unknown[] {
  using database = new DatabaseSync(join(site.folder, "state/catalog.sqlite"), { readOnly: true });
  return database
    .prepare("select facts from entries where kind = 'source.reattached' order by sequence")
    .all()
    .map((row) => JSON.parse(String(row["facts"])) as { timeline: number; repositories: string[] })
    .map(({ timeline, repositories }) => ({ timeline, repositories }));
}
