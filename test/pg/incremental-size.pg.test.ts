import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { BackupView } from "../../src/domain/source-info.ts";
import { startCluster } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openSite } from "../support/site.ts";

const MIB = 1 << 20;
const CHANGED_PAGES = 1000;
/** HOLDFAST_SIZES=full makes the gigabyte of the requirement; by default a quarter of it, with the same changes. */
const MEBIBYTES = process.env["HOLDFAST_SIZES"] === "full" ? 1024 : 256;

describeEachPostgres("an incremental after one row on each of 1,000 pages", {}, (binaries) => {
  test("stores little, and with WAL summaries reads little", async () => {
    await using source = await startCluster({ binaries, settings: { autovacuum: "off", max_wal_size: "4GB" }, ...(binaries.major >= 17 ? { summarizeWal: true } : {}) });
    await fill(source);
    await using site = await openSite({ cluster: source });
    const full = (await site.run("backup", "--json")).json<BackupView>();
    expect(full.sourceBytes).toBeGreaterThan(MEBIBYTES * MIB * 0.9);
    // Data that shrinks like real data, not like filler: what an incremental stores is then not flattered.
    expect(full.sourceBytes / full.storedBytes).toBeLessThan(4);
    await source.sql("checkpoint");
    const [before] = await source.sql("select pg_current_wal_insert_lsn() as lsn");
    await source.sql(
      `update t set counter = counter + 1 where id in (select min(id) from t group by (ctid::text::point)[0]::int / (select greatest(1, (max((ctid::text::point)[0]::int) / ${CHANGED_PAGES})) from t) limit ${CHANGED_PAGES})`,
    );
    const changed = await countChangedPages(source, before?.["lsn"] ?? "");
    expect(changed).toBeGreaterThanOrEqual(CHANGED_PAGES);
    expect(changed).toBeLessThan(CHANGED_PAGES * 2.2);
    const incremental = (await site.run("backup", "--type", "incr", "--json")).json<BackupView>();
    process.stdout.write(
      `${binaries.version}: ${full.sourceBytes / MIB} MiB, ${changed} pages changed; incremental by ${incremental.changeSource} stored ${incremental.storedBytes / MIB} MiB, read ${incremental.readBytes / MIB} MiB\n`,
    );
    expect(incremental.storedBytes).toBeLessThanOrEqual(16 * MIB);
    expect(incremental.storedBytes).toBeGreaterThan(changed * 8192 * 0.2);
    expect(incremental.changeSource, incremental.changeSourceReason).toBe(binaries.major >= 17 ? "server-summaries" : "wal-summaries");
    expect(incremental.readBytes).toBeLessThanOrEqual(64 * MIB);
  });
});

/** Rows of about 800 bytes, most of them random digits, with room on each page for one update. */
async function fill(source: Cluster): Promise<void> {
  await source.sql("create table t (id int, counter int, text text) with (fillfactor = 80)");
  const rows = Math.floor((MEBIBYTES * MIB * 0.8) / 8192) * 9;
  await source.sql(
    `insert into t select g, 0, (select string_agg(md5((g * 31 + i)::text), '') from generate_series(1, 18) i) || repeat('padding that shrinks ', 8) from generate_series(1, ${rows}) g`,
  );
  await source.sql("vacuum (freeze) t");
}

/** Pages that WAL says were changed, counted by PostgreSQL's own tools. */
async function countChangedPages(source: Cluster, from: string): Promise<number> {
  const [now] = await source.sql("select pg_current_wal_flush_lsn() as lsn");
  const { stdout } = await promisify(execFile)(
    "bash",
    [
      "-c",
      `"$0" -p "$1" -s ${from} -e ${now?.["lsn"]} | grep -o 'rel [0-9/]* blk [0-9]*' | sort -u | wc -l`,
      `${source.binaries.directory}/pg_waldump`,
      `${source.dataDirectory}/pg_wal`,
    ],
    { maxBuffer: 1 << 28 },
  );
  return Number(stdout);
}
