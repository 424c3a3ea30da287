import { createCipheriv, createDecipheriv, createHash, hkdfSync, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import { DamageError } from "../errors.ts";

/** The byte structure of containers (docs/repository-format.md section 5), without any I/O. */
export const MAGIC = Buffer.from("HFOBJ\r\n1", "latin1");
export const TAIL_BYTES = 128;
export const TABLE_ENTRY_BYTES = 44;
const TAG_BYTES = 16;

const CODEC = { none: 0, zstd: 1 } as const;
type Codec = (typeof CODEC)[keyof typeof CODEC];

const KINDS = ["data", "map", "wal", "part", "history", "summary"] as const;
export type ContainerKind = (typeof KINDS)[number];

export const MAX_PLAIN_BYTES: Record<ContainerKind, number> = { data: 1 << 20, map: 4 << 20, wal: 1 << 20, part: 1 << 20, history: 1 << 20, summary: 1 << 20 };
/** A table longer than this is not one of ours: a pack of the smallest frames stays far below. */
const MAX_FRAMES = 1 << 20;
const MAX_META_BYTES = 1 << 20;

export const metaSchema = z.looseObject({
  format: z.number(),
  repositoryId: z.string(),
  source: z.string(),
  object: z.string(),
  kind: z.enum(KINDS),
  salt: z.string(),
  commitment: z.string(),
  key: z.union([z.strictObject({ keyId: z.string(), sealed: z.string() }), z.strictObject({ mapKey: z.string() })]),
  writtenAt: z.string(),
});
export type ContainerMeta = z.infer<typeof metaSchema>;

export interface FrameInfo {
  readonly offset: number;
  readonly storedLength: number;
  readonly plainLength: number;
  readonly codec: Codec;
  readonly sha256: Buffer;
}

/** What a frame is bound to: it cannot be moved to another place, object, source or repository. */
export interface FrameBinding {
  readonly repositoryId: string;
  readonly source: string;
  readonly object: string;
}

export interface FrameKeys {
  readonly key: Buffer;
  readonly commitment: Buffer;
}

export function deriveFrameKeys(secret: Uint8Array, salt: Uint8Array): FrameKeys {
  return {
    key: Buffer.from(hkdfSync("sha256", secret, salt, "holdfast/frames/v1", 32)),
    commitment: Buffer.from(hkdfSync("sha256", secret, salt, "holdfast/commitment/v1", 32)),
  };
}

export function fitsCommitment(keys: FrameKeys, commitment: Buffer): boolean {
  return commitment.length === keys.commitment.length && timingSafeEqual(keys.commitment, commitment);
}

/** A frame before encryption. Compressed once, then encrypted for each repository. */
export interface PlainFrame {
  readonly bytes: Buffer;
  readonly plainLength: number;
  readonly codec: Codec;
}

const compressAsync = promisify(zstdCompress);
const decompressAsync = promisify(zstdDecompress);

/** Node hands out the result chunk by chunk, each with a trip to the thread pool and back; its chunks of 16 KiB cost more than zstd itself. A chunk that is filled to the last byte brings another with it. */
function chunkFor(bytes: number): number {
  return Math.ceil(bytes) + 1024;
}

/** One-shot zstd with its content checksum (streams and zstd's own threads are not to be trusted in Node 24). What does not shrink is kept as it is. */
export async function compressFrame(plain: Buffer, level: number): Promise<PlainFrame> {
  const packed = await compressAsync(plain, {
    chunkSize: chunkFor(plain.length / 2),
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  return packed.length < plain.length ? { bytes: packed, plainLength: plain.length, codec: CODEC.zstd } : { bytes: plain, plainLength: plain.length, codec: CODEC.none };
}

export async function decompressFrame(packed: Buffer, info: FrameInfo, object: string): Promise<Buffer> {
  if (info.codec === CODEC.none) {
    if (packed.length !== info.plainLength) throw new DamageError(object, "a frame has another length than declared");
    return packed;
  }
  try {
    // Never more than declared, and the declaration was limited when the table was read: a bomb stays small.
    const plain = await decompressAsync(packed, { chunkSize: chunkFor(info.plainLength), maxOutputLength: Math.max(info.plainLength, 1) });
    if (plain.length !== info.plainLength) throw new DamageError(object, "a frame has another length than declared");
    return plain;
  } catch (error) {
    if (error instanceof DamageError) throw error;
    throw new DamageError(object, "a frame does not decompress", "damaged", error);
  }
}

export function encryptFrame(frame: PlainFrame, index: number, key: Buffer, binding: FrameBinding): Buffer {
  const cipher = createCipheriv("aes-256-gcm", key, nonce(index), { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(binding, index, frame.plainLength, frame.codec));
  const body = cipher.update(frame.bytes);
  cipher.final();
  return Buffer.concat([body, cipher.getAuthTag()]);
}

export function decryptFrame(stored: Buffer, index: number, info: FrameInfo, key: Buffer, binding: FrameBinding): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce(index), { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(binding, index, info.plainLength, info.codec));
  decipher.setAuthTag(stored.subarray(stored.length - TAG_BYTES));
  const body = decipher.update(stored.subarray(0, stored.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    throw new DamageError(binding.object, `frame ${index} is not authentic`, "damaged", cause);
  }
  return body;
}

function nonce(index: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(BigInt(index), 4);
  return bytes;
}

function associatedData(binding: FrameBinding, index: number, plainLength: number, codec: Codec): Buffer {
  return Buffer.from(["holdfast/frame/v1", binding.repositoryId, binding.source, binding.object, index, plainLength, codec].join("\n"));
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

export function encodeTable(frames: readonly FrameInfo[]): Buffer {
  const table = Buffer.alloc(frames.length * TABLE_ENTRY_BYTES);
  frames.forEach((frame, i) => {
    const at = i * TABLE_ENTRY_BYTES;
    table.writeUInt32LE(frame.storedLength, at);
    table.writeUInt32LE(frame.plainLength, at + 4);
    table.writeUInt8(frame.codec, at + 8);
    frame.sha256.copy(table, at + 12);
  });
  return table;
}

export function decodeTable(table: Buffer, kind: ContainerKind, object: string): FrameInfo[] {
  const frames: FrameInfo[] = [];
  let offset = MAGIC.length;
  for (let at = 0; at < table.length; at += TABLE_ENTRY_BYTES) {
    const codec = table.readUInt8(at + 8);
    const info = {
      offset,
      storedLength: table.readUInt32LE(at),
      plainLength: table.readUInt32LE(at + 4),
      codec: codec as Codec,
      sha256: table.subarray(at + 12, at + 44),
    };
    if (codec !== CODEC.none && codec !== CODEC.zstd) throw new DamageError(object, `unknown codec ${codec}`);
    if (info.plainLength > MAX_PLAIN_BYTES[kind]) throw new DamageError(object, `a frame declares ${info.plainLength} bytes`);
    if (info.storedLength < TAG_BYTES || info.storedLength > MAX_PLAIN_BYTES[kind] + TAG_BYTES) throw new DamageError(object, `a frame stores ${info.storedLength} bytes`);
    frames.push(info);
    offset += info.storedLength;
  }
  return frames;
}

export function rootDigest(frameCount: number, meta: Buffer, table: Buffer): Buffer {
  return createHash("sha256").update(MAGIC).update(counts(frameCount, meta.length)).update(table).update(meta).digest();
}

export function signedRoot(root: Buffer): Buffer {
  return Buffer.concat([Buffer.from("holdfast/container/v1\n"), root]);
}

export interface Tail {
  readonly frameCount: number;
  readonly metaLength: number;
  readonly root: Buffer;
  /** First half of the signer's fingerprint, hex. */
  readonly signer: string;
  readonly signature: Buffer;
}

export function encodeTail(tail: Tail): Buffer {
  return Buffer.concat([counts(tail.frameCount, tail.metaLength), tail.root, Buffer.from(tail.signer, "hex"), tail.signature, MAGIC]);
}

export function decodeTail(bytes: Buffer, object: string): Tail {
  if (bytes.length !== TAIL_BYTES || !bytes.subarray(120).equals(MAGIC)) throw new DamageError(object, "the trailer is cut off or not one");
  const tail = {
    frameCount: bytes.readUInt32LE(0),
    metaLength: bytes.readUInt32LE(4),
    root: bytes.subarray(8, 40),
    signer: bytes.subarray(40, 56).toString("hex"),
    signature: bytes.subarray(56, 120),
  };
  if (tail.frameCount > MAX_FRAMES || tail.metaLength > MAX_META_BYTES) throw new DamageError(object, "the trailer is not plausible");
  return tail;
}

function counts(frameCount: number, metaLength: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(frameCount, 0);
  bytes.writeUInt32LE(metaLength, 4);
  return bytes;
}
