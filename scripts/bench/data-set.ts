import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { startCluster } from "../../test/support/cluster.ts";
import type { PostgresBinaries } from "../../test/support/postgres-binaries.ts";
import { Random } from "../../test/support/random.ts";
import { order } from "../../test/support/realistic-rows.ts";
import { copyRows, numbered } from "../../test/support/row-loading.ts";
import type { Cluster } from "../../test/support/running-cluster.ts";

const SEED_ROWS = 200_000;
const ROWS_AT_ONCE = 10_000;
const LARGE_TABLES = 4;
const SMALL_TABLES = 1000;
const GIB = 1024 ** 3;
const SEED = 20_261_121;

/**
 * A cluster with `gib` of data that looks like a shop's: a few large tables with indexes, thousands of small files. Rows are made once and multiplied by the server with other
 * keys and references, so that no two pages are alike; pages compress three to four times.
 */
export async function makeDataSet(binaries: PostgresBinaries, gib: number): Promise<Cluster> {
  const cluster = await startCluster({
    binaries,
    durable: true,
    ...(binaries.major >= 17 ? { summarizeWal: true } : {}),
    settings: { max_wal_size: "4GB", shared_buffers: "512MB", autovacuum: "off" },
  });
  await using failing = new AsyncDisposableStack();
  failing.use(cluster);
  await using session = await cluster.connect();
  const random = new Random(SEED);
  await session.rows("create unlogged table seed (id int, customer int, reference uuid, placed timestamptz, amount numeric, status text, body text)");
  for (let first = 1; first <= SEED_ROWS; first += ROWS_AT_ONCE) {
    const rows = numbered(ROWS_AT_ONCE, (id) => order(random, id, 50_000), first).map((row) => [row.id, row.customer, row.reference, row.placed, row.amount, row.status, row.body]);
    await copyRows(session, "seed", rows);
  }
  for (let i = 1; i <= LARGE_TABLES; i++) {
    await session.rows(`create table large${i} (like seed, counter int not null default 0) with (fillfactor = 92)`);
    await grow(session.rows.bind(session), `large${i}`, (gib * GIB) / LARGE_TABLES);
  }
  for (let i = 1; i <= SMALL_TABLES; i++)
    await session.rows(`create table small${i} as select * from seed where id % ${SMALL_TABLES} = ${i - 1} limit 50; alter table small${i} add primary key (id)`);
  await session.rows("drop table seed");
  await session.rows("vacuum (analyze)");
  await session.rows("checkpoint");
  failing.move();
  return cluster;
}

async function grow(sql: (text: string) => Promise<Record<string, string | null>[]>, table: string, bytes: number): Promise<void> {
  for (let round = 0; ; round++) {
    await sql(
      `insert into ${table} select id + ${round * SEED_ROWS}, (customer * 7919 + ${round}) % 50000, md5(reference::text || ${round})::uuid, placed + make_interval(days => ${round}), amount + ${round % 100}, status, body from seed`,
    );
    const [size] = await sql(`select pg_relation_size('${table}') as bytes`);
    if (Number(size?.["bytes"]) >= bytes * 0.85) break;
  }
  await sql(`create index on ${table} (id)`);
}

/** Changes one row on a share of all pages of the large tables. Each round takes another row of the page. Returns how many pages. */
export async function changePages(cluster: Cluster, share: number, round: number): Promise<number> {
  let pages = 0;
  const step = Math.round(1 / share);
  for (let i = 1; i <= LARGE_TABLES; i++) {
    const [row] = await cluster.sql(
      `with changed as (update large${i} set counter = counter + 1 where ctid = any (array(select format('(%s,%s)', page, ${round + 1})::tid from generate_series(0, pg_relation_size('large${i}') / 8192 - 1, ${step}) page)) returning 1) select count(*) as pages from changed`,
    );
    pages += Number(row?.["pages"]);
  }
  await cluster.sql("checkpoint");
  return pages;
}

const PAGE_BYTES = 8192;
const LARGE_BYTES = 1 << 20;
const SPOILED_BYTES = 64;

/** Overwrites something in a share of the pages of the large files of a folder at rest. Returns how many pages. */
export async function spoilPages(folder: string, share: number): Promise<number> {
  const random = new Random(SEED);
  let pages = 0;
  const files = await readdir(join(folder, "base"), { recursive: true });
  for (const name of files.toSorted()) {
    const file = join(folder, "base", name);
    const { size } = await stat(file);
    if (!/\/\d+(\.\d+)?$/.test(file) || size < LARGE_BYTES) continue;
    await using handle = await open(file, "r+");
    for (let page = 0; page < Math.floor(size / PAGE_BYTES); page++) {
      if (!random.chance(share)) continue;
      await handle.write(Buffer.alloc(SPOILED_BYTES, page), 0, SPOILED_BYTES, page * PAGE_BYTES + PAGE_BYTES / 2);
      pages++;
    }
  }
  return pages;
}
