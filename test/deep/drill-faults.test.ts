import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { untilDurable } from "../support/site-state.ts";
import { plant } from "../torture/planted.ts";
import type { Plant } from "../torture/planted.ts";

interface Drilled {
  readonly verdict: string;
  readonly fault: string | null;
  readonly reasons: readonly string[];
  readonly checks: readonly { readonly name: string; readonly outcome: string; readonly detail: string }[];
  readonly rtoActualSeconds: number | null;
  readonly phases: readonly { readonly name: string; readonly seconds: number }[];
  readonly segregation: { readonly sameMachine: boolean | null };
}

const EXIT: Record<string, number> = { pass: 0, pass_with_warnings: 0, fail: 1, inconclusive: 3 };
const PAGE = 8192;
const [MOUNT, UNMOUNT] = ["/bin/mount", "/bin/umount"];
/** Bugs planted in our own program, beside those of the torture test. */
const STALE_VM: Plant = {
  name: "stale visibility map",
  file: "operations/backup/copy-plan.ts",
  text: '(file.fork !== "main" && file.fork !== "init")',
  instead: '(file.fork !== "main" && file.fork !== "init" && file.fork !== "vm")',
};
const TOO_FAR: Plant = { name: "no target", file: "postgres/restored-config.ts", text: "    `recovery_target_lsn = ${quote(options.targetLsn)}`,\n", instead: "" };
const WRONG_TIMELINE: Plant = { name: "wrong timeline", file: "postgres/restored-config.ts", text: "${quote(String(options.timeline))}", instead: "'1'" };

