import { appendFile, chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";

const ROWS = 3000;

/** A server that archives through the small client, while the spooler behind it comes, is killed, and is not there. */
describePostgres("WAL through the spooler", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let rows = 0;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { archive_mode: "on", max_wal_senders: "0", max_replication_slots: "0" } }));
    site = stack.use(await openSite({ cluster: source, asServerUser: true }));
    const client = join(site.folder, "archive-db");
    const printed = await site.run("wal", "client", "db");
    expect(printed).toMatchObject({ exitCode: 0 });
    await writeFile(client, printed.stdout);
    await chmod(client, 0o755);
    await giveToServerUser(client);
    await appendFile(join(source.dataDirectory, "postgresql.conf"), `archive_command = 'NODE_COMPILE_CACHE=${site.folder}/compiled ${client} %p'\n`);
    await source.sql("select pg_reload_conf()");
    await source.sql("create table t (id int primary key, filler text)");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function spooler(): Promise<Running> {
    const running = site.start({}, "wal", "spool", "db");
    await eventually("the spooler listens", async () => running.output().includes("archiving for db"));
    return running;
  }

  async function write(): Promise<string> {
    await source.sql(`insert into t select g, repeat(md5(g::text), 20) from generate_series(${rows + 1}, ${rows + ROWS}) g`);
    rows += ROWS;
    return (await source.sql("select pg_walfile_name(pg_switch_wal()) as segment"))[0]?.["segment"] ?? "";
  }

  const archived = async (segment: string): Promise<void> =>
    eventually(`${segment} is archived`, async () => (await source.sql(`select from pg_stat_archiver where last_archived_wal >= '${segment}'`)).length === 1);

  test("nothing is lost and nothing fails when the spooler is killed in the middle, is away, and comes back", async () => {
    const first = await spooler();
    await archived(await write());
    expect(await site.run("backup")).toMatchObject({ exitCode: 0 });
    const writing = write();
    first.process.kill("SIGKILL");
    await first.ended();
    await archived(await writing);
    await archived(await write());
    const second = await spooler();
    await archived(await write());
    second.process.kill("SIGTERM");
    expect(await second.ended()).toMatchObject({ exitCode: 0 });
    await archived(await write());
    expect(await source.sql("select failed_count from pg_stat_archiver")).toEqual([{ failed_count: "0" }]);
    expect((await infoOf(site)).gaps).toEqual([]);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    const target = join(site.folder, "restored");
    expect(await site.run("restore", "--target", target, "--to", "latest")).toMatchObject({ exitCode: 0 });
    await using cluster = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await digestDatabases(cluster.url())).toEqual(await digestDatabases(source.url()));
  });
});
