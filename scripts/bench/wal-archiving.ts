import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "../../test/support/running-cluster.ts";
import { startCluster } from "../../test/support/cluster.ts";
import { openSite } from "../../test/support/site.ts";
import type { Site } from "../../test/support/site.ts";
import type { PostgresBinaries } from "../../test/support/postgres-binaries.ts";

/**
 * How fast WAL is archived through `archive_command`, and how far a stream is behind. Rate: segments pile up while archiving is off; then it is turned on, and what counts is the time until the last is
 * archived. Lag: somebody writes all the time, and ten times a second the server is asked where it is and how far we reported what is durable.
 */
export interface ArchivingRate {
  readonly way: string;
  readonly segments: number;
  readonly seconds: number;
  readonly segmentsPerSecond: number;
  readonly walBytesPerSecond: number;
}

export interface StreamLag {
  readonly seconds: number;
  readonly walBytesPerSecond: number;
  readonly lagP50Seconds: number;
  readonly lagP99Seconds: number;
}

interface Bench {
  readonly cluster: Cluster;
  readonly site: Site;
}

/** A way to archive: what `archive_command` is, and what has to run beside it. */
interface Way {
  readonly name: string;
  readonly command: string;
  readonly beside: AsyncDisposable | null;
}

const MAIN = join(import.meta.dirname, "../../src/main.ts");

export async function measureArchiving(
  binaries: PostgresBinaries,
  options: { segments: number; /** Its program; null: not measured. */ pgbackrest: string | null; folder: string },
): Promise<ArchivingRate[]> {
  await using cluster = await startCluster({ binaries, settings: { archive_mode: "on", archive_command: "", max_wal_size: "8GB", checkpoint_timeout: "1h", wal_keep_size: "0" } });
  await using site = await openSite({ cluster, asServerUser: true });
  const bench: Bench = { cluster, site };
  await cluster.sql("create table filler (id int, text text)");
  const environment = `NODE_COMPILE_CACHE=${site.folder}/compiled HOLDFAST_CONFIG=${site.inventory} SITE_KEY=${site.key}`;
  const { pgbackrest: program } = options;
  const rates: ArchivingRate[] = [];
  const ways: (() => Promise<Way>)[] = [
    async () => ({ name: "holdfast wal push", command: `${environment} ${process.execPath} ${MAIN} wal push db %p`, beside: null }),
    async () => spooling(bench),
    ...(program === null ? [] : [false, true].map((isAsync) => async () => pgbackrest(bench, { program, folder: options.folder, isAsync }))),
  ];
  for (const open of ways) {
    const way = await open();
    await using resources = new AsyncDisposableStack();
    resources.use(way.beside);
    rates.push(await rateOf(bench, way, options.segments));
  }
  return rates;
}

async function rateOf({ cluster }: Bench, { name, command }: Way, segments: number): Promise<ArchivingRate> {
  const [size] = await cluster.sql("select setting::bigint as bytes from pg_settings where name = 'wal_segment_size'");
  const segmentBytes = Number(size?.["bytes"]);
  for (let i = 0; i < segments; i++) {
    // Two thirds of a segment of rows that compress about as data does.
    await cluster.sql(`insert into filler select g, repeat(md5((g + ${i})::text), 3) || g from generate_series(1, ${Math.floor(segmentBytes / 250)}) g`);
    await cluster.sql("select pg_switch_wal()");
  }
  const waiting = async (): Promise<number> => Number((await cluster.sql("select count(*) as n from pg_ls_archive_statusdir() where name like '%.ready'"))[0]?.["n"]);
  const before = await waiting();
  const started = performance.now();
  await archiveWith(cluster, command);
  for (; (await waiting()) > 0; await sleep(20)) await refuseFailure(cluster, name);
  const seconds = (performance.now() - started) / 1000;
  await archiveWith(cluster, "");
  await refuseFailure(cluster, name);
  return { way: name, segments: before, seconds, segmentsPerSecond: before / seconds, walBytesPerSecond: (before * segmentBytes) / seconds };
}

async function refuseFailure(cluster: Cluster, way: string): Promise<void> {
  const [failed] = await cluster.sql("select failed_count, last_failed_wal from pg_stat_archiver");
  if (Number(failed?.["failed_count"]) > 0) throw new Error(`${way} failed to archive ${failed?.["last_failed_wal"]}`);
}

async function archiveWith(cluster: Cluster, command: string): Promise<void> {
  await cluster.sql(`alter system set archive_command = '${command.replaceAll("'", "''")}'`);
  await cluster.sql("select pg_reload_conf()");
}

async function spooling({ site }: Bench): Promise<Way> {
  const spooler = site.start({}, "wal", "spool", "db");
  const client = join(site.folder, "archive-db");
  const printed = await site.run("wal", "client", "db");
  if (printed.exitCode !== 0) throw new Error(printed.stderr);
  await writeFile(client, printed.stdout);
  await chmod(client, 0o755);
  for (let i = 0; i < 400 && !spooler.output().includes("archiving for"); i++) await sleep(50);
  const end = async (): Promise<void> => {
    spooler.process.kill("SIGTERM");
    await spooler.ended();
  };
  return { name: "holdfast wal spool", command: `${client} %p`, beside: { [Symbol.asyncDispose]: end } };
}

