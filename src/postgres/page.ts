/**
 * PostgreSQL's data pages: the checksum of storage/checksum_impl.h in typed-array JavaScript, and the few header fields a backup looks at.
 */
const LANES = 32;
const FNV_PRIME = 16777619;
const BASE_OFFSETS = new Int32Array([
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c,
  0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e,
  0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
]);

const sums = new Int32Array(LANES);

/**
 * The checksum of the page at `offset` (a multiple of 4 in the underlying buffer), as if it were block `blockNumber` of its relation fork.
 */
function pageChecksum(words: Int32Array, wordOffset: number, wordCount: number, blockNumber: number): number {
  sums.set(BASE_OFFSETS);
  const checksumWord = wordOffset + 2;
  const rows = wordCount / LANES;
  for (let row = 0, at = wordOffset; row < rows; row++, at += LANES) {
    for (let lane = 0; lane < LANES; lane++) {
      // pd_checksum (the low half of word 2) counts as zero.
      const word = at + lane === checksumWord ? (words[at + lane] as number) & 0xffff0000 : (words[at + lane] as number);
      const mixed = (sums[lane] as number) ^ word;
      sums[lane] = Math.imul(mixed, FNV_PRIME) ^ (mixed >>> 17);
    }
  }
  // Two rounds of zeros, for additional mixing.
  for (let round = 0; round < 2; round++) {
    for (let lane = 0; lane < LANES; lane++) {
      const mixed = sums[lane] as number;
      sums[lane] = Math.imul(mixed, FNV_PRIME) ^ (mixed >>> 17);
    }
  }
  let result = 0;
  for (let lane = 0; lane < LANES; lane++) result ^= sums[lane] as number;
  result ^= blockNumber;
  return ((result >>> 0) % 65535) + 1;
}

export type PageVerdict = "good" | "new" | "bad";

/** Judges the pages of a chunk read from a relation fork: `firstBlock` is the number of its first page in the whole fork, not in the segment file. */
export function judgePage(chunk: Buffer, offset: number, blockSize: number, blockNumber: number): PageVerdict {
  const page = chunk.subarray(offset, offset + blockSize);
  // pd_upper of zero: PostgreSQL itself calls such a page new, if it is all zero.
  if (page.readUInt16LE(14) === 0) return isAllZero(page) ? "new" : "bad";
  const words = wordsOf(page);
  return pageChecksum(words, 0, blockSize / 4, blockNumber) === page.readUInt16LE(8) ? "good" : "bad";
}

function wordsOf(page: Buffer): Int32Array {
  if (page.byteOffset % 4 === 0) return new Int32Array(page.buffer, page.byteOffset, page.length / 4);
  const aligned = new Uint8Array(page);
  return new Int32Array(aligned.buffer, 0, aligned.length / 4);
}

/** pd_lsn: the end of the WAL record that last changed the page. */
export function pageLsn(page: Buffer): bigint {
  return (BigInt(page.readUInt32LE(0)) << 32n) | BigInt(page.readUInt32LE(4));
}

const ZEROS = Buffer.alloc(32_768);

export function isAllZero(block: Buffer): boolean {
  return block.length <= ZEROS.length && block[0] === 0 && block[block.length - 1] === 0 && block.compare(ZEROS, 0, block.length) === 0;
}
