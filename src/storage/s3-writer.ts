import { randomUUID } from "node:crypto";
import { crc32 } from "node:zlib";
import { CompleteMultipartUploadCommand, CreateMultipartUploadCommand, PutObjectCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import type { CompletedPart, CreateMultipartUploadCommandInput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { HoldfastError } from "../errors.ts";
import type { CreateOutcome, ObjectWriter } from "./object-store.ts";
import { guarded, retrying } from "./s3-errors.ts";
import { hasStatus, refusalOf } from "./s3-refusal.ts";
import { abortUpload } from "./s3-listing.ts";
import { LOCK_MODES, lockKeys } from "./s3-lock.ts";
import { PartBuffer } from "./s3-part-buffer.ts";
import type { PartSlots } from "./s3-part-slots.ts";
import type { S3Place } from "./s3-place.ts";
import { lookAt } from "./s3-reader.ts";
import { removeVersion, versionsOf } from "./s3-versions.ts";

/** The least a part may have is 5 MiB; a larger one is fewer requests, and more memory. */
export const PART_BYTES = 8 * 1024 * 1024;
/** Below it, the cheap classes cost more than they save; and what lives shortly (leases, parts of WAL) is smaller. */
const CLASSED_BYTES = 128 * 1024;
/** What takes its time on the way, and must not hold up what does not. */
const LARGE_BYTES = 1024 * 1024;
/** The metadata in which an object says which write made it. */
const TOKEN = "holdfast-write";

const PRECONDITION_FAILED = 412;
const CONFLICT = 409;

type Kept = Pick<PutObjectCommandInput, "Bucket" | "Key" | "Metadata" | "ServerSideEncryption" | "SSEKMSKeyId" | "StorageClass">;

interface Upload {
  readonly id: string;
  readonly parts: Promise<CompletedPart>[];
}

/**
 * One object on its way into a bucket: in one request if it is not larger than a part, else in parts, several at once. Both ways end in a
 * request with `If-None-Match: *`: the store itself refuses to overwrite.
 *
 * Such a request can succeed and its answer be lost. Then the SDK asks again, and is told 412 because of our own object. So each write carries a
 * random token in the object's metadata, and after a 412 we look whose token is there. A digest of the content would not do: two writers may write
 * the same bytes, and still only one may be told that the object is its own.
 *
 * Where the bucket keeps versions, some servers let several such writes through that met: then each has a version, and whose is the oldest was first. The others take theirs
 * away again. So what is small is locked only once it is known to be first: a lock on the version of a loser would leave it over the winner's.
 */
export class S3Writer implements ObjectWriter {
  readonly #place: S3Place;
  readonly #key: string;
  readonly #slots: PartSlots;
  readonly #lockUntil: Date | null;
  readonly #token = randomUUID();
  #buffer = new PartBuffer(PART_BYTES);
  #upload: Upload | null = null;
  #wholeCrc = 0;
  #failure: { readonly error: unknown } | null = null;
  #isEnded = false;
  readonly #cancelled = new AbortController();

  /** `lockUntil`: when it may be deleted again; null: at once. */
  constructor(place: S3Place, key: string, slots: PartSlots, lockUntil: Date | null) {
    this.#place = place;
    this.#key = key;
    this.#slots = slots;
    this.#lockUntil = lockUntil;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      // Only when there is more: what fits into one part needs no upload in parts.
      if (this.#buffer.isFull) await this.#guarded(() => this.#sendPart());
      rest = this.#buffer.take(rest);
    }
  }

  async commit(): Promise<CreateOutcome> {
    try {
      const outcome = await this.#guarded(() => (this.#upload === null ? this.#put() : this.#complete(this.#upload)));
      this.#isEnded = outcome === "created";
      return outcome;
    } finally {
      await this.abort();
    }
  }

  /** Never fails: what it cannot remove, a sweep will. */
  async abort(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (this.#upload === null) return;
    // Whoever gives up is often in a hurry. And a part that arrives after its upload was aborted would stay, and be paid for.
    this.#cancelled.abort();
    await Promise.allSettled(this.#upload.parts);
    await abortUpload(this.#place, this.#key, this.#upload.id).catch(() => false);
  }

  async #put(): Promise<CreateOutcome> {
    const body = this.#buffer.bytes;
    const request = new PutObjectCommand({ ...this.#kept(body.length), ...checksumOf(crc32(body)), Body: body, IfNoneMatch: "*" });
    const gate = body.length < LARGE_BYTES ? this.#place.small : this.#place.large;
    const outcome = await this.#conclude(() => gate.run(() => this.#place.client.send(request)));
    const { objectLock: mode } = this.#place.options;
    if (outcome === "created" && mode !== null && this.#lockUntil !== null) await lockKeys(this.#place, [this.#key], { mode, until: this.#lockUntil });
    return outcome;
  }

  async #complete(upload: Upload): Promise<CreateOutcome> {
    await this.#sendPart();
    const Parts = await Promise.all(upload.parts);
    const request = new CompleteMultipartUploadCommand({
      ...this.#target(),
      UploadId: upload.id,
      MultipartUpload: { Parts },
      IfNoneMatch: "*",
      ChecksumCRC32: encodeCrc(this.#wholeCrc),
      ChecksumType: "FULL_OBJECT",
    });
    return this.#conclude(() => this.#place.small.run(() => this.#place.client.send(request)));
  }

  /** The request that makes the object visible, and what came of it. */
  async #conclude(send: () => Promise<{ readonly VersionId?: string | undefined }>): Promise<CreateOutcome> {
    try {
      const { VersionId: version } = await retrying(send, isPassing);
      return version === undefined || (await this.#isFirst(version)) ? "created" : "exists";
    } catch (error) {
      if (!isGone(error) && !hasStatus(error, PRECONDITION_FAILED)) throw error;
      // An upload that was completed is gone too, and its answer may be the one that was lost.
      if ((await lookAt(this.#place, { key: this.#key }))?.Metadata?.[TOKEN] === this.#token) return "created";
      if (isGone(error)) throw error;
      return "exists";
    }
  }

  /** Whether no version of another writer is older than ours; if one is, ours goes again. */
  async #isFirst(version: string): Promise<boolean> {
    const versions = (await versionsOf(this.#place, [this.#key])).filter(({ isMarker }) => !isMarker);
    const first = versions.at(-1);
    if (first === undefined || first.version === version) return true;
    // An answer may have been lost, and our second try let through as well.
    const isOurs = (await lookAt(this.#place, { key: this.#key, version: first.version }))?.Metadata?.[TOKEN] === this.#token;
    await removeVersion(this.#place, this.#key, version);
    return isOurs;
  }

  async #sendPart(): Promise<void> {
    const body = this.#buffer.bytes;
    const release = await this.#slots.take();
    try {
      if (this.#failure !== null) throw this.#failure.error;
      this.#upload ??= await this.#begin();
    } catch (error) {
      release();
      throw error;
    }
    this.#buffer = new PartBuffer(PART_BYTES);
    this.#wholeCrc = crc32(body, this.#wholeCrc);
    const { id, parts } = this.#upload;
    const part = this.#uploadPart(id, parts.length + 1, body).finally(release);
    parts.push(part);
    // Said at the next part, or at the end.
    part.catch((error: unknown) => (this.#failure ??= { error }));
  }

  async #begin(): Promise<Upload> {
    const request = new CreateMultipartUploadCommand({ ...this.#kept(PART_BYTES), ...this.#locked(), ChecksumAlgorithm: "CRC32", ChecksumType: "FULL_OBJECT" });
    const { UploadId: id } = await this.#place.small.run(() => this.#place.client.send(request));
    if (id === undefined) throw new HoldfastError("HF-STORAGE", `${this.#place.url} began an upload and did not say which`);
    return { id, parts: [] };
  }

  async #uploadPart(id: string, number: number, body: Buffer): Promise<CompletedPart> {
    const checksum = checksumOf(crc32(body));
    const request = new UploadPartCommand({ ...this.#target(), ...checksum, UploadId: id, PartNumber: number, Body: body });
    const { ETag } = await retrying(() => this.#place.large.run(() => this.#place.client.send(request, { abortSignal: this.#cancelled.signal })), isPassing);
    return { PartNumber: number, ChecksumCRC32: checksum.ChecksumCRC32, ...(ETag === undefined ? {} : { ETag }) };
  }

  #target(): { Bucket: string; Key: string } {
    return { Bucket: this.#place.bucket, Key: this.#place.prefix + this.#key };
  }

  /** Where it goes, and how it is kept there. */
  #kept(bytes: number): Kept {
    const { serverSideEncryption: encryption, storageClass } = this.#place.options;
    return {
      ...this.#target(),
      Metadata: { [TOKEN]: this.#token },
      ...(encryption === null ? {} : { ServerSideEncryption: encryption.algorithm }),
      ...(typeof encryption?.key === "string" ? { SSEKMSKeyId: encryption.key } : {}),
      // Servers have classes of their own beside those the SDK knows.
      ...(storageClass === null || bytes < CLASSED_BYTES ? {} : { StorageClass: storageClass as NonNullable<PutObjectCommandInput["StorageClass"]> }),
    };
  }

  #locked(): Pick<CreateMultipartUploadCommandInput, "ObjectLockMode" | "ObjectLockRetainUntilDate"> {
    const { objectLock: mode } = this.#place.options;
    return mode === null || this.#lockUntil === null ? {} : { ObjectLockMode: LOCK_MODES[mode], ObjectLockRetainUntilDate: this.#lockUntil };
  }

  async #guarded<T>(act: () => Promise<T>): Promise<T> {
    return guarded(this.#place, `write ${this.#key}`, async () => {
      try {
        return await act();
      } catch (error) {
        if (!isGone(error)) throw error;
        throw new HoldfastError("HF-STORAGE", `the unfinished write of ${this.#key} was removed from ${this.#place.url} before it was finished`, {
          hint: "somebody swept it away, or the bucket's rules end uploads too early",
          facts: { repository: this.#place.url, object: this.#key },
        });
      }
    });
  }
}

function isGone(error: unknown): boolean {
  return refusalOf(error)?.name === "NoSuchUpload";
}

/** Two conditional writes met, and the store asks for another try; or the bytes were hurt on their way. */
function isPassing(error: unknown): boolean {
  return hasStatus(error, CONFLICT) || ["BadDigest", "XAmzContentSHA256Mismatch"].includes(refusalOf(error)?.name ?? "");
}

/** Always with the name of its algorithm: some servers look at the value only then. */
function checksumOf(crc: number): { ChecksumAlgorithm: "CRC32"; ChecksumCRC32: string } {
  return { ChecksumAlgorithm: "CRC32", ChecksumCRC32: encodeCrc(crc) };
}

function encodeCrc(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString("base64");
}
