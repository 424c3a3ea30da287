import { HoldfastError } from "../errors.ts";
import { isValidKey } from "./object-store.ts";
import type { ObjectStore } from "./object-store.ts";
import type { S3Address, S3Options } from "./s3-address.ts";
import { guarded } from "./s3-errors.ts";
import { listFolder, listObjects, removeObjects, sweepUploads } from "./s3-listing.ts";
import { PartSlots } from "./s3-part-slots.ts";
import { openPlace } from "./s3-place.ts";
import { readRange, readTail, readWhole, sizeOf } from "./s3-reader.ts";
import { S3Writer } from "./s3-writer.ts";

const PARTS_AT_ONCE = 8;

/**
 * Objects in a bucket of a store that speaks S3. This file and its neighbours are loaded only where an address asks for them: commands
 * that work on local disks do not wait for the SDK.
 */
export function openS3Store(address: S3Address, options: S3Options): ObjectStore {
  const place = openPlace(address, options);
  const slots = new PartSlots(PARTS_AT_ONCE);
  return {
    url: place.url,
    smallWritesEveryMs: 5000,
    readsAhead: 4,
    create: async (key) => new S3Writer(place, checked(key), slots),
    read: async (key) => guarded(place, `read ${key}`, () => readWhole(place, checked(key))),
    readRange: async (key, offset, length) => guarded(place, `read ${key}`, () => readRange(place, checked(key), offset, length)),
    readTail: async (key, length) => guarded(place, `read ${key}`, () => readTail(place, checked(key), length)),
    size: async (key) => guarded(place, `look at ${key}`, () => sizeOf(place, checked(key))),
    list: (prefix) => listObjects(place, prefix),
    listNames: (prefix) => listFolder(place, prefix),
    remove: async (keys) => guarded(place, "delete", () => removeObjects(place, keys.map(checked))),
    freeBytes: async () => null,
    sweep: async (prefix, before) => guarded(place, "look for unfinished uploads", () => sweepUploads(place, prefix, before)),
  };
}

function checked(key: string): string {
  if (!isValidKey(key)) throw new HoldfastError("HF-BUG", `not an object key: ${JSON.stringify(key)}`);
  return key;
}
