import { randomBytes } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { must } from "../../../src/errors.ts";
import { asBuffer, CODEC, encryptFrame, openFrame, openParts, packFrame } from "../../../src/repository/frame-codec.ts";
import type { FrameSecret, SealedFrame } from "../../../src/repository/frame-codec.ts";
import { packSlices, SLICE_BYTES, slicesOf, unpackSlice } from "../../../src/repository/zstd-slices.ts";

/** Half of it shrinks. */
function contentOf(bytes: number): Buffer {
  const content = Buffer.alloc(bytes, 7);
  for (let at = 0; at < bytes; at += 1024) randomBytes(Math.min(512, bytes - at)).copy(content, at);
  return content;
}

function packed(plain: Buffer): Buffer {
  return asBuffer(must(packSlices(plain, 3), "bytes that shrink"));
}

function unpacked(bytes: Buffer): Buffer {
  return Buffer.concat(slicesOf(bytes).map((slice) => unpackSlice(bytes, slice)));
}

describe("slices", () => {
  // Content sizes are written in one, two or four bytes.
  test.each([64, 255, 256, 257, 65_791, 65_792, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, 4 * SLICE_BYTES, 16 * SLICE_BYTES + 5])(
    "of %i bytes come back as they were",
    (bytes) => {
      const content = bytes < 1024 ? Buffer.alloc(bytes, 7) : contentOf(bytes);
      const stored = packed(content);
      const slices = slicesOf(stored);
      expect(slices.length).toBe(Math.ceil(bytes / SLICE_BYTES));
      expect(slices.map(({ from }) => from)).toEqual(slices.map((_, i) => i * SLICE_BYTES));
      expect(unpacked(stored).equals(content)).toBe(true);
      expect(zstdDecompressSync(stored.subarray(slices[0]?.at, slices[0]?.length)).equals(content.subarray(0, SLICE_BYTES))).toBe(true);
    },
  );

  test("of zeros, and one for all, are opened too", () => {
    const zeros = Buffer.alloc(5 * SLICE_BYTES);
    expect(unpacked(packed(zeros)).equals(zeros)).toBe(true);
    const content = contentOf(4 * SLICE_BYTES);
    expect(slicesOf(zstdCompressSync(content))).toHaveLength(1);
    expect(unpacked(zstdCompressSync(content)).equals(content)).toBe(true);
  });

  test("of what does not shrink there are none", () => {
    for (const bytes of [0, 1, 1000, SLICE_BYTES, 4 * SLICE_BYTES]) expect(packSlices(randomBytes(bytes), 1)).toBeNull();
    // The second shrinks a little, and all together do not.
    expect(packSlices(Buffer.concat([randomBytes(SLICE_BYTES), Buffer.alloc(40), randomBytes(2 * SLICE_BYTES)]), 1)).toBeNull();
    expect(packFrame(Buffer.alloc(0), 1).codec).toBe(CODEC.none);
  });

  test("that were cut anywhere, or are something else, are refused", () => {
    const stored = packed(contentOf(2 * SLICE_BYTES));
    const whole = slicesOf(stored).map(({ at }) => at);
    for (let length = 1; length < stored.length; length += length < 40 ? 1 : 977)
      if (!whole.includes(length)) expect(() => slicesOf(stored.subarray(0, length)), `${length} bytes`).toThrow(RangeError);
    expect(() => slicesOf(Buffer.concat([stored, Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0])]))).toThrow(/no zstd frame/);
  });

  test("that hold more or less than they say are refused", () => {
    const bytes = packed(Buffer.alloc(100_000, 7));
    const [slice] = slicesOf(bytes);
    for (const plainLength of [99_999, 100_001]) expect(() => unpackSlice(bytes, { ...must(slice, "a slice"), plainLength })).toThrow();
  });
});

describe("of a frame", () => {
  const secret: FrameSecret = { key: randomBytes(32), index: 3, binding: { repositoryId: "r", source: "db", object: "o" } };
  const content = contentOf(4 * SLICE_BYTES);
  const frame = encryptFrame(packFrame(content, 1), secret);
  const parts = (of: SealedFrame, ...wanted: number[]): number[] =>
    openParts(of.stored, of, secret, ({ from, plainLength }) => wanted.some((at) => at >= from && at < from + plainLength)).map(({ from, bytes }) => {
      expect(asBuffer(bytes).equals(content.subarray(from, from + bytes.length))).toBe(true);
      return from;
    });

  test("only the slices are opened in which something is wanted", () => {
    expect(parts(frame, 0, 5, 3 * SLICE_BYTES - 1)).toEqual([0, 2 * SLICE_BYTES]);
    expect(parts(frame, 4 * SLICE_BYTES - 1)).toEqual([3 * SLICE_BYTES]);
    expect(parts(frame)).toEqual([]);
  });

  test("all are opened, and one where it was not packed", () => {
    expect(asBuffer(openFrame(frame.stored, frame, secret)).equals(content)).toBe(true);
    const bare = encryptFrame({ bytes: content, plainLength: content.length, codec: CODEC.none }, secret);
    expect(parts(bare, 17)).toEqual([0]);
    expect(asBuffer(openFrame(bare.stored, bare, secret)).equals(content)).toBe(true);
  });

  test("whose slices hold another length than was declared, none is", () => {
    const lying = encryptFrame({ ...packFrame(content, 1), plainLength: content.length - 1 }, secret);
    expect(() => openFrame(lying.stored, lying, secret)).toThrow("frame 3 has another length than declared");
    expect(() => parts(lying, 0)).toThrow("frame 3 has another length than declared");
  });
});
