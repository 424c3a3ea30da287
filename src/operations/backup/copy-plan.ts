import type { FileEntry } from "../../domain/file-map.ts";
import { blocksOf } from "../../domain/file-map.ts";
import { classify } from "../../postgres/cluster-files.ts";
import type { ChangedBlocks } from "../../postgres/server-summaries.ts";

/** Blocks `[from, to)` of one file. */
export interface BlockRange {
  readonly from: number;
  readonly to: number;
}

/** One file to be copied: which of its blocks are read; the others are the parent's. */
export interface FileJob {
  readonly path: string;
  /** Length when it was listed. It may grow (WAL has the rest) or shrink. */
  readonly length: number;
  readonly parent: FileEntry | null;
  readonly ranges: readonly BlockRange[];
}

export interface ClusterShape {
  readonly blockSize: number;
  readonly segmentBlocks: number;
  readonly dataChecksums: boolean;
}

/**
 * Which blocks of a file must be read. Everything, unless WAL summaries prove that a block is the parent's: and those are believed for main and init forks only.
 * What the parent does not have (growth), and what lies at or beyond a cut, is always read.
 */
export function planRanges(path: string, length: number, parent: FileEntry | null, changes: ChangedBlocks | null, shape: ClusterShape): BlockRange[] {
  const total = blocksOf(length, shape.blockSize);
  const file = classify(path);
  const whole = total === 0 ? [] : [{ from: 0, to: total }];
  if (changes === null || parent === null || file.kind !== "relation" || (file.fork !== "main" && file.fork !== "init")) return whole;
  const changed = changes.of(file.relation, file.fork);
  if (changed === "all") return whole;
  const firstOfSegment = file.segment * shape.segmentBlocks;
  const limit = changed === null ? total : changed.limitBlock - firstOfSegment;
  // A last block that was cut short in the parent is not the whole block that may be there now.
  const fromHere = Math.max(0, Math.min(total, limit, Math.floor(parent.length / shape.blockSize)));
  const ranges: BlockRange[] = [];
  if (changed !== null) {
    for (let i = lowerBound(changed.blocks, firstOfSegment); i < changed.blocks.length; i++) {
      const block = (changed.blocks[i] as number) - firstOfSegment;
      if (block >= fromHere) break;
      const last = ranges.at(-1);
      if (last?.to === block) ranges[ranges.length - 1] = { from: last.from, to: block + 1 };
      else ranges.push({ from: block, to: block + 1 });
    }
  }
  if (fromHere < total) ranges.push({ from: fromHere, to: total });
  return ranges;
}

/** Index of the first element that is not below `value`. */
function lowerBound(sorted: Uint32Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A piece of a batch: blocks of one file. `last`: no more of this file follows. */
interface BatchItem {
  readonly job: FileJob;
  readonly range: BlockRange;
  readonly last: boolean;
}

/** What is read in one go. */
export type Batch = readonly BatchItem[];

const BATCH_BYTES = 4 << 20;
const BATCH_ITEMS = 2000;
/** One value of a copy stream, and one extent of a full. */
const PIECE_BYTES = 1 << 20;

/** Cuts jobs into batches of bounded size, in order. A file of which nothing is read still has its place. */
export async function* batches(jobs: AsyncIterable<FileJob>, blockSize: number): AsyncGenerator<Batch> {
  const pieceBlocks = Math.max(1, Math.floor(PIECE_BYTES / blockSize));
  let batch: BatchItem[] = [];
  let bytes = 0;
  for await (const job of jobs) {
    for (const item of pieces(job, pieceBlocks)) {
      batch.push(item);
      bytes += (item.range.to - item.range.from) * blockSize;
      if (bytes < BATCH_BYTES && batch.length < BATCH_ITEMS) continue;
      yield batch;
      [batch, bytes] = [[], 0];
    }
  }
  if (batch.length > 0) yield batch;
}

function* pieces(job: FileJob, pieceBlocks: number): Generator<BatchItem> {
  if (job.ranges.length === 0) yield { job, range: { from: 0, to: 0 }, last: true };
  for (const [i, range] of job.ranges.entries()) {
    for (let from = range.from; from < range.to; from += pieceBlocks) {
      const to = Math.min(range.to, from + pieceBlocks);
      yield { job, range: { from, to }, last: to === range.to && i === job.ranges.length - 1 };
    }
  }
}
