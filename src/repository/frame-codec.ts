/**
 * How a frame is packed and opened (docs/repository-format.md section 5): work on bytes alone, on whatever thread it is done.
 */
import { createCipheriv, createDecipheriv, createHash } from "node:crypto";
import { free } from "../spare-memory.ts";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";

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

/** Node hands out the result chunk by chunk, and its chunks of 16 KiB cost more than zstd itself. A chunk that is filled to the last byte brings another with it. */
function chunkFor(bytes: number): number {
  return Math.ceil(bytes) + 1024;
}

/** One-shot zstd with its content checksum (streams and zstd's own threads are not to be trusted in Node 24). What does not shrink is kept as it is. */
export function packFrame(plain: Uint8Array, level: number): PackedFrame {
  const packed = zstdCompressSync(plain, {
    chunkSize: chunkFor(plain.length / 2),
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  return packed.length < plain.length ? { bytes: packed, plainLength: plain.length, codec: CODEC.zstd } : { bytes: plain, plainLength: plain.length, codec: CODEC.none };
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

/** The plain bytes of a frame, in memory of their own. Throws `FrameFault`. */
export function openFrame(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret): Uint8Array {
  checkDigest(stored, facts, secret.index);
  return unpack(decrypt(stored, facts, secret), facts, secret.index);
}

/** Throws `FrameFault` where the stored bytes are not those that were written. */
export function checkDigest(stored: Uint8Array, { sha256 }: FrameFacts, index: number): void {
  if (!createHash("sha256").update(stored).digest().equals(sha256)) throw new FrameFault(`frame ${index} does not fit its digest`);
}

function decrypt(stored: Uint8Array, { plainLength, codec }: FrameFacts, { key, index, binding }: FrameSecret): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce(index), { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(binding, index, plainLength, codec));
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

/** Never more than declared, and the declaration was limited when the table was read: a bomb stays small. */
function unpack(packed: Buffer, { codec, plainLength }: FrameFacts, index: number): Uint8Array {
  const plain = codec === CODEC.none ? packed : decompress(packed, plainLength, index);
  if (plain !== packed) free(packed);
  if (plain.length !== plainLength) throw new FrameFault(`frame ${index} has another length than declared`);
  return plain;
}

function decompress(packed: Buffer, plainLength: number, index: number): Buffer {
  try {
    return zstdDecompressSync(packed, { chunkSize: chunkFor(plainLength), maxOutputLength: Math.max(plainLength, 1) });
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
