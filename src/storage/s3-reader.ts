import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import { DamageError, HoldfastError, messageOf } from "../errors.ts";
import { ObjectMissing, ObjectTruncated } from "./object-store.ts";
import type { RequestGate } from "./request-gate.ts";
import { retrying } from "./s3-errors.ts";
import type { S3Place } from "./s3-place.ts";
import { hasStatus, isMarked, refusalOf } from "./s3-refusal.ts";
import { shownVersion } from "./s3-versions.ts";

const NOT_FOUND = 404;
const NOT_SATISFIABLE = 416;

/** What came of an object: all of it, or the piece asked for. */
interface Piece {
  readonly bytes: Buffer;
  /** Of the whole object. */
  readonly size: number;
  /** Where in it the piece begins. */
  readonly from: number;
}

/** The answer was fine and its body was not: the SDK has done its part by then, so asking again is ours. */
class BrokenBody extends Error {
  override readonly name = "BrokenBody";
  readonly isMismatch: boolean;
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
    this.isMismatch = this.message.startsWith("Checksum mismatch");
  }
}

/** The whole object, compared with the checksum that the store keeps of it. */
export async function readWhole(place: S3Place, key: string): Promise<Buffer> {
  return (await fetchPiece(place, { key }, null)).bytes;
}

/** An object, or a version of it. */
export interface Readable {
  readonly key: string;
  readonly version?: string;
}

export async function readRange(place: S3Place, object: Readable, offset: number, length: number): Promise<Buffer> {
  const { key } = object;
  if (length === 0) {
    if ((await sizeOf(place, object)) === null) throw new ObjectMissing(key);
    return Buffer.alloc(0);
  }
  try {
    const { bytes, from } = await fetchPiece(place, object, `bytes=${offset}-${offset + length - 1}`);
    const wanted = bytes.subarray(offset - from, offset - from + length);
    if (wanted.length < length) throw new ObjectTruncated(key);
    return wanted;
  } catch (error) {
    // It begins beyond the end.
    throw hasStatus(error, NOT_SATISFIABLE) ? new ObjectTruncated(key) : error;
  }
}

export async function readTail(place: S3Place, object: Readable, length: number): Promise<{ bytes: Buffer; size: number }> {
  if (length > 0) {
    try {
      const { bytes, size } = await fetchPiece(place, object, `bytes=-${length}`);
      return { bytes: bytes.subarray(Math.max(0, bytes.length - length)), size };
    } catch (error) {
      // An empty object has no last byte.
      if (!hasStatus(error, NOT_SATISFIABLE)) throw error;
    }
  }
  const size = await sizeOf(place, object);
  if (size === null) throw new ObjectMissing(object.key);
  return { bytes: Buffer.alloc(0), size };
}

export async function sizeOf(place: S3Place, object: Readable): Promise<number | null> {
  return (await lookAt(place, object))?.ContentLength ?? null;
}

/** What the store says about an object without sending it; null: there is none. */
export async function lookAt(place: S3Place, object: Readable): Promise<HeadObjectCommandOutput | null> {
  try {
    return await place.small.run(() => place.client.send(new HeadObjectCommand(inputOf(place, object))));
  } catch (error) {
    if (!hasStatus(error, NOT_FOUND)) throw error;
    const below = await belowMarker(place, object, error);
    return below === null ? null : lookAt(place, below);
  }
}

function inputOf(place: S3Place, { key, version }: Readable): { Bucket: string; Key: string; VersionId?: string } {
  return { Bucket: place.bucket, Key: place.prefix + key, ...(version === undefined ? {} : { VersionId: version }) };
}

/** In a place of locks nobody hides an object by a marker put over it: the version below. Null: there is none, the object is not there. */
async function belowMarker(place: S3Place, { key, version }: Readable, error: unknown): Promise<Readable | null> {
  if (place.options.objectLock === null || version !== undefined || !isMarked(error)) return null;
  const shown = await shownVersion(place, key);
  return shown === null ? null : { key, version: shown.version };
}

async function fetchPiece(place: S3Place, object: Readable, range: string | null): Promise<Piece> {
  const { key } = object;
  try {
    return await retrying(
      () => request(place, object, range),
      (error) => error instanceof BrokenBody,
    );
  } catch (error) {
    if (!(error instanceof BrokenBody)) throw error;
    if (error.isMismatch) throw new DamageError(key, "the store's own checksum does not fit its bytes", "damaged");
    throw new HoldfastError("HF-STORAGE", `the connection to ${place.url} was cut again and again while reading ${key}`, {
      hint: "check the network between here and the store",
      facts: { repository: place.url, object: key },
    });
  }
}

/** Tails and whole objects are small: what is large is read in pieces. */
function gateOf({ large, small }: S3Place, range: string | null): RequestGate {
  return range !== null && !range.startsWith("bytes=-") ? large : small;
}

async function request(place: S3Place, object: Readable, range: string | null): Promise<Piece> {
  // Stores keep checksums of whole objects; of a piece there is none to compare with, and whoever reads pieces has digests of them.
  const whole = range === null ? { ChecksumMode: "ENABLED" as const } : { Range: range };
  const command = new GetObjectCommand({ ...inputOf(place, object), ...whole });
  try {
    // With its body: an answer that is still coming takes its place. And nothing else in it: who waits for a place while holding one waits for ever.
    return await gateOf(place, range).run(async () => bodyOf(await place.client.send(command)));
  } catch (error) {
    if (!["NoSuchKey", "NoSuchVersion"].includes(refusalOf(error)?.name ?? "")) throw error;
    const below = await belowMarker(place, object, error);
    if (below === null) throw new ObjectMissing(object.key);
    return request(place, below, range);
  }
}

async function bodyOf({ Body: body, ContentLength: announced, ContentRange: range }: GetObjectCommandOutput): Promise<Piece> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) chunks.push(chunk);
  } catch (error) {
    throw new BrokenBody(error);
  }
  const bytes = Buffer.concat(chunks);
  if (announced !== undefined && bytes.length !== announced) throw new BrokenBody(new Error("other than announced"));
  // Without a range in the answer, it is the whole object, whatever was asked for.
  const [, from, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(range ?? "") ?? [];
  return { bytes, size: Number(size ?? bytes.length), from: Number(from ?? 0) };
}
