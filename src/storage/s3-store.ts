import { HoldfastError } from "../errors.ts";
import { isValidKey } from "./object-store.ts";
import type { ObjectReads, ObjectStore } from "./object-store.ts";
import type { S3Address, S3Options } from "./s3-address.ts";
import { guarded } from "./s3-errors.ts";
import { listFolder, listObjects, sweepUploads } from "./s3-listing.ts";
import { openLock } from "./s3-lock.ts";
import { PartSlots } from "./s3-part-slots.ts";
import { openPlace } from "./s3-place.ts";
import type { S3Place } from "./s3-place.ts";
import { readRange, readTail, readWhole, sizeOf } from "./s3-reader.ts";
import type { Readable } from "./s3-reader.ts";
import { removeObjects } from "./s3-removal.ts";
import { listFolderUnhidden, listUnhidden, listVersions, versioningOf } from "./s3-versions.ts";
import { S3Writer } from "./s3-writer.ts";

const PARTS_AT_ONCE = 8;

/**
 * Objects in a bucket of a store that speaks S3. This file and its neighbours are loaded only where an address asks for them: commands
 * that work on local disks do not wait for the SDK.
 */
export function openS3Store(address: S3Address, options: S3Options): ObjectStore {
  const place = openPlace(address, options);
  const slots = new PartSlots(PARTS_AT_ONCE);
  const isVersioned = versioningOf(place);
  const seesThrough = options.objectLock !== null;
  return {
    url: place.url,
    smallWritesEveryMs: 5000,
    readsAhead: 4,
    create: async (key, { lockUntil = null } = {}) => {
      if (lockUntil !== null && options.objectLock === null) throw new HoldfastError("HF-BUG", `a lock was asked for ${key}, and ${place.url} is not a place of locks`);
      return new S3Writer(place, checked(key), slots, lockUntil);
    },
    read: async (key) => guarded(place, `read ${key}`, () => readWhole(place, checked(key))),
    ...readsOf(place, null),
    size: async (key) => guarded(place, `look at ${key}`, () => sizeOf(place, { key: checked(key) })),
    list: (prefix) => (seesThrough ? listUnhidden(place, prefix) : listObjects(place, prefix)),
    listNames: (prefix, after) => (seesThrough ? listFolderUnhidden(place, prefix, after) : listFolder(place, prefix, after)),
    remove: async (keys) => guarded(place, "delete", async () => removeObjects(place, keys.map(checked), keys.length > 0 && (await isVersioned()))),
    freeBytes: async () => null,
    sweep: async (prefix, before) => guarded(place, "look for unfinished uploads", () => sweepUploads(place, prefix, before)),
    lock: options.objectLock === null ? null : openLock(place, options.objectLock),
    versions: {
      list: async function* list(prefix) {
        if (await guarded(place, "say whether it keeps versions", isVersioned)) yield* listVersions(place, prefix);
      },
      at: (version) => readsOf(place, version),
    },
  };
}

function readsOf(place: S3Place, version: string | null): ObjectReads {
  const readable = (key: string): Readable => ({ key: checked(key), ...(version === null ? {} : { version }) });
  return {
    readRange: async (key, offset, length) => guarded(place, `read ${key}`, () => readRange(place, readable(key), offset, length)),
    readTail: async (key, length) => guarded(place, `read ${key}`, () => readTail(place, readable(key), length)),
  };
}

function checked(key: string): string {
  if (!isValidKey(key)) throw new HoldfastError("HF-BUG", `not an object key: ${JSON.stringify(key)}`);
  return key;
}
