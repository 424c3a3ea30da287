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

function mix(sum: number, word: number): number {
  const mixed = sum ^ word;
  return Math.imul(mixed, FNV_PRIME) ^ (mixed >>> 17);
}

/** Four lanes are summed at a time, in variables: twice as fast as all of them in an array, row by row. */
const LANES_AT_ONCE = 4;

/** The checksum of a page, as if it were block `blockNumber` of its relation fork. */
function pageChecksum(words: Int32Array, blockNumber: number): number {
  const word = (at: number): number => words[at] as number;
  const base = (lane: number): number => BASE_OFFSETS[lane] as number;
  let result = blockNumber;
  for (let lane = 0; lane < LANES; lane += LANES_AT_ONCE) {
    // pd_checksum (the low half of word 2) counts as zero.
    let a = mix(base(lane), word(lane));
    let b = mix(base(lane + 1), word(lane + 1));
    let c = mix(base(lane + 2), lane === 0 ? word(2) & 0xffff0000 : word(lane + 2));
    let d = mix(base(lane + 3), word(lane + 3));
    for (let at = lane + LANES; at < words.length; at += LANES) {
      a = mix(a, word(at));
      b = mix(b, word(at + 1));
      c = mix(c, word(at + 2));
      d = mix(d, word(at + 3));
    }
    // Two rounds of zeros, for additional mixing.
    result ^= mix(mix(a, 0), 0) ^ mix(mix(b, 0), 0) ^ mix(mix(c, 0), 0) ^ mix(mix(d, 0), 0);
  }
  return ((result >>> 0) % 65535) + 1;
}

export type PageVerdict = "good" | "new" | "bad";

/** Judges the pages of a chunk read from a relation fork: `firstBlock` is the number of its first page in the whole fork, not in the segment file. */
export function judgePage(chunk: Buffer, offset: number, blockSize: number, blockNumber: number): PageVerdict {
  const page = chunk.subarray(offset, offset + blockSize);
  // pd_upper of zero: PostgreSQL itself calls such a page new, if it is all zero.
  if (page.readUInt16LE(14) === 0) return isAllZero(page) ? "new" : "bad";
  return pageChecksum(wordsOf(page), blockNumber) === page.readUInt16LE(8) ? "good" : "bad";
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