async function pgbackrest({ cluster }: Bench, { program, folder, isAsync }: { program: string; folder: string; isAsync: boolean }): Promise<Way> {
  const { owner, socketDirectory } = cluster.place;
  const place = join(folder, isAsync ? "async" : "sync");
  for (const path of ["", "repository", "log", "lock", "spool"]) {
    await run("install", ["-d", "-o", String(owner.uid), "-g", String(owner.gid), join(place, path)]);
  }
  const configuration = join(place, "pgbackrest.conf");
  const lines = [
    "[global]",
    `repo1-path=${place}/repository`,
    `log-path=${place}/log`,
    `lock-path=${place}/lock`,
    `spool-path=${place}/spool`,
    "log-level-file=off",
    "compress-type=zst",
    "compress-level=1",
    "process-max=2",
    "repo1-cipher-type=aes-256-cbc",
    "repo1-cipher-pass=bench-bench-bench-bench",
    ...(isAsync ? ["archive-async=y"] : []),
    "[bench]",
    `pg1-path=${cluster.dataDirectory}`,
    `pg1-socket-path=${socketDirectory}`,
    `pg1-port=${cluster.port}`,
    "pg1-user=postgres",
    "",
  ];
  await writeFile(configuration, lines.join("\n"));
  await chown(configuration, owner.uid, owner.gid);
  await run(program, [`--config=${configuration}`, "--stanza=bench", "stanza-create"], owner);
  return { name: `pgbackrest archive-push${isAsync ? " async" : ""}`, command: `${program} --config=${configuration} --stanza=bench archive-push %p`, beside: null };
}

async function run(file: string, args: readonly string[], as?: { uid: number; gid: number }): Promise<void> {
  const child = spawn(file, args, { ...(process.getuid?.() === 0 ? as : {}), stdio: "inherit" });
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${file} ended with ${code}`);
}

/** What is written costs the server little, so that two processors have room for both sides: messages of 32 KiB that compress about twice, 2 MiB at a time. */
async function makePayloads(cluster: Cluster): Promise<void> {
  await cluster.sql("create table payloads (id int, payload text)");
  await cluster.sql("insert into payloads select g, (select string_agg(md5((g * 1000 + i)::text), '') from generate_series(1, 1024) i) from generate_series(1, 512) g");
}

/** `walMegabytesPerSecond`: how much somebody tries to write; what was reached is in the answer. */
export async function measureStreamLag(binaries: PostgresBinaries, options: { seconds: number; walMegabytesPerSecond: number }): Promise<StreamLag> {
  await using cluster = await startCluster({ binaries, settings: { max_wal_size: "8GB", checkpoint_timeout: "1h" } });
  await using site = await openSite({ cluster });
  await makePayloads(cluster);
  site.start({}, "wal", "stream", "db");
  const position = async (): Promise<{ now: number; written: bigint; durable: bigint | null }> => {
    const [row] = await cluster.sql("select (pg_current_wal_flush_lsn() - '0/0')::text as written, (select (max(flush_lsn) - '0/0')::text from pg_stat_replication) as durable");
    return { now: performance.now(), written: BigInt(row?.["written"] ?? "0"), durable: row?.["durable"] === undefined || row["durable"] === null ? null : BigInt(row["durable"]) };
  };
  while ((await position()).durable === null) await sleep(100);
  const end = performance.now() + options.seconds * 1000;
  const first = await position();
  const writing = (async () => {
    for (let bytes = 0, round = 0; performance.now() < end; round++) {
      await cluster.sql(`select count(pg_logical_emit_message(false, 'bench', payload)) from payloads where id % 8 = ${round % 8}`);
      bytes = Number((await position()).written - first.written);
      const due = first.now + (bytes / (options.walMegabytesPerSecond * 1e6)) * 1000;
      await sleep(Math.max(0, due - performance.now()));
    }
  })();
  const marks: { at: number; written: bigint }[] = [];
  const lags: number[] = [];
  while (performance.now() < end) {
    const { now, written, durable } = await position();
    marks.push({ at: now, written });
    // Since when something was written that is not durable yet.
    const oldest = marks.find((mark) => mark.written > (durable ?? 0n));
    lags.push(oldest === undefined ? 0 : (now - oldest.at) / 1000);
    await sleep(100);
  }
  await writing;
  const last = await position();
  const sorted = lags.toSorted((a, b) => a - b);
  const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
  return {
    seconds: options.seconds,
    walBytesPerSecond: Number(last.written - first.written) / ((last.now - first.now) / 1000),
    lagP50Seconds: quantile(0.5),
    lagP99Seconds: quantile(0.99),
  };
}