/** For each thing that can be wrong, a drill on a real cluster says what it should, and whose fault it is: the backup's, the source's, this machine's, or the clock's. */
describePostgres("a drill's verdict", { atLeast: 17, contrib: ["amcheck", "pg_visibility"] }, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, summarizeWal: true, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(await openSite({ cluster: source, policy: policyWith(""), sourceExtra: ", heartbeat: true" }));
    await source.sql("create table orders as select g as id, repeat('x', 50) as filler from generate_series(1, 5000) g");
    await source.sql("create index orders_id on orders (id)");
    await source.sql("create table few (id int)");
    await source.sql("vacuum analyze orders");
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  async function drilled(...args: string[]): Promise<Drilled> {
    const outcome = await site.run("drill", "--json", ...args);
    const result = outcome.json<Drilled>();
    expect(outcome.exitCode, outcome.stderr).toBe(EXIT[result.verdict]);
    return result;
  }

  async function backup(type = "full"): Promise<void> {
    const outcome = await site.run("backup", "--type", type);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
  }

  /** Streams while `act` writes, and stops once all of it is durable. */
  async function streamed(act: () => Promise<void>): Promise<void> {
    const stream = site.start({}, "wal", "stream");
    await act();
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    await stream.ended();
  }

  /** A command of our program with a bug planted in it. */
  async function runPlanted(bug: Plant, ...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    await using program = await plant(bug);
    const env = { ...process.env, HOLDFAST_CONFIG: site.inventory, SITE_KEY: site.key, SITE_URL: source.url() };
    return await new Promise((resolve) => {
      execFile(process.execPath, [program.main, ...args], { env }, (error, stdout, stderr) => resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr }));
    });
  }

  function policyFile(checks: string): void {
    writeFileSync(join(site.folder, "policies/plain.yaml"), `version: 1\nname: plain\n${policyWith(checks)}`);
  }

  function filesIn(folder: string): string[] {
    const root = join(site.folder, "onsite/sources/db", folder);
    return readdirSync(root, { recursive: true, encoding: "utf8" })
      .map((name) => join(root, name))
      .filter((path) => statSync(path).isFile())
      .toSorted();
  }

  async function without<T>(file: string, act: () => Promise<T>): Promise<T> {
    renameSync(file, join(site.folder, "aside"));
    try {
      return await act();
    } finally {
      renameSync(join(site.folder, "aside"), file);
    }
  }

  test("nothing wrong: pass, and on which machine it was", async () => {
    await backup();
    // Nor does anybody write there but us.
    policyFile(`checks: [{ sql: "select current_setting('autovacuum')", expect: { equals: "off" } }]`);
    const result = await drilled();
    policyFile("");
    expect(result).toMatchObject({ verdict: "pass", fault: null, segregation: { sameMachine: true } });
    expect(result.checks).toContainEqual(expect.objectContaining({ name: "as the source said (postgres)", outcome: "pass" }));
    const measured = result.phases.filter(({ name }) => name !== "clean up").reduce((sum, { seconds }) => sum + seconds, 0);
    expect(Math.abs((result.rtoActualSeconds ?? 0) - measured)).toBeLessThan(Math.max(0.5, 0.02 * measured));
  });

  test("a WAL segment missing: fail, of the backup", async () => {
    await backup();
    await streamed(async () => {
      for (let i = 0; i < 4; i++)
        await source.sql(`create table made_${i} (id int); insert into made_${i} select generate_series(1, 100)`).then(async () => source.sql("select pg_switch_wal()"));
    });
    const segments = filesIn("wal").filter((path) => /\/[0-9A-F]{24}-[0-9a-f]{32}$/.test(path));
    expect(await without(segments.at(-2) ?? "", drilled)).toMatchObject({ verdict: "fail", fault: "backup" });
  });

  test("the last part missing: fail, of the backup", async () => {
    await backup();
    await streamed(async () => void (await source.sql("insert into few values (1)")));
    const part = filesIn("wal").findLast((path) => path.includes("/parts/")) ?? "";
    expect(await without(part, drilled)).toMatchObject({ verdict: "fail", fault: "backup" });
  });

  test("a stale visibility map in the backup: fail, of the backup", async () => {
    await source.sql("vacuum orders");
    await backup();
    await source.sql("delete from orders where id <= 5");
    await source.sql("checkpoint");
    const made = await runPlanted(STALE_VM, "backup", "--type", "incr", "--json");
    expect(made.exitCode, made.stderr).toBe(0);
    const result = await drilled("--to", "immediate");
    expect(result).toMatchObject({ verdict: "fail", fault: "backup" });
    expect(result.reasons.join("\n")).toMatch(/visibility maps/);
  });

  test("a commit after the target is there: fail, of the backup", async () => {
    await backup();
    let target = "";
    await streamed(async () => {
      await source.sql("insert into few values (2)");
      target = (await source.sql("select pg_current_wal_insert_lsn()::text as lsn"))[0]?.["lsn"] ?? "";
      for (let i = 0; i < 3; i++) await source.sql(`insert into few values (${3 + i})`);
    });
    const outcome = await runPlanted(TOO_FAR, "drill", "--to", `lsn:${target}`, "--json");
    const result = JSON.parse(outcome.stdout) as Drilled;
    expect(result).toMatchObject({ verdict: "fail", fault: "backup" });
    expect(result.checks).toContainEqual(expect.objectContaining({ name: "nothing after the target is there", outcome: "fail" }));
  });

  test("a damaged page in the backup: fail, of the backup", async () => {
    await backup();
    const pack = filesIn("backups").findLast((path) => /\/data\/\d+$/.test(path)) ?? "";
    const kept = readFileSync(pack);
    await using file = await open(pack, "r+");
    await file.write(Buffer.from([(kept[kept.length >> 1] ?? 0) ^ 0xff]), 0, 1, kept.length >> 1);
    const result = await drilled();
    writeFileSync(pack, kept);
    expect(result).toMatchObject({ verdict: "fail", fault: "backup" });
  });

  test("a damaged page in the source when it was backed up: fail, of the source", async () => {
    await source.sql("create table bad as select g as id, repeat(md5(g::text), 20) as filler from generate_series(1, 1000) g");
    await source.sql("checkpoint");
    const path = join(source.dataDirectory, (await source.sql("select pg_relation_filepath('bad') as path"))[0]?.["path"] ?? "");
    await using file = await open(path, "r+");
    await file.write(Buffer.from("spoilt"), 0, 6, 2 * PAGE + 5000);
    // A repository of its own: where there is a clean backup, a restore takes that.
    await using other = await openSite({ cluster: source });
    expect((await other.run("backup")).exitCode).toBe(1);
    const outcome = await other.run("drill", "--json");
    expect(outcome.json<Drilled>()).toMatchObject({ verdict: "fail", fault: "source" });
    await source.sql("drop table bad");
  });

  test("an index that was corrupt before the backup: fail, of the source", async () => {
    await source.sql("create table indexed as select generate_series(1, 100) as id");
    await source.sql("create index half on indexed (id)");
    await source.sql("update pg_index set indisready = false where indexrelid = 'half'::regclass");
    await source.sql("insert into indexed select generate_series(101, 200)");
    await source.sql("update pg_index set indisready = true where indexrelid = 'half'::regclass");
    await backup();
    const result = await drilled();
    await source.sql("drop table indexed");
    expect(result).toMatchObject({ verdict: "fail", fault: "source" });
    expect(result.reasons.join("\n")).toMatch(/indexes against tables/);
  });

  test("text that sorts otherwise here: pass with a warning", async () => {
    await source.sql("create collation other (provider = libc, locale = 'C.UTF-8')");
    await source.sql("create table words (word text collate other)");
    await source.sql("create index by_word on words (word)");
    await source.sql("set allow_system_table_mods = on; update pg_collation set collversion = '0.1' where collname = 'other'");
    await backup();
    const result = await drilled();
    await source.sql("drop table words; drop collation other");
    expect(result).toMatchObject({ verdict: "pass_with_warnings", fault: null });
    expect(result.reasons.join("\n")).toMatch(/collation versions/);
  });

  test("a table that was emptied before the backup: a warning by itself; a required check of the policy: fail, of the source", async () => {
    await source.sql("create table kept as select * from orders");
    await source.sql("analyze kept");
    await untilCounted("kept", 4000);
    await backup();
    await source.sql("truncate kept");
    await untilCounted("kept", 0);
    await backup();
    const warned = await drilled();
    expect(warned).toMatchObject({ verdict: "pass_with_warnings", fault: null });
    expect(warned.reasons.join("\n")).toMatch(/tables that were emptied: postgres: public\.kept had about/);
    policyFile(`checks: [{ sql: "select count(*) from kept", expect: { min: 1000 } }]`);
    expect(await drilled()).toMatchObject({ verdict: "fail", fault: "source" });
    policyFile("");
  });

  /** The server counts rows a little later than it writes them. */
  async function untilCounted(table: string, atLeast: number): Promise<void> {
    await expect
      .poll(async () => Number((await source.sql(`select n_live_tup as n from pg_stat_user_tables where relname = '${table}'`))[0]?.["n"]), { timeout: 20_000 })
      .toSatisfy((count: number) => (atLeast === 0 ? count === 0 : count >= atLeast));
  }

  test("a heartbeat that stopped: fail, of the source", async () => {
    await source.sql("create schema holdfast; create table holdfast.heartbeat (id int primary key, sequence bigint not null, at timestamptz not null)");
    await source.sql("insert into holdfast.heartbeat values (1, 7, clock_timestamp())");
    const lsn = (await source.sql("select pg_current_wal_insert_lsn()::text as lsn"))[0]?.["lsn"] ?? "";
    const beat = (at: Date): void => {
      using catalog = new DatabaseSync(join(site.folder, "state/catalog.sqlite"));
      catalog.prepare("insert or replace into heartbeats (source, sequence, at, lsn) values ('db', 7, ?, ?)").run(at.toISOString(), lsn);
    };
    await backup();
    beat(new Date());
    expect(await drilled()).toMatchObject({ verdict: "pass" });
    beat(new Date(Date.now() - 3 * 3_600_000));
    expect(await drilled()).toMatchObject({ verdict: "fail", fault: "source" });
    beat(new Date());
  });

  test("no server binaries: inconclusive, of the machine", async () => {
    const inventory = readFileSync(site.inventory, "utf8");
    writeFileSync(site.inventory, inventory.replace(binaries.directory, "/nowhere"));
    const result = await drilled();
    writeFileSync(site.inventory, inventory);
    expect(result).toMatchObject({ verdict: "inconclusive", fault: "environment" });
  });

  test("a check that does not end: inconclusive, of the clock", async () => {
    policyFile(`checks: [{ sql: "select pg_sleep(600)", timeout: 1s }]`);
    const ofSql = await drilled();
    await writeFile(join(site.folder, "slow.sh"), "#!/bin/sh\nsleep 600\n", { mode: 0o755 });
    policyFile(`checks: [{ command: ["${join(site.folder, "slow.sh")}"], timeout: 1s }]`);
    const ofCommand = await drilled();
    policyFile("");
    expect(ofSql).toMatchObject({ verdict: "inconclusive", fault: "timeout" });
    expect(ofCommand).toMatchObject({ verdict: "inconclusive", fault: "timeout" });
  });

  test("no room for what is restored: inconclusive, of the machine, and nothing is left", async () => {
    const scratch = join(site.folder, "scratch");
    mkdirSync(scratch, { recursive: true });
    try {
      execFileSync(MOUNT, ["-t", "tmpfs", "-o", "size=8m", "tmpfs", scratch], { stdio: "ignore" });
    } catch {
      expect.soft(process.getuid?.(), `${NOT_RUN}no filesystem can be mounted here (it takes root)`).not.toBe(0);
      return;
    }
    try {
      expect(await drilled()).toMatchObject({ verdict: "inconclusive", fault: "environment" });
      expect(readdirSync(scratch)).toEqual([]);
    } finally {
      execFileSync(UNMOUNT, [scratch]);
      rmSync(scratch, { recursive: true, force: true });
    }
  });

  /** The last: from here on the source is on another timeline. */
  test("the wrong timeline: fail, of the backup", async () => {
    await source.stop();
    await writeFile(join(source.dataDirectory, "standby.signal"), "");
    await source.start();
    await source.promote();
    await backup();
    await source.sql("insert into few values (9)");
    const outcome = await runPlanted(WRONG_TIMELINE, "drill", "--json");
    expect(JSON.parse(outcome.stdout)).toMatchObject({ verdict: "fail", fault: "backup" });
    expect(await drilled()).toMatchObject({ verdict: "pass" });
  });
});

function policyWith(checks: string): string {
  return `backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 12w, repositories: [onsite] }
  incremental: { schedule: { cron: "0 2 * * *" }, retention: 30d, repositories: [onsite] }
  log: { schedule: stream, retention: 24h, repositories: [onsite] }
objectives: { rpo: 1h }
drills: { schedule: { cron: "0 4 1 * *" }, ${checks} }
`;
}
