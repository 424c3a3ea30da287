import { createHash, hkdfSync, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { DamageError } from "../errors.ts";
import { CODEC, TAG_BYTES } from "./frame-codec.ts";
import type { Codec, FrameFacts } from "./frame-codec.ts";

/** The byte structure of containers (docs/repository-format.md section 5), without any I/O. */
export const MAGIC = Buffer.from("HFOBJ\r\n1", "latin1");
export const TAIL_BYTES = 128;
export const TABLE_ENTRY_BYTES = 44;

const KINDS = ["data", "map", "wal", "part", "history", "summary"] as const;
export type ContainerKind = (typeof KINDS)[number];

export const MAX_PLAIN_BYTES: Record<ContainerKind, number> = { data: 1 << 20, map: 4 << 20, wal: 1 << 20, part: 1 << 20, history: 1 << 20, summary: 1 << 20 };
/** What all frames of a container declare together: a pack, the largest segment; histories and summaries are far below. */
const MAX_CONTAINER_BYTES: Record<ContainerKind, number> = { data: 128 << 20, map: 128 << 20, wal: 1 << 30, part: 1 << 30, history: 16 << 20, summary: 64 << 20 };
/** A pack of the smallest blocks there can be, each in a frame of its own. */
const MAX_FRAMES = 1 << 17;
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

export interface FrameInfo extends FrameFacts {
  readonly offset: number;
  readonly storedLength: number;
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
    table.set(frame.sha256, at + 12);
  });
  return table;
}

export function decodeTable(table: Buffer, kind: ContainerKind, object: string): FrameInfo[] {
  const frames: FrameInfo[] = [];
  let [offset, declared] = [MAGIC.length, 0];
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
    declared += info.plainLength;
    if (declared > MAX_CONTAINER_BYTES[kind]) throw new DamageError(object, `its frames declare more than ${MAX_CONTAINER_BYTES[kind]} bytes`);
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
