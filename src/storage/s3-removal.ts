import { DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { HoldfastError } from "../errors.ts";
import type { LockedObject } from "./object-store.ts";
import { retrying } from "./s3-errors.ts";
import type { S3Place } from "./s3-place.ts";
import { lookAt } from "./s3-reader.ts";
import { versionsOf } from "./s3-versions.ts";

const KEYS_A_REQUEST = 1000;
/** What a busy store says of single keys of a request that it accepted. */
const PASSING = new Set(["InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted", "RequestTimeout"]);

/** What is to go: a key, in a bucket that keeps versions one of them. */
interface Doomed {
  readonly key: string;
  readonly version: string | null;
}

/**
 * Removes objects. Where the bucket keeps versions, every version of a key goes, and every marker: a deletion of the key alone would leave all of it there, out of sight. Returns
 * those that are locked.
 */
export async function removeObjects(place: S3Place, keys: readonly string[], isVersioned: boolean): Promise<LockedObject[]> {
  const unique = [...new Set(keys)];
  const doomed = isVersioned ? await versionsOf(place, unique) : unique.map((key) => ({ key, version: null }));
  const locked: LockedObject[] = [];
  for (let from = 0; from < doomed.length; from += KEYS_A_REQUEST) {
    let left: readonly Doomed[] = doomed.slice(from, from + KEYS_A_REQUEST);
    await retrying(
      async () => {
        const failed = await removeBatch(place, left);
        const refused: FailedKey[] = [];
        for (const one of failed) {
          const lock = one.code === "AccessDenied" && one.version !== null ? await lockOf(place, one.key, one.version) : null;
          if (lock === null) refused.push(one);
          else locked.push(lock);
        }
        left = refused;
        if (refused.length > 0) throw new NotRemoved(refused);
      },
      (error) => error instanceof NotRemoved && error.keys.every(({ code }) => PASSING.has(code)),
    ).catch((error: unknown) => {
      throw error instanceof NotRemoved ? error.inOurWords(place) : error;
    });
  }
  return [...new Map(locked.map((object) => [object.key, object])).values()];
}

/** Why a version may not be deleted, if it is for a lock on it. */
async function lockOf(place: S3Place, key: string, version: string): Promise<LockedObject | null> {
  const info = await lookAt(place, { key, version });
  if (info?.ObjectLockLegalHoldStatus === "ON") return { key, until: null };
  const until = info?.ObjectLockRetainUntilDate;
  return until === undefined ? null : { key, until };
}

interface FailedKey extends Doomed {
  readonly code: string;
}

/** The request was accepted, and some of its keys were not removed. */
class NotRemoved extends Error {
  override readonly name = "NotRemoved";
  readonly keys: readonly FailedKey[];
  constructor(keys: readonly FailedKey[]) {
    super(`${keys.length} objects were not removed`);
    this.keys = keys;
  }

  inOurWords(place: S3Place): HoldfastError {
    const [first] = this.keys;
    const deletion = first?.version === null ? "delete" : "delete versions (s3:DeleteObjectVersion), which this bucket keeps";
    return new HoldfastError("HF-STORAGE", `${place.url} did not delete ${this.keys.length} objects, such as ${first?.key}: ${first?.code}`, {
      hint: first?.code === "AccessDenied" ? `the credentials may not ${deletion}` : "try again later",
      facts: { repository: place.url, objects: this.keys.length, object: first?.key, error: first?.code },
    });
  }
}

async function removeBatch(place: S3Place, doomed: readonly Doomed[]): Promise<FailedKey[]> {
  const Objects = doomed.map(({ key, version }) => ({ Key: place.prefix + key, ...(version === null ? {} : { VersionId: version }) }));
  const answer = await place.small.run(() => place.client.send(new DeleteObjectsCommand({ Bucket: place.bucket, Delete: { Objects, Quiet: true } })));
  return (answer.Errors ?? [])
    .filter(({ Code }) => Code !== "NoSuchKey" && Code !== "NoSuchVersion")
    .map(({ Key = "", VersionId: version = null, Code = "unknown error" }) => ({ key: Key.slice(place.prefix.length), version, code: Code }));
}
