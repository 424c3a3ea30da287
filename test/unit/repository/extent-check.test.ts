import { describe, expect, test } from "vitest";
import { loadDigest } from "../../../src/repository/block-digest.ts";
import { checkExtent } from "../../../src/repository/extent-check.ts";
import type { ExtentCheck, ExtentFindings } from "../../../src/repository/extent-check.ts";

const BLOCK = 8192;
const BLOCKS = 6;
const SEED = 3n;
const LSN = 0x1_0000_00a0n;

const digest = await loadDigest();

/** Pages that PostgreSQL would call used, with a checksum that is wrong: the right one depends on where the page belongs. */
function content(): Buffer {
  const bytes = Buffer.alloc(BLOCK * BLOCKS, 7);
  for (let at = 0; at < bytes.length; at += BLOCK) {
    bytes.writeUInt32LE(Number(LSN >> 32n), at);
    bytes.writeUInt32LE(Number(LSN & 0xffffffffn), at + 4);
  }
  // A page that nobody has used yet.
  bytes.fill(0, 2 * BLOCK, 3 * BLOCK);
  return bytes;
}

function check(given: Partial<ExtentCheck>): ExtentFindings {
  const plain = content();
  const digests = BigUint64Array.from({ length: BLOCKS }, (_, i) => digest(plain.subarray(i * BLOCK, (i + 1) * BLOCK), SEED));
  return checkExtent(plain, { blockSize: BLOCK, digestSeed: SEED, digests, pages: [], ...given }, digest);
}

describe("an extent", () => {
  test("is held against digests with its own seed", () => {
    expect(check({})).toEqual({ fault: null, badPages: [] });
    expect(check({ digestSeed: SEED + 1n }).fault).toBe("has a block 0 that does not fit its digest");
  });

  test("has bad pages where it was said that pages are, and not where one is new", () => {
    const { badPages } = check({
      pages: [
        { block: 0, blocks: 1, forkBlock: 0 },
        { block: 2, blocks: 2, forkBlock: 9 },
      ],
    });
    expect(badPages).toEqual([
      { run: 0, block: 0, lsn: LSN },
      { run: 1, block: 1, lsn: LSN },
    ]);
  });

  test("whose blocks are others is not looked at for pages, and one whose blocks were compared before is", () => {
    const pages = [{ block: 0, blocks: 1, forkBlock: 0 }];
    expect(check({ pages, digests: new BigUint64Array(BLOCKS) }).badPages).toEqual([]);
    expect(check({ pages, digests: null })).toEqual({ fault: null, badPages: [{ run: 0, block: 0, lsn: LSN }] });
  });
});
