import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RECOVERY_STEPS } from "../../src/domain/recovery-steps.ts";
import { startCluster } from "../support/cluster.ts";
import { stopLeft } from "../support/pg-ctl.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openSession } from "../support/session.ts";
import { openSite } from "../support/site.ts";

interface Recovered {
  readonly outcome: string;
  readonly steps: readonly { readonly step: string; readonly outcome: string; readonly seconds: number }[];
}

const PORT = 54_399;

describePostgres("a recovery", {}, (binaries) => {
  test("asks before it writes, goes on where it was killed, ends with a server that works, and is on record step by step", async () => {
    await using source = await startCluster({ binaries });
    await using site = await openSite({
      cluster: source,
      policy: `backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [onsite] }
drills: { schedule: { cron: "0 4 1 * *" }, checks: [{ sql: "select count(*) from orders", expect: { equals: 100 } }] }
`,
    });
    await source.sql("create table orders as select generate_series(1, 100) as id");
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    await source.stop();
    const target = join(site.folder, "recovered");
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => stopLeft(binaries, target));

    // Never over what is there; and nothing to go on with yet.
    expect(await site.run("recover", "--target", source.dataDirectory, "--yes")).toMatchObject({ exitCode: 4 });
    expect(await site.run("recover", "--resume", "--yes")).toMatchObject({ exitCode: 2 });

    const asked = await site.run("recover", "--to", "latest", "--target", target, "--port", String(PORT));
    expect(asked.exitCode, asked.stderr).toBe(2);
    expect(asked.stderr).toMatch(/the step 'restore' \(restore\) wants to be confirmed/);
    await expect(stat(target)).rejects.toThrow(/ENOENT/);

    // In the restore; restored, and not on record; the server runs, and that is not on record.
    for (const point of ["restore.before-control-file", "recover.before-record:1", "recover.before-record:2"]) {
      const killed = await site.runWith({ HOLDFAST_CRASH_AT: point }, "recover", "--resume", "--yes");
      expect(killed.signal, killed.stderr).toBe("SIGKILL");
    }
    const done = await site.run("recover", "--resume", "--yes", "--json");
    expect(done.exitCode, done.stdout + done.stderr).toBe(0);
    const { outcome, steps } = done.json<Recovered>();
    expect(outcome).toBe("recovered");
    expect(steps.map(({ step, outcome: how }) => `${step} ${how}`)).toEqual(RECOVERY_STEPS.map((step) => `${step} done`));

    await using session = await openSession(`postgres://postgres@127.0.0.1:${PORT}/postgres`);
    expect(await session.rows("select count(*)::text as n, pg_is_in_recovery()::text as recovering from orders")).toEqual([{ n: "100", recovering: "false" }]);
    expect(await site.run("recover", "--resume", "--yes")).toMatchObject({ exitCode: 2 });
  });
});
