import { judgePage, pageLsn } from "../domain/page.ts";
import type { SeededDigest } from "./block-digest.ts";

/** Blocks of an extent, one after the other, that are whole pages of one relation fork. */
export interface PageRun {
  /** The first of them in the extent. */
  readonly block: number;
  readonly blocks: number;
  /** Its number in the fork, which goes into PostgreSQL's checksum. */
  readonly forkBlock: number;
}

/** What the blocks of an extent are held against. */
export interface ExtentCheck {
  readonly blockSize: number;
  readonly digestSeed: bigint;
  /** One for each block; null where they were compared before. */
  readonly digests: BigUint64Array | null;
  /** What PostgreSQL's own checksums are looked at of. */
  readonly pages: readonly PageRun[];
}

export interface ExtentFindings {
  /** How the blocks differ from their digests, in words; null if they do not. Then no pages were looked at. */
  readonly fault: string | null;
  /** Pages whose checksum is wrong: which run, which block in it, and what the page says changed it last. */
  readonly badPages: readonly { readonly run: number; readonly block: number; readonly lsn: bigint }[];
}

/** Work on bytes alone, on whatever thread it is done. */
export function checkExtent(plain: Buffer, { blockSize, digestSeed, digests, pages }: ExtentCheck, digest: SeededDigest): ExtentFindings {
  const fault = digests === null ? null : compareDigests(plain, blockSize, digests, (block) => digest(block, digestSeed));
  return { fault, badPages: fault === null ? pages.flatMap((run, i) => badPagesOf(plain, blockSize, run, i)) : [] };
}

function compareDigests(plain: Buffer, blockSize: number, digests: BigUint64Array, digest: (block: Uint8Array) => bigint): string | null {
  if (digests.length * blockSize !== plain.length) return `has ${plain.length} bytes for ${digests.length} blocks`;
  const wrong = digests.findIndex((expected, i) => digest(plain.subarray(i * blockSize, (i + 1) * blockSize)) !== expected);
  return wrong < 0 ? null : `has a block ${wrong} that does not fit its digest`;
}

function badPagesOf(plain: Buffer, blockSize: number, { block, blocks, forkBlock }: PageRun, run: number): ExtentFindings["badPages"] {
  const found: { run: number; block: number; lsn: bigint }[] = [];
  for (let i = 0; i < blocks; i++) {
    const at = (block + i) * blockSize;
    if (judgePage(plain, at, blockSize, forkBlock + i) === "bad") found.push({ run, block: i, lsn: pageLsn(plain.subarray(at, at + blockSize)) });
  }
  return found;
}
