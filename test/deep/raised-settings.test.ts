import { join } from "node:path";
import { expect, test } from "vitest";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually } from "../support/restored.ts";
import { openSite } from "../support/site.ts";
import { untilDurable } from "../support/site-state.ts";

/** Replay pauses for ever, or ends, where the source was restarted with larger settings than the replaying server has: a restore must know them from the WAL. */
describePostgres("settings raised after the backup", {}, (binaries) => {
  const before = { max_connections: "30", max_worker_processes: "6", max_wal_senders: "4", max_prepared_transactions: "2", max_locks_per_transaction: "32" };
  const after = { max_connections: "77", max_worker_processes: "11", max_wal_senders: "12", max_prepared_transactions: "9", max_locks_per_transaction: "80" };

  test("do not stop a restore to latest", async () => {
    await using source = await startCluster({ binaries, settings: before });
    await using site = await openSite({ cluster: source });
    await source.sql("create table t (n int)");
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    // Larger, and then as before: what was in between counts too.
    await source.restart("fast", after);
    await source.sql("insert into t values (1)");
    await source.restart("fast");
    await source.sql("insert into t values (2)");
    const stream = site.start({}, "wal", "stream");
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    for (const action of ["promote", "pause"]) {
      const target = join(site.folder, action);
      expect(await site.run("restore", "--to", "latest", "--target", target, "--action", action)).toMatchObject({ exitCode: 0 });
      await using restored = await startOnFolder(target, { binaries, leftRecovery: action === "promote" });
      await eventually("all is replayed", async () => (await restored.sql("select count(*) as n from t"))[0]?.["n"] === "2");
      expect(
        await restored.sql("select pg_is_in_recovery() as recovering, current_setting('max_connections') as connections, current_setting('max_locks_per_transaction') as locks"),
      ).toEqual([{ recovering: action === "pause" ? "t" : "f", connections: "77", locks: "80" }]);
    }
  });
});
