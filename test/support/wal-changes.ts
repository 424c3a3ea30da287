import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Lsn } from "../../src/domain/lsn.ts";
import type { WalChanges } from "../../src/domain/wal-changes.ts";
import type { WalSummary } from "../../src/domain/wal-summary.ts";
import { parseSegmentName, segmentEnd, segmentStart } from "../../src/domain/wal-segment.ts";
import { WalWalker } from "../../src/postgres/wal-records.ts";
import type { WalVisitor } from "../../src/postgres/wal-records.ts";
import { WalSummarizer } from "../../src/postgres/wal-summarizer.ts";
import type { Cluster } from "./running-cluster.ts";

const SEGMENT_BYTES = 16 << 20;

/** Every record in the WAL of a server that begins at or after `from`, and before `to`, read from the files in its data directory. */
export async function walkRecords(cluster: Cluster, from: Lsn, to: Lsn, visit: WalVisitor): Promise<void> {
  let walker: WalWalker | null = null;
  for (const name of await segmentsBetween(cluster, from, to)) {
    walker ??= new WalWalker(startOf(name), {
      segmentBytes: SEGMENT_BYTES,
      checkCrc: true,
      visit: (record) => {
        if (record.start >= from && record.start < to) visit(record);
      },
    });
    walker.push(await readFile(join(cluster.dataDirectory, "pg_wal", name)));
    if (walker.stopped !== null && (walker.lastEnd ?? 0n) < to) throw new Error(`WAL in ${name} is ${walker.stopped}`);
  }
}

/** What the records of a range changed by our reading. */
export async function readChanges(cluster: Cluster, from: Lsn, to: Lsn): Promise<WalSummary> {
  const summarizer = new WalSummarizer();
  await walkRecords(cluster, from, to, (record) => summarizer.add(record));
  const { failure } = summarizer;
  const summary = summarizer.take();
  if (summary === null) throw new Error(`no summary: ${failure ?? "there is no record"}`);
  return summary;
}

/** Segments of the server that hold anything of a range, in order. */
export async function segmentsBetween(cluster: Cluster, from: Lsn, to: Lsn): Promise<string[]> {
  const names = (await readdir(join(cluster.dataDirectory, "pg_wal"))).filter((name) => /^[0-9A-F]{24}$/.test(name));
  return names.filter((name) => startOf(name) < to && endOf(name) > from).toSorted();
}

/** Changes as sorted lines of text, for comparing. */
export function linesOf(changes: WalChanges): string[] {
  return [
    ...changes.databases().map(({ tablespace, database }) => `${tablespace}/${database} was replaced`),
    ...changes
      .forks()
      .map(
        ({ tablespace, database, relation, fork, limitBlock, blocks }) =>
          `${tablespace}/${database}/${relation} fork ${fork} cut at ${limitBlock}: ${[...blocks.toArray()].join(" ")}`,
      ),
  ];
}

function startOf(name: string): Lsn {
  return segmentStart(segmentOf(name), SEGMENT_BYTES);
}

function endOf(name: string): Lsn {
  return segmentEnd(segmentOf(name), SEGMENT_BYTES);
}

function segmentOf(name: string): NonNullable<ReturnType<typeof parseSegmentName>> {
  const segment = parseSegmentName(name, SEGMENT_BYTES);
  if (segment === null) throw new Error(`${name} is no segment`);
  return segment;
}
