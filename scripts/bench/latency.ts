import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeBucket } from "../../test/support/s3-bucket.ts";
import { startS3Proxy } from "../../test/support/s3-proxy.ts";
import type { Passing, S3Proxy } from "../../test/support/s3-proxy.ts";
import { findS3Server, startS3Server } from "../../test/support/s3-server.ts";
import { startCluster } from "../../test/support/cluster.ts";
import { Random } from "../../test/support/random.ts";
import { copyRows } from "../../test/support/row-loading.ts";
import { requirePostgres } from "../../test/support/postgres-binaries.ts";
import type { Cluster } from "../../test/support/running-cluster.ts";
import { openScratchFolder } from "../../test/support/scratch-folder.ts";
import { openSite } from "../../test/support/site.ts";
import type { Site } from "../../test/support/site.ts";

/**
 * `npm run bench:latency`: what distance to the store costs. The same full backup and restore into the same S3 server, through a proxy that adds nothing and through one that
 * lets every request wait, in turn; medians, and their ratio. The second data set is of very many small files, for which requests are counted.
 */
const { values } = parseArgs({
  options: {
    gib: { type: "string", default: "1" },
    files: { type: "string", default: "20000" },
    delay: { type: "string", default: "50" },
    runs: { type: "string", default: "3" },
    trace: { type: "boolean", default: false },
    only: { type: "string" },
  },
});
const DELAY_MS = Number(values.delay);
const RUNS = Number(values.runs);

const ROW_BYTES = 1 << 20;
const GIB = 1 << 30;
const TABLES_A_TRANSACTION = 500;

const found = findS3Server();
if ("missing" in found) throw new Error(found.missing);
const binaries = await requirePostgres(17);
await using server = await startS3Server(found.root);
await makeBucket(server, "bench");
await using scratch = await openScratchFolder();
// The server's user passes through on its way to the restored cluster.
await chmod(scratch.path, 0o755);

if (values.only !== "files") {
  await using cluster = await startCluster({ binaries, settings: { autovacuum: "off", max_wal_size: "4GB" } });
  await addBulk(cluster, Number(values.gib));
  await compare(cluster, `${values.gib} GiB`);
}
if (values.only !== "data") {
  await using cluster = await startCluster({ binaries, settings: { autovacuum: "off", max_wal_size: "4GB" } });
  await addSmallTables(cluster, Number(values.files));
  await compare(cluster, `${values.files} small files`);
}

interface Place {
  readonly site: Site;
  readonly proxy: S3Proxy;
  readonly delayMs: number;
}

interface Sample {
  readonly delayMs: number;
  readonly operation: string;
  readonly seconds: number;
  readonly requests: number;
  readonly mostAtOnce: number;
}

async function compare(cluster: Cluster, name: string): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const places: Place[] = [];
  for (const delayMs of [0, DELAY_MS]) places.push(await openPlace(resources, cluster, name, delayMs));
  const samples: Sample[] = [];
  for (let round = 0; round < RUNS; round++)
    for (const place of round % 2 === 0 ? places : places.toReversed()) {
      samples.push(await time(place, "backup", ["backup", "--type", "full"]));
      const target = join(scratch.path, "restored");
      samples.push(await time(place, "restore", ["restore", "--to", "immediate", "--target", target]));
      await rm(target, { recursive: true, force: true });
    }
  for (const operation of ["backup", "restore"]) report(name, operation, samples);
}

async function openPlace(resources: AsyncDisposableStack, cluster: Cluster, name: string, delayMs: number): Promise<Place> {
  const proxy = resources.use(await startS3Proxy(server.endpoint, () => "pass", { delayMs }));
  const prefix = `${name.replaceAll(/[^a-z0-9]+/gi, "-")}/${delayMs}`;
  const site = resources.use(
    await openSite({ cluster, local: true, env: server.env, places: { onsite: `url: "s3://bench/${prefix}", endpoint: "${proxy.endpoint}", region: ${server.region}` } }),
  );
  return { site, proxy, delayMs };
}

