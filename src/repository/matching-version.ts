import { DamageError } from "../errors.ts";
import type { ObjectReads, ObjectStore } from "../storage/object-store.ts";

/**
 * Reads an object, and where it is gone or is not what was written, and the place keeps versions, the version that is. Locks protect versions: with credentials to write anybody can
 * put another over ours, or a marker that hides it, and then what is below still holds. `read` rejects with `DamageError` for what does not match, and may be called several times.
 */
export async function readMatching<T>(store: ObjectStore, key: string, read: (from: ObjectReads) => Promise<T>): Promise<T> {
  try {
    return await read(store);
  } catch (error) {
    const { versions } = store;
    if (!(error instanceof DamageError) || versions === null) throw error;
    for await (const { key: found, version, isMarker } of versions.list(key)) {
      if (found !== key || isMarker) continue;
      const matching = await orNull(() => read(versions.at(version)));
      if (matching !== null) return matching.value;
    }
    throw error;
  }
}

/** Null: this version is not it either. */
async function orNull<T>(read: () => Promise<T>): Promise<{ readonly value: T } | null> {
  try {
    return { value: await read() };
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    return null;
  }
}

/** How many versions and markers each key has; of a store that keeps none, nothing. */
export async function* countVersions(store: ObjectStore, prefix: string): AsyncGenerator<{ readonly key: string; readonly written: number; readonly markers: number }> {
  let count = { key: "", written: 0, markers: 0 };
  for await (const { key, isMarker } of store.versions?.list(prefix) ?? []) {
    if (key !== count.key) {
      if (count.key !== "") yield count;
      count = { key, written: 0, markers: 0 };
    }
    if (isMarker) count.markers++;
    else count.written++;
  }
  if (count.key !== "") yield count;
}
