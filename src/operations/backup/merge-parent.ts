import { comparePaths } from "../../domain/file-map.ts";
import type { FileEntry, MapEntry } from "../../domain/file-map.ts";
import type { ChainReader } from "../../repository/map-reader.ts";

/** The parent backup, as copying looks at it. */
export interface ParentBackup {
  readonly id: string;
  readonly chain: ChainReader;
  /** Files that the parent read last: they are not in order of path in its map. */
  readonly late: ReadonlyMap<string, FileEntry>;
}

/** What is there now, with what the parent has under its path; or a path that is no more. */
export type Merged<F> = { readonly found: F; readonly parent: MapEntry | null } | { readonly dropped: string };

/** Walk and parent map side by side, both in order of path: neither is ever in memory as a whole. */
export async function* mergeWithParent<F extends { readonly path: string }>(walk: AsyncIterable<F>, parent: ParentBackup | null): AsyncGenerator<Merged<F>> {
  const before = parent === null ? null : parent.chain.entries(parent.id)[Symbol.asyncIterator]();
  const nextBefore = async (): Promise<MapEntry | null> => {
    const next = await before?.next();
    // The entries read last come after all others; they are looked up, not merged.
    return next === undefined || next.done === true || parent?.late.has(next.value.path) === true ? null : next.value;
  };
  let old = await nextBefore();
  for await (const found of walk) {
    while (old !== null && comparePaths(old.path, found.path) < 0) {
      yield { dropped: old.path };
      old = await nextBefore();
    }
    const same: MapEntry | null = old !== null && old.path === found.path ? old : null;
    yield { found, parent: same ?? parent?.late.get(found.path) ?? null };
    if (same !== null) old = await nextBefore();
  }
  for (; old !== null; old = await nextBefore()) yield { dropped: old.path };
  await before?.return(undefined);
}
