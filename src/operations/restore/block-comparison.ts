import type { FileHandle } from "node:fs/promises";
import pMap from "p-map";
import { cutRuns, isContinuedBy, placeRuns } from "../../domain/file-map.ts";
import type { FileEntry, PlacedRun } from "../../domain/file-map.ts";
import { isAllZero } from "../../domain/page.ts";
import { createBlockDigest } from "../../repository/block-digest.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { SpareMemory } from "../../spare-memory.ts";

const READ_BYTES = 256 << 10;
/** Memory to read into that is kept: that of as many stretches as are looked at side by side. */
const KEPT_BUFFERS = 32;
/** A large file is read in several places at once: one read after the other leaves disk and processor waiting for each other. */
const STRETCH_BYTES = 32 << 20;
const STRETCHES_AT_ONCE = 4;

/**
 * Compares a file that is there with the map of a backup, block by block. By the digests that the map has of every stored block, so that nothing of the repository is read but what differs.
 * The same 64 bits decide in an incremental backup whether a block changed.
 */
export class BlockComparison {
  readonly #chain: ChainReader;
  readonly #digest: BlockDigest;
  readonly #blockSize: number;
  readonly #spares: SpareMemory;

  private constructor(chain: ChainReader, digest: BlockDigest, blockSize: number) {
    this.#chain = chain;
    this.#digest = digest;
    this.#blockSize = blockSize;
    this.#spares = new SpareMemory({ smallest: Math.max(blockSize, READ_BYTES), most: KEPT_BUFFERS });
  }

  static async open(chain: ChainReader, backup: string, blockSize: number): Promise<BlockComparison> {
    return new BlockComparison(chain, await createBlockDigest((await chain.root(backup)).digestSeed), blockSize);
  }

  /** The blocks of the entry that the file does not hold, runs of zeros among them. Reads the file whole, in several places at once. */
  async differing(file: FileHandle, entry: FileEntry): Promise<PlacedRun[]> {
    const stretches = cutRuns(placeRuns(entry.runs), Math.max(1, Math.floor(STRETCH_BYTES / this.#blockSize)));
    const found: PlacedRun[] = [];
    for (const runs of await pMap(stretches, async (stretch) => this.#differingIn(stretch, file, entry.length), { concurrency: STRETCHES_AT_ONCE }))
      for (const run of runs) join(found, run);
    return found;
  }

  async #differingIn(runs: readonly PlacedRun[], file: FileHandle, entryBytes: number): Promise<PlacedRun[]> {
    const blocks = runs.reduce((sum, run) => sum + run.blocks, 0);
    const buffer = this.#spares.take(Math.min(Math.max(this.#blockSize, READ_BYTES), blocks * this.#blockSize));
    try {
      return await this.#compare(runs, { file, entryBytes, buffer });
    } finally {
      this.#spares.give(buffer);
    }
  }

  async #compare(runs: readonly PlacedRun[], { file, entryBytes, buffer }: { file: FileHandle; entryBytes: number; buffer: Buffer }): Promise<PlacedRun[]> {
    const found: PlacedRun[] = [];
    let [first, filled] = [0, 0];
    for (const run of runs) {
      const digests = run.at === null ? null : (await this.#chain.digestsOf(run.at.backup, run.at.pack, run.at.frame)).subarray(run.at.block, run.at.block + run.blocks);
      for (let i = 0; i < run.blocks; i++) {
        const block = run.fileBlock + i;
        if (block * this.#blockSize >= first + filled) [first, filled] = [block * this.#blockSize, await this.#fill(file, buffer, block, entryBytes)];
        const at = block * this.#blockSize - first;
        const bytes = buffer.subarray(at, at + this.#blockSize);
        const isSame = digests === null ? isAllZero(bytes) : this.#digest(bytes) === digests[i];
        if (!isSame) join(found, { fileBlock: block, blocks: 1, at: run.at === null ? null : { ...run.at, block: run.at.block + i } });
      }
    }
    return found;
  }

  /** Reads from a block on. What is beyond the end of the entry, or of the file, is zeros, as in the last block of a file that was stored. Returns how much is filled. */
  async #fill(file: FileHandle, buffer: Buffer, block: number, entryBytes: number): Promise<number> {
    const from = block * this.#blockSize;
    const wanted = Math.min(buffer.length, entryBytes - from);
    let done = 0;
    while (done < wanted) {
      const { bytesRead } = await file.read(buffer, done, wanted - done, from + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    buffer.fill(0, done);
    return buffer.length;
  }
}

/** What continues in file and extent is one run. */
function join(runs: PlacedRun[], next: PlacedRun): void {
  const last = runs.at(-1);
  if (last !== undefined && last.fileBlock + last.blocks === next.fileBlock && isContinuedBy(last, next)) runs[runs.length - 1] = { ...last, blocks: last.blocks + next.blocks };
  else runs.push(next);
}
