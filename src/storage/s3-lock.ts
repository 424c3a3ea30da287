import { GetObjectLockConfigurationCommand, PutObjectRetentionCommand } from "@aws-sdk/client-s3";
import type { DefaultRetention } from "@aws-sdk/client-s3";
import pMap from "p-map";
import { HoldfastError } from "../errors.ts";
import { ObjectMissing } from "./object-store.ts";
import type { LockMode, ObjectLock, ObjectVersion } from "./object-store.ts";
import { guarded } from "./s3-errors.ts";
import type { S3Place } from "./s3-place.ts";
import { lookAt } from "./s3-reader.ts";
import { refusalOf } from "./s3-refusal.ts";
import { versionsOf } from "./s3-versions.ts";

export const LOCK_MODES = { governance: "GOVERNANCE", compliance: "COMPLIANCE" } as const satisfies Record<LockMode, string>;

const EXTENDED_AT_ONCE = 16;

/** Locks of single objects, set by us: never a default of the bucket, which would lock leases and parts of WAL as well. */
export function openLock(place: S3Place, mode: LockMode): ObjectLock {
  return {
    mode,
    lockedUntil: async (key) => guarded(place, `look at the lock of ${key}`, () => lockedUntil(place, key)),
    extend: async (keys, until) => guarded(place, "lock for longer", () => lockKeys(place, keys, { mode, until })),
    assertEnforced: async () => assertEnforced(place),
  };
}

/** Locks what lies at these keys at least until then. */
export async function lockKeys(place: S3Place, keys: readonly string[], lock: { mode: LockMode; until: Date }): Promise<void> {
  const versions = (await versionsOf(place, keys)).filter(({ isMarker }) => !isMarker);
  await pMap(versions, async (version) => extendVersion(place, version, lock), { concurrency: EXTENDED_AT_ONCE });
}

async function lockedUntil(place: S3Place, key: string): Promise<Date | null> {
  const info = await lookAt(place, { key });
  if (info === null) throw new ObjectMissing(key);
  return info.ObjectLockRetainUntilDate ?? null;
}

/** Every version: the one that is ours is among them, whatever somebody put over it. */
async function extendVersion(place: S3Place, { key, version }: ObjectVersion, { mode, until }: { mode: LockMode; until: Date }): Promise<void> {
  const request = new PutObjectRetentionCommand({
    Bucket: place.bucket,
    Key: place.prefix + key,
    VersionId: version,
    Retention: { Mode: LOCK_MODES[mode], RetainUntilDate: until },
  });
  try {
    await place.small.run(() => place.client.send(request));
  } catch (error) {
    // To shorten a lock is refused; then it is long enough.
    const present = (await lookAt(place, { key, version }))?.ObjectLockRetainUntilDate;
    if (present === undefined || present < until) throw error;
  }
}

async function assertEnforced(place: S3Place): Promise<void> {
  const { isEnabled, byDefault } = await settingsOf(place);
  if (!isEnabled)
    throw new HoldfastError("HF-CHECK", `the inventory asks for Object Lock, and ${place.url} does not enforce it`, {
      hint: "make a bucket with Object Lock enabled (it cannot be had without), or leave objectLock out",
      facts: { repository: place.url },
    });
  if (byDefault === null) return;
  const time = byDefault.Years === undefined ? `${byDefault.Days ?? "?"} days` : `${byDefault.Years} years`;
  throw new HoldfastError("HF-CHECK", `${place.url} locks every object by default, for ${time}: leases and parts of WAL could not be removed either`, {
    hint: "take the default retention off the bucket: holdfast locks each object for as long as it is needed",
    facts: { repository: place.url, default: time },
  });
}

async function settingsOf(place: S3Place): Promise<{ isEnabled: boolean; byDefault: DefaultRetention | null }> {
  return guarded(place, "say whether it locks objects (s3:GetBucketObjectLockConfiguration)", async () => {
    try {
      const request = new GetObjectLockConfigurationCommand({ Bucket: place.bucket });
      const { ObjectLockConfiguration: found } = await place.small.run(() => place.client.send(request));
      return { isEnabled: found?.ObjectLockEnabled === "Enabled", byDefault: found?.Rule?.DefaultRetention ?? null };
    } catch (error) {
      // A store that has no locks says that it has no such configuration, or does not know the question.
      const status = refusalOf(error)?.status;
      if (refusalOf(error)?.name === "NoSuchBucket" || (status !== 404 && status !== 405 && status !== 501 && status !== 400)) throw error;
      return { isEnabled: false, byDefault: null };
    }
  });
}
