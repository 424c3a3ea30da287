import { RunBuilder } from "../../domain/file-map.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import { isAllZero } from "../../domain/page.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import type { BlockWriter } from "../../repository/block-writer.ts";
import type { ParentFile } from "../../repository/parent-file.ts";
import type { FileJob } from "./copy-plan.ts";

/**
 * Builds the map entry of one file from the blocks that were read and, for the rest, the parent's: a block whose digest is the parent's is the parent's, an all-zero block
 * is a run of zeros, everything else is stored.
 */
export class FileAssembly {
  readonly job: FileJob;
  readonly #parent: ParentFile | null;
  readonly #blockSize: number;
  readonly #runs = new RunBuilder();
  /** Where the file was found to end, if earlier than listed. */
  #endBytes: number | null = null;
  #vanished = false;

  constructor(job: FileJob, parent: ParentFile | null, blockSize: number) {
    this.job = job;
    this.#parent = parent;
    this.#blockSize = blockSize;
  }

  vanish(): void {
    this.#vanished = true;
  }

  /** Adds what was read from block `from` on. `bytes` may be shorter than asked: then the file ends there. */
  async add(from: number, askedBlocks: number, bytes: Buffer, store: { writer: BlockWriter; digest: BlockDigest }): Promise<void> {
    if (this.#vanished || this.#endBytes !== null) return;
    this.#inheritUpTo(from);
    const asked = Math.min(askedBlocks * this.#blockSize, this.job.length - from * this.#blockSize);
    if (bytes.length < asked) this.#endBytes = from * this.#blockSize + bytes.length;
    const taken = bytes.length > asked ? bytes.subarray(0, asked) : bytes;
    const known = this.#parent === null || taken.length === 0 ? [] : await this.#parent.blocks(from, from + askedBlocks);
    for (let i = 0, at = 0; at < taken.length; i++, at += this.#blockSize) {
      const block = this.#blockAt(taken, at);
      if (isAllZero(block)) {
        this.#runs.addZeros(1);
        continue;
      }
      const digest = store.digest(block);
      const before = known[i];
      this.#runs.add({ blocks: 1, at: before?.digest === digest ? before.at : store.writer.append(block, digest) });
    }
    await store.writer.ready();
  }

  /** The finished entry, or null if the file vanished while it was read (WAL says what became of it). */
  finish(): FileEntry | null {
    if (this.#vanished) return null;
    const length = this.#endBytes ?? this.job.length;
    this.#inheritUpTo(Math.ceil(length / this.#blockSize));
    return { type: "file", path: this.job.path, length, runs: this.#runs.finish() };
  }

  #inheritUpTo(block: number): void {
    const missing = block - this.#runs.blocks;
    if (missing <= 0) return;
    const inherited = this.#parent?.runs(this.#runs.blocks, block) ?? [];
    for (const run of inherited) this.#runs.add(run);
    if (this.#runs.blocks !== block) throw new RangeError(`${this.job.path}: blocks up to ${block} are neither read nor the parent's`);
  }

  /** A last block that is shorter than a block is filled with zeros; the entry's length says where it ends. */
  #blockAt(bytes: Buffer, at: number): Buffer {
    if (at + this.#blockSize <= bytes.length) return bytes.subarray(at, at + this.#blockSize);
    const block = Buffer.alloc(this.#blockSize);
    bytes.copy(block, 0, at);
    return block;
  }
}
