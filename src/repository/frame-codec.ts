/**
 * How a frame is packed and opened (docs/repository-format.md section 5): work on bytes alone, on whatever thread it is done.
 */
import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { free } from "../spare-memory.ts";
import { packSlices, slicesOf, unpackSlice } from "./zstd-slices.ts";
import type { Slice } from "./zstd-slices.ts";

export const TAG_BYTES = 16;

export const CODEC = { none: 0, zstd: 1 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

/** What a frame is bound to: it cannot be moved to another place, object, source or repository. */
export interface FrameBinding {
  readonly repositoryId: string;
  readonly source: string;
  readonly object: string;
}

/** Key and place of one frame: what it takes to encrypt it or to open it. */
export interface FrameSecret {
  readonly key: Uint8Array;
  readonly index: number;
  readonly binding: FrameBinding;
}

/** What the table of a container says of a frame, apart from where it lies. */
export interface FrameFacts {
  readonly plainLength: number;
  readonly codec: Codec;
  readonly sha256: Uint8Array;
}

export interface SealedFrame extends FrameFacts {
  readonly index: number;
  readonly stored: Uint8Array;
}

/** A frame before encryption. Packed once, then encrypted for each repository. */
export interface PackedFrame {
  readonly bytes: Uint8Array;
  readonly plainLength: number;
  readonly codec: Codec;
}

/** A frame that is not what was written. Its message names the frame; the object is for the caller to name. */
export class FrameFault extends Error {
  override readonly name = "FrameFault";
}

/** What does not shrink is kept as it is. */
export function packFrame(plain: Uint8Array, level: number): PackedFrame {
  const packed = packSlices(plain, level);
  return packed === null ? { bytes: plain, plainLength: plain.length, codec: CODEC.none } : { bytes: packed, plainLength: plain.length, codec: CODEC.zstd };
}

/** Room for whatever a frame of so many plain bytes may come to. */
export function roomFor(plainLength: number): number {
  return plainLength + TAG_BYTES;
}

/** `memory`: where the stored bytes go, at its beginning; as large as `roomFor` says. */
export function encryptFrame(
  { bytes, plainLength, codec }: PackedFrame,
  { key, index, binding }: FrameSecret,
  memory: Uint8Array = Buffer.allocUnsafeSlow(bytes.length + TAG_BYTES),
): SealedFrame {
  const cipher = createCipheriv("aes-256-gcm", key, nonce(index), { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(binding, index, plainLength, codec));
  const body = cipher.update(bytes);
  cipher.final();
  const stored = memory.subarray(0, body.length + TAG_BYTES);
  stored.set(body);
  stored.set(cipher.getAuthTag(), body.length);
  free(body);
  return { index, stored, plainLength, codec, sha256: createHash("sha256").update(stored).digest() };
}

/** The plain bytes of a frame. `memory`: where they go, as large as they are. Throws `FrameFault`. */
export function openFrame(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret, memory: Uint8Array = Buffer.allocUnsafeSlow(facts.plainLength)): Uint8Array {
  const packed = decrypt(stored, facts, secret);
  for (const slice of slicesIn(packed, facts, secret.index)) {
    const plain = unpack(packed, slice, facts, secret.index);
    memory.set(plain, slice.from);
    if (plain !== packed) free(plain);
  }
  free(packed);
  return memory;
}

/** Plain bytes, and where among those of a frame they begin. */
export interface FramePart {
  readonly from: number;
  readonly bytes: Uint8Array;
}

/** Of the plain bytes of a frame the slices in which something is wanted, each in memory of its own. Throws `FrameFault`. */
export function openParts(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret, isWanted: (slice: Slice) => boolean): FramePart[] {
  const packed = decrypt(stored, facts, secret);
  const wanted = slicesIn(packed, facts, secret.index).filter(isWanted);
  const parts = wanted.map((slice) => ({ from: slice.from, bytes: unpack(packed, slice, facts, secret.index) }));
  if (parts[0]?.bytes !== packed) free(packed);
  return parts;
}

/** Throws `FrameFault` where the stored bytes are not those that were written. */
export function checkDigest(stored: Uint8Array, { sha256 }: FrameFacts, index: number): void {
  if (!createHash("sha256").update(stored).digest().equals(sha256)) throw new FrameFault(`frame ${index} does not fit its digest`);
}

function decrypt(stored: Uint8Array, facts: FrameFacts, { key, index, binding }: FrameSecret): Buffer {
  checkDigest(stored, facts, index);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce(index), { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(binding, index, facts.plainLength, facts.codec));
  decipher.setAuthTag(stored.subarray(stored.length - TAG_BYTES));
  const body = decipher.update(stored.subarray(0, stored.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    throw new FrameFault(`frame ${index} is not authentic`);
  }
  return body;
}

export function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** What was not packed is one slice. Together they hold what was declared, and the declaration was limited when the table was read: a bomb stays small. */
function slicesIn(packed: Buffer, { codec, plainLength }: FrameFacts, index: number): Slice[] {
  const slices = codec === CODEC.none ? [{ at: 0, length: packed.length, from: 0, plainLength: packed.length }] : undamaged(index, () => slicesOf(packed));
  if (slices.reduce((sum, slice) => sum + slice.plainLength, 0) !== plainLength) throw new FrameFault(`frame ${index} has another length than declared`);
  return slices;
}

function unpack(packed: Buffer, slice: Slice, { codec }: FrameFacts, index: number): Buffer {
  return codec === CODEC.none ? packed : undamaged(index, () => unpackSlice(packed, slice));
}

function undamaged<T>(index: number, act: () => T): T {
  try {
    return act();
  } catch {
    throw new FrameFault(`frame ${index} does not decompress`);
  }
}

function nonce(index: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(BigInt(index), 4);
  return bytes;
}

function associatedData(binding: FrameBinding, index: number, plainLength: number, codec: Codec): Buffer {
  return Buffer.from(["holdfast/frame/v1", binding.repositoryId, binding.source, binding.object, index, plainLength, codec].join("\n"));
}
