import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DrillResult } from "../../src/operations/drill/drill.ts";
import { findDebian, makeDebianCluster } from "../support/debian-cluster.ts";
import type { DebianCluster } from "../support/debian-cluster.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { startPlainly } from "../support/pg-ctl.ts";
import type { PostgresBinaries } from "../support/postgres-binaries.ts";
import { freePort } from "../support/postmaster.ts";
import { eventually } from "../support/restored.ts";
import { asUser, serverUser } from "../support/server-user.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { untilDurable } from "../support/site-state.ts";

const found = await findDebian();
const TITLE = "a source whose configuration lies in /etc, as Debian has it";
if (typeof found === "string")
  describe(TITLE, () => {
    test.skip(`${NOT_RUN}${found}`);
  });
else
  describe(TITLE, () => {
    suite(found);
  });

/** What is outside the data directory is in no copy of it: the restored cluster must start all the same, and behave as the source did. */
function suite(binaries: PostgresBinaries): void {
  const settings = { max_connections: "66", work_mem: "7MB", shared_preload_libraries: "pg_stat_statements", timezone: "Asia/Tokyo" };
  let source: DebianCluster;
  let resources: AsyncDisposableStack;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await makeDebianCluster(binaries, settings));
    await source.sql("create table t as select g as id, md5(g::text) from generate_series(1, 10000) g");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  test("has nothing of it in its data directory", async () => {
    expect((await readdir(source.dataDirectory)).filter((name) => /^(postgresql|pg_hba|pg_ident)\.conf$/.test(name))).toEqual([]);
    expect(await readdir(source.configDirectory)).toContain("postgresql.conf");
  });

  test.each(["remote", "local"])("is backed up by the %s reader, restored by pg_ctl alone with its settings, and drilled", async (reader) => {
    await using site = await openSite({ cluster: source, local: reader === "local" });
    const backup = await site.run("backup");
    expect(backup, backup.stderr).toMatchObject({ exitCode: 0 });
    await source.sql(`insert into t values (${reader === "local" ? 20_001 : 20_002}, 'after the backup')`);
    const stream = site.start({}, "wal", "stream");
    await untilDurable(site);
    const drill = (await site.run("drill", "--json")).json<DrillResult>();
    expect(drill, JSON.stringify(drill)).toMatchObject({ verdict: "pass", fault: null });
    await expectRestored(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    // The slot is of this site, and so is the name it was made under.
    await source.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots");
  });

  async function expectRestored(site: Site): Promise<void> {
    const [target, port] = [join(site.folder, "restored"), await freePort()];
    const outcome = await site.run("restore", "--to", "latest", "--target", target, "--port", String(port), "--json");
    expect(outcome, outcome.stderr).toMatchObject({ exitCode: 0 });
    // A library may not be there on the machine of a restore: left out, and said.
    expect(outcome.json()).toMatchObject({ settingsLeftOut: expect.arrayContaining(["shared_preload_libraries"]) as string[] });
    await using stack = new AsyncDisposableStack();
    stack.use(await startPlainly(binaries, target, port));
    await eventually("recovery has ended", async () => (await ask(port, "select pg_is_in_recovery()")) === "f");
    const contents = "select count(*) || ' ' || sum(id) || ' ' || md5(string_agg(md5, '' order by id)) as contents from t";
    expect(await ask(port, contents)).toBe((await source.sql(contents))[0]?.["contents"]);
    for (const [name, value] of Object.entries({ ...settings, shared_preload_libraries: "" })) expect([name, await ask(port, `show ${name}`)]).toEqual([name, value]);
    for (const name of ["data_directory", "config_file", "hba_file"]) expect(await ask(port, `show ${name}`)).toContain(target);
  }

  /** As the operating-system user that owns the cluster, the way in that a restored cluster always has. */
  async function ask(port: number, sql: string): Promise<string> {
    const args = ["-h", "/var/run/postgresql", "-p", String(port), "-U", "postgres", "-d", "postgres", "-XAtc", sql];
    const { stdout } = await promisify(execFile)(join(binaries.directory, "psql"), args, { cwd: "/", env: { PATH: "/usr/bin:/bin" }, ...asUser(await serverUser()) });
    return stdout.trim();
  }
}
