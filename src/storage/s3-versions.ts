import { DeleteObjectCommand, GetBucketVersioningCommand, ListObjectVersionsCommand } from "@aws-sdk/client-s3";
import type { ListObjectVersionsCommandInput, ListObjectVersionsCommandOutput } from "@aws-sdk/client-s3";
import { isValidKey } from "./object-store.ts";
import type { ObjectInfo, ObjectVersion } from "./object-store.ts";
import { guarded } from "./s3-errors.ts";
import type { S3Place } from "./s3-place.ts";
import { refusalOf } from "./s3-refusal.ts";

/**
 * Versions of one key. In a bucket that keeps them a deletion only hides: it puts a marker on top, and what lies below stays. Nothing of ours ever does that
 * (`removeObjects` removes versions), so a marker, or a second version, was put there by somebody else.
 */

/** Whether the bucket keeps versions. Where the credentials may not ask, only what the inventory says counts. */
export function versioningOf(place: S3Place): () => Promise<boolean> {
  let asked: Promise<boolean> | null = null;
  return async () => {
    if (place.options.objectLock !== null) return true;
    asked ??= ask(place);
    try {
      return await asked;
    } catch (error) {
      asked = null;
      throw error;
    }
  };
}

async function ask({ client, bucket, small }: S3Place): Promise<boolean> {
  try {
    const { Status: status } = await small.run(() => client.send(new GetBucketVersioningCommand({ Bucket: bucket })));
    return status === "Enabled" || status === "Suspended";
  } catch (error) {
    const status = refusalOf(error)?.status ?? 0;
    if (status === 403 || status === 501 || status === 405) return false;
    throw error;
  }
}

/** Every version and marker of the keys that begin with `prefix`, in order of keys. */
export async function* listVersions(place: S3Place, prefix: string): AsyncGenerator<ObjectVersion> {
  for await (const page of versionPages(place, prefix, false)) yield* versionsIn(place, page);
}

function versionsIn(place: S3Place, { Versions: objects = [], DeleteMarkers: markers = [] }: ListObjectVersionsCommandOutput): ObjectVersion[] {
  const found = [...objects.map((version) => ({ ...version, isMarker: false })), ...markers.map((marker) => ({ ...marker, Size: 0, isMarker: true }))];
  return found
    .flatMap(({ Key: key = "", VersionId: version = "", Size: size = 0, IsLatest: isLatest = false, isMarker }) => {
      const own = key.slice(place.prefix.length);
      return isValidKey(own) ? [{ key: own, version, size, isLatest, isMarker }] : [];
    })
    .toSorted((a, b) => bytewise(a.key, b.key));
}

async function* versionPages(place: S3Place, prefix: string, byFolder: boolean, after = ""): AsyncGenerator<ListObjectVersionsCommandOutput> {
  const input: ListObjectVersionsCommandInput = { Bucket: place.bucket, Prefix: place.prefix + prefix, ...(byFolder ? { Delimiter: "/" } : {}) };
  const start = after === "" ? {} : { KeyMarker: place.prefix + prefix + after };
  for (let from: Pick<ListObjectVersionsCommandInput, "KeyMarker" | "VersionIdMarker"> = start; ;) {
    const request = new ListObjectVersionsCommand({ ...input, ...from });
    const page: ListObjectVersionsCommandOutput = await guarded(place, `list versions of ${prefix === "" ? "the repository" : prefix}`, () =>
      place.small.run(() => place.client.send(request)),
    );
    yield page;
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
    from = { KeyMarker: page.NextKeyMarker, ...(page.NextVersionIdMarker === undefined ? {} : { VersionIdMarker: page.NextVersionIdMarker }) };
  }
}

/** The versions and markers of these keys, with one listing for those that lie in one folder. */
export async function versionsOf(place: S3Place, keys: readonly string[]): Promise<ObjectVersion[]> {
  const found: ObjectVersion[] = [];
  const folders = Map.groupBy(new Set(keys), (key) => key.slice(0, key.lastIndexOf("/") + 1));
  for (const inFolder of folders.values()) {
    const wanted = new Set(inFolder);
    const last = inFolder.toSorted(bytewise).at(-1) ?? "";
    for await (const version of listVersions(place, commonPrefix(inFolder))) {
      if (version.key > last) break;
      if (wanted.has(version.key)) found.push(version);
    }
  }
  return found;
}

function commonPrefix(keys: readonly string[]): string {
  let prefix = keys[0] ?? "";
  for (const key of keys) while (!key.startsWith(prefix)) prefix = prefix.slice(0, -1);
  return prefix;
}

/** Objects as if nobody had put a marker on one: a key is there while a version of it is. */
export async function* listUnhidden(place: S3Place, prefix: string): AsyncGenerator<ObjectInfo> {
  let last = "";
  // Of the versions of one key the newest comes first.
  for await (const { key, size, isMarker } of listVersions(place, prefix)) {
    if (isMarker || key === last) continue;
    yield { key, size };
    last = key;
  }
}

/** Names below a folder, in the same way; a folder is there also where markers are all that is in it. */
export async function listFolderUnhidden(place: S3Place, prefix: string, after = ""): Promise<string[]> {
  const names = new Set<string>();
  const start = place.prefix.length + prefix.length;
  for await (const page of versionPages(place, prefix, true, after)) {
    for (const { Key: key = "" } of page.Versions ?? []) names.add(key.slice(start));
    for (const { Prefix: folder = "" } of page.CommonPrefixes ?? []) names.add(folder.slice(start));
  }
  return [...names].filter((name) => name > after && isValidKey(name.replace(/\/$/, ""))).toSorted(bytewise);
}

/** The version that a key shows, or would if no marker hid it; null: there is none. */
export async function shownVersion(place: S3Place, key: string): Promise<ObjectVersion | null> {
  return (await versionsOf(place, [key])).find(({ isMarker }) => !isMarker) ?? null;
}

/** Takes one version away, and leaves the others. One that is locked stays. */
export async function removeVersion(place: S3Place, key: string, version: string): Promise<void> {
  try {
    await place.small.run(() => place.client.send(new DeleteObjectCommand({ Bucket: place.bucket, Key: place.prefix + key, VersionId: version })));
  } catch (error) {
    if (refusalOf(error)?.status !== 403) throw error;
  }
}

function bytewise(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
