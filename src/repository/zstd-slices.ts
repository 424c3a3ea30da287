import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { free } from "../spare-memory.ts";

/**
 * Plain bytes that are packed on their own, as a zstd frame after the other: whoever needs some pages opens those slices alone. Up to this size zstd takes parameters for small inputs,
 * with which pages pack no worse than in one piece.
 */
export const SLICE_BYTES = 256 << 10;

/** A zstd frame: where it lies among packed bytes, and which of the plain bytes it holds. */
export interface Slice {
  readonly at: number;
  readonly length: number;
  readonly from: number;
  readonly plainLength: number;
}

/** Node hands out the result chunk by chunk, and its chunks of 16 KiB cost more than zstd itself. A chunk that is filled to the last byte brings another with it. */
function chunkFor(bytes: number): number {
  return Math.ceil(bytes) + 1024;
}

/** One-shot zstd with its content checksum (streams and zstd's own threads are not to be trusted in Node 24). Memory of its own; null for what does not shrink. */
export function packSlices(plain: Uint8Array, level: number): Uint8Array | null {
  const packed = Buffer.allocUnsafeSlow(plain.length);
  let length = 0;
  for (let from = 0; from < plain.length && length < plain.length; from += SLICE_BYTES) {
    const slice = packSlice(plain.subarray(from, from + SLICE_BYTES), level);
    if (length + slice.length <= packed.length) packed.set(slice, length);
    length += slice.length;
    free(slice);
  }
  if (length < plain.length) return packed.subarray(0, length);
  free(packed);
  return null;
}

function packSlice(plain: Uint8Array, level: number): Buffer {
  return zstdCompressSync(plain, {
    chunkSize: chunkFor(plain.length / 2),
    pledgedSrcSize: plain.length,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** The plain bytes of one slice. Never more than it says: throws where there are more or less, and where they do not decompress. */
export function unpackSlice(packed: Uint8Array, { at, length, plainLength }: Slice): Buffer {
  const plain = zstdDecompressSync(packed.subarray(at, at + length), { chunkSize: chunkFor(plainLength), maxOutputLength: Math.max(plainLength, 1) });
  if (plain.length !== plainLength) throw new RangeError("a zstd frame holds another length than it says");
  return plain;
}

const MAGIC = 0xfd2f_b528;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const CHECKSUM_BYTES = 4;
const BLOCK_HEADER_BYTES = 3;
const RLE_BLOCK = 1;

/** The slices of packed bytes, found by what zstd frames and their blocks say of their own lengths (RFC 8878, sections 3.1.1.1 and 3.1.1.2). Throws where they do not add up. */
export function slicesOf(packed: Buffer): Slice[] {
  const slices: Slice[] = [];
  for (let at = 0, from = 0; at < packed.length;) {
    if (packed.readUInt32LE(at) !== MAGIC) throw new RangeError("no zstd frame where one should be");
    const descriptor = packed.readUInt8(at + 4);
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const sizeAt = at + 5 + (isSingleSegment ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0);
    const { plainLength, bytes } = contentSize(packed, sizeAt, descriptor >> 6, isSingleSegment);
    const end = endOfBlocks(packed, sizeAt + bytes) + ((descriptor & 4) === 0 ? 0 : CHECKSUM_BYTES);
    if (end > packed.length) throw new RangeError("a zstd frame ends behind the last byte");
    slices.push({ at, length: end - at, from, plainLength });
    [at, from] = [end, from + plainLength];
  }
  return slices;
}

function contentSize(packed: Buffer, at: number, flag: number, isSingleSegment: boolean): { plainLength: number; bytes: number } {
  if (flag === 3) return { plainLength: Number(packed.readBigUInt64LE(at)), bytes: 8 };
  if (flag === 2) return { plainLength: packed.readUInt32LE(at), bytes: 4 };
  if (flag === 1) return { plainLength: packed.readUInt16LE(at) + 256, bytes: 2 };
  if (!isSingleSegment) throw new RangeError("a zstd frame does not say how much is in it");
  return { plainLength: packed.readUInt8(at), bytes: 1 };
}

function endOfBlocks(packed: Buffer, from: number): number {
  for (let at = from; ;) {
    const header = packed.readUIntLE(at, BLOCK_HEADER_BYTES);
    at += BLOCK_HEADER_BYTES + (((header >> 1) & 3) === RLE_BLOCK ? 1 : header >> 3);
    if ((header & 1) === 1) return at;
  }
}
