import { expect, test } from "vitest";
import { formatLsn, parseLsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";
import type { WalChanges } from "../../src/domain/wal-changes.ts";
import { startCluster } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { readChanges } from "../support/wal-changes.ts";
import { buildWorkload, mutate } from "../support/workload.ts";

/** Random workloads to compare on, each from its own seed. HOLDFAST_SUMMARY_SEEDS=100 is the long run. */
const SEEDS = Number(process.env["HOLDFAST_SUMMARY_SEEDS"] ?? 6);
const FIRST_SEED = Number(process.env["HOLDFAST_SUMMARY_FIRST_SEED"] ?? 1);
const SEEDS_PER_CLUSTER = 10;

interface ServerChange {
  readonly relation: readonly [number, number, number];
  readonly fork: number;
  readonly block: number;
  readonly isLimit: boolean;
}

describeEachPostgres("WAL summaries of our own", { atLeast: 17 }, (binaries) => {
  const groups = Array.from({ length: Math.ceil(SEEDS / SEEDS_PER_CLUSTER) }, (_, group) => ({
    seeds: Array.from({ length: Math.min(SEEDS_PER_CLUSTER, SEEDS - group * SEEDS_PER_CLUSTER) }, (__, i) => FIRST_SEED + group * SEEDS_PER_CLUSTER + i),
  }));

  test.each(groups)("hold all that the server's hold of main and init forks, over random workloads ($seeds)", async ({ seeds }) => {
    await using cluster = await startCluster({ binaries, summarizeWal: true, tablespaces: 2, settings: { wal_keep_size: "8GB", max_wal_size: "4GB" } });
    await buildWorkload(cluster, { seed: seeds[0] ?? 1 });
    let [theirs, more] = [0, 0];
    for (const seed of seeds) {
      const from = await checkpoint(cluster);
      const actions = [...(await mutate(cluster, seed, 1)), ...(await mutate(cluster, seed, 2))];
      const to = await checkpoint(cluster);
      const server = await readServerSummaries(cluster, from, to);
      const { changes } = await readChanges(cluster, from, to);
      const missing = server.filter((change) => !holds(changes, change));
      expect(missing, `seed ${seed}, ${formatLsn(from)} to ${formatLsn(to)}: ${actions.join(", ")}`).toEqual([]);
      theirs += server.length;
      const named = new Set(server.filter(({ isLimit }) => !isLimit).map(({ relation, fork, block }) => [...relation, fork, block].join("/")));
      more += namedBlocks(changes).filter((block) => !named.has(block)).length;
    }
    expect(theirs).toBeGreaterThan(100 * seeds.length);
    // Ours name no more than theirs either: what is read in vain would be time lost.
    expect(more).toBe(0);
  });
});

function holds(changes: WalChanges, { relation, fork, block, isLimit }: ServerChange): boolean {
  const [tablespace, database, number] = relation;
  // To the server, relation 0 stands for a whole database.
  if (changes.isReplaced(tablespace, database)) return true;
  if (number === 0) return false;
  const found = changes.find(tablespace, database, number, fork);
  return found !== null && (block >= found.limitBlock || (!isLimit && found.blocks.has(block)));
}

function namedBlocks(changes: WalChanges): string[] {
  return changes
    .forks()
    .flatMap(({ tablespace, database, relation, fork, blocks }) => [...blocks.toArray()].map((block) => [tablespace, database, relation, fork, block].join("/")));
}

/** A place where the server's summaries begin and end too. */
async function checkpoint(cluster: Cluster): Promise<Lsn> {
  await cluster.sql("checkpoint");
  const [row] = await cluster.sql("select redo_lsn::text as lsn from pg_control_checkpoint()");
  return parseLsn(row?.["lsn"] ?? "");
}

async function readServerSummaries(cluster: Cluster, from: Lsn, to: Lsn): Promise<ServerChange[]> {
  const [start, end] = [formatLsn(from), formatLsn(to)];
  await eventually(`the server summarises WAL to ${end}`, async () => {
    const [row] = await cluster.sql(`select coalesce(max(end_lsn) >= '${end}', false) as reached from pg_available_wal_summaries()`);
    return row?.["reached"] === "t";
  });
  const rows = await cluster.sql(
    `select c.reltablespace::text as tablespace, c.reldatabase::text as database, c.relfilenode::text as relation, c.relforknumber::text as fork, c.relblocknumber::text as block, c.is_limit_block as is_limit
     from pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) c
     where s.start_lsn < '${end}' and s.end_lsn > '${start}' and c.relforknumber in (0, 3)`,
  );
  return rows.map((row) => ({
    relation: [Number(row["tablespace"]), Number(row["database"]), Number(row["relation"])],
    fork: Number(row["fork"]),
    block: Number(row["block"]),
    isLimit: row["is_limit"] === "t",
  }));
}
