import type { BlockLocation, BlockRun, FileEntry } from "../domain/file-map.ts";
import { sliceRuns } from "../domain/file-map.ts";
import type { ChainReader } from "./map-reader.ts";

/** A file as the parent backup has it: where its blocks lie, and their digests. Asked for blocks in ascending order. */
export class ParentFile {
  readonly entry: FileEntry;
  readonly #chain: ChainReader;

  constructor(entry: FileEntry, chain: ChainReader) {
    this.entry = entry;
    this.#chain = chain;
  }

  /** Runs that cover `[from, to)`, as far as the parent's file goes. */
  runs(from: number, to: number): BlockRun[] {
    return sliceRuns(this.entry.runs, from, to);
  }

  /** Location and digest of each block in `[from, to)`; null for zero blocks and beyond the parent's end. */
  async blocks(from: number, to: number): Promise<({ at: BlockLocation; digest: bigint } | null)[]> {
    const blocks: ({ at: BlockLocation; digest: bigint } | null)[] = [];
    for (const run of this.runs(from, to)) {
      if (run.at === null) {
        for (let i = 0; i < run.blocks; i++) blocks.push(null);
        continue;
      }
      const { backup, pack, frame, block } = run.at;
      const digests = await this.#chain.digestsOf(backup, pack, frame);
      for (let i = 0; i < run.blocks; i++) {
        const digest = digests[block + i];
        blocks.push(digest === undefined ? null : { at: { backup, pack, frame, block: block + i }, digest });
      }
    }
    return blocks;
  }
}
