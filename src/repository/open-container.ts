import { DamageError } from "../errors.ts";
import { ObjectMissing, ObjectTruncated } from "../storage/object-store.ts";
import type { ObjectReads } from "../storage/object-store.ts";
import { decodeTable, decodeTail, MAGIC, metaSchema, rootDigest, signedRoot, TABLE_ENTRY_BYTES, TAIL_BYTES } from "./container-format.ts";
import type { ContainerKind, ContainerMeta, FrameInfo } from "./container-format.ts";
import { parseJson, refuseUnknownFormat, requireBelieved } from "./document.ts";
import { readMatching } from "./matching-version.ts";
import type { Repository } from "./repository.ts";

/** A container whose trailer was read and is authentic. Frames are checked against it as they are read. */
export interface Container {
  readonly objectKey: string;
  readonly meta: ContainerMeta;
  readonly frames: readonly FrameInfo[];
  readonly bytes: number;
  /** Root digest, hex: covers every byte of the object. */
  readonly root: string;
  /** First half of the signer's fingerprint. */
  readonly signer: string;
  /** What was read with the trailer and lies before it, and from where on: a small object was read whole. */
  readonly end: { readonly from: number; readonly bytes: Buffer };
  /** Where it is read from: the object, or the version of it that is the one that was written. */
  readonly source: ObjectReads;
}

export interface ExpectedContainer {
  readonly objectKey: string;
  readonly boundKey: string;
  readonly source: string;
  readonly kind: ContainerKind;
}

/** One read is enough for the trailer of all but the largest containers; of what is mostly small, for all of it (the root of a map lies at its end). */
const FIRST_TAIL_READ_BYTES = { data: 32 << 10, map: 256 << 10, wal: 256 << 10, part: 256 << 10, history: 64 << 10, summary: 256 << 10 } as const satisfies Record<
  ContainerKind,
  number
>;

/** Reads and authenticates the trailer. Rejects with `DamageError`. */
export async function openContainer(repository: Repository, expected: ExpectedContainer): Promise<Container> {
  return readMatching(repository.store, expected.objectKey, (source) => openFrom(repository, expected, source));
}

async function openFrom(repository: Repository, expected: ExpectedContainer, source: ObjectReads): Promise<Container> {
  const { objectKey } = expected;
  const { trailer, before, tail, size } = await readTrailer(source, expected);
  const tableLength = tail.frameCount * TABLE_ENTRY_BYTES;
  const table = trailer.subarray(0, tableLength);
  const metaBytes = trailer.subarray(tableLength, tableLength + tail.metaLength);
  if (!rootDigest(tail.frameCount, metaBytes, table).equals(tail.root)) throw new DamageError(objectKey, "the trailer does not fit its digest");
  if (repository.findSigner(tail.signer) === null) await repository.learnSigners?.();
  const signer = repository.findSigner(tail.signer);
  if (signer === null) throw new DamageError(objectKey, `signed by a host that this repository does not know (${tail.signer.slice(0, 16)})`);
  if (!signer.verify(signedRoot(tail.root), tail.signature)) throw new DamageError(objectKey, "the signature does not fit the content");
  requireBelieved(signer, objectKey, tail.root.toString("hex"));
  const meta = checkMeta(metaBytes, expected, repository.repositoryId);
  const frames = decodeTable(table, meta.kind, objectKey);
  const stored = frames.reduce((sum, frame) => sum + frame.storedLength, 0);
  if (size !== MAGIC.length + stored + trailer.length) throw new DamageError(objectKey, `it is ${size} bytes long, its table says ${MAGIC.length + stored + trailer.length}`);
  return {
    objectKey,
    meta,
    frames,
    bytes: size,
    root: tail.root.toString("hex"),
    signer: tail.signer,
    end: { from: size - trailer.length - before.length, bytes: before },
    source,
  };
}

interface Trailer {
  readonly trailer: Buffer;
  readonly before: Buffer;
  readonly tail: ReturnType<typeof decodeTail>;
  readonly size: number;
}

async function readTrailer(source: ObjectReads, { objectKey: key, kind }: ExpectedContainer): Promise<Trailer> {
  const first = await readOrDamaged(key, () => source.readTail(key, FIRST_TAIL_READ_BYTES[kind]));
  if (first.size < MAGIC.length + TAIL_BYTES) throw new DamageError(key, "the trailer is cut off or not one");
  const tail = decodeTail(first.bytes.subarray(first.bytes.length - TAIL_BYTES), key);
  const length = tail.frameCount * TABLE_ENTRY_BYTES + tail.metaLength + TAIL_BYTES;
  if (length > first.size - MAGIC.length) throw new DamageError(key, "the trailer is not plausible");
  const whole = length <= first.bytes.length ? first.bytes : (await readOrDamaged(key, () => source.readTail(key, length))).bytes;
  const trailerAt = whole.length - length;
  // Of a data pack nothing is kept: many are open at once, and what is asked for lies anywhere in them.
  return { trailer: whole.subarray(trailerAt), before: kind === "data" ? Buffer.alloc(0) : whole.subarray(0, trailerAt), tail, size: first.size };
}

function checkMeta(bytes: Buffer, expected: ExpectedContainer, repositoryId: string): ContainerMeta {
  const parsed = metaSchema.safeParse(parseJson(expected.objectKey, bytes));
  if (!parsed.success) throw new DamageError(expected.objectKey, `unexpected description: ${parsed.error.issues[0]?.message}`);
  const meta = parsed.data;
  refuseUnknownFormat(meta.format, expected.objectKey);
  const said = `${meta.repositoryId} ${meta.source} ${meta.object} ${meta.kind}`;
  if (said !== `${repositoryId} ${expected.source} ${expected.boundKey} ${expected.kind}`)
    throw new DamageError(expected.objectKey, `was written as ${meta.kind} ${meta.object} of repository ${meta.repositoryId}`);
  return meta;
}

/** Rejects with `DamageError` where the object is not there, or shorter than it must be. */
export async function readOrDamaged<T>(key: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ObjectMissing) throw new DamageError(key, "the object is not there", "missing");
    if (error instanceof ObjectTruncated) throw new DamageError(key, "it is shorter than its table says");
    throw error;
  }
}