async function time({ site, proxy, delayMs }: Place, operation: string, args: readonly string[]): Promise<Sample> {
  const before = proxy.seen.length;
  const started = performance.now();
  const outcome = await site.run(...args);
  if (outcome.exitCode !== 0) throw new Error(`${operation} failed: ${outcome.stderr}`);
  const seconds = (performance.now() - started) / 1000;
  const requests = proxy.seen.slice(before);
  const sample = { delayMs, operation, seconds, requests: requests.length, mostAtOnce: mostAtOnce(requests) };
  console.error(`${operation} at ${delayMs} ms: ${seconds.toFixed(1)} s, ${sample.requests} requests, ${sample.mostAtOnce} at once at most`);
  if (values.trace) printTrace(requests);
  return sample;
}

function mostAtOnce(requests: readonly Passing[]): number {
  const changes = requests.flatMap(
    ({ begunMs, endedMs }) =>
      [
        [begunMs, 1],
        [endedMs ?? begunMs, -1],
      ] as const,
  );
  let [now, most] = [0, 0];
  for (const [, change] of changes.toSorted((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] - b[0]))) most = Math.max(most, (now += change));
  return most;
}

function printTrace(requests: readonly Passing[]): void {
  const first = requests[0]?.begunMs ?? 0;
  for (const { method, url, begunMs, endedMs, headers } of requests)
    console.error(
      `  ${(begunMs - first).toFixed(0).padStart(6)} +${((endedMs ?? begunMs) - begunMs).toFixed(0).padEnd(5)} ${method} ${decodeURIComponent(url).slice(0, 150)} ${headers.range ?? ""}`,
    );
}

function report(name: string, operation: string, samples: readonly Sample[]): void {
  const of = (delayMs: number): readonly Sample[] => samples.filter((sample) => sample.operation === operation && sample.delayMs === delayMs);
  const [near, far] = [of(0), of(DELAY_MS)];
  const [nearSeconds, farSeconds] = [median(near.map(({ seconds }) => seconds)), median(far.map(({ seconds }) => seconds))];
  console.log(
    `${name}, full ${operation}: ${nearSeconds.toFixed(1)} s at 0 ms, ${farSeconds.toFixed(1)} s at ${DELAY_MS} ms: ${((100 * nearSeconds) / farSeconds).toFixed(0)} % of the throughput; ` +
      `${median(far.map(({ requests }) => requests))} requests, ${Math.max(...far.map((sample) => sample.mostAtOnce))} at once`,
  );
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** Compresses to a half: what has to be sent is not small. */
async function addBulk(cluster: Cluster, gib: number): Promise<void> {
  await using session = await cluster.connect();
  await session.rows("create table bulk (id int, content bytea)");
  await session.rows("alter table bulk alter content set storage external");
  const random = new Random(1);
  const row = (id: number): string[] => {
    const bytes = Buffer.alloc(ROW_BYTES);
    for (let at = 0; at < ROW_BYTES; at += 4) bytes.writeUInt32LE((Math.floor(random.next() * 2 ** 32) & 0x0f0f0f0f) >>> 0, at);
    return [String(id), `\\x${bytes.toString("hex")}`];
  };
  for (let id = 0; id < (gib * GIB) / ROW_BYTES; id++) await copyRows(session, "bulk", [row(id)]);
  // Nothing writes while it is measured: WAL would be measured with it.
  await session.rows("vacuum freeze");
  await session.rows("checkpoint");
}

/** Each a file of one block. */
async function addSmallTables(cluster: Cluster, count: number): Promise<void> {
  await using session = await cluster.connect();
  for (let first = 1; first <= count; first += TABLES_A_TRANSACTION)
    await session.rows(
      `do $$ begin for i in ${first}..${Math.min(count, first + TABLES_A_TRANSACTION - 1)} loop execute format('create table file%s as select %s as i, md5(%s::text) as t', i, i, i); end loop; end $$`,
    );
  await session.rows("vacuum freeze pg_class, pg_attribute, pg_type, pg_depend");
  await session.rows("checkpoint");
}
