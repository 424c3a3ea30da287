import { HoldfastError } from "../../errors.ts";
import { inclusionOf, KNOWN_FOLDERS, tablespaceFolder, unloggedKey } from "../../postgres/cluster-files.ts";
import type { ClusterReader } from "../../postgres/cluster-reader.ts";
import type { FolderEntry } from "../../postgres/folder-listing.ts";

/** What a walk over a data directory meets, in order of path. */
export type Found =
  | { readonly type: "file"; readonly path: string; readonly size: number }
  | { readonly type: "directory"; readonly path: string }
  | { readonly type: "tablespace"; readonly path: string; readonly target: string };

export interface WalkOptions {
  readonly reader: ClusterReader;
  /** Locations by OID; relative ones are in place. */
  readonly tablespaces: ReadonlyMap<string, string>;
  readonly major: number;
  readonly catalogVersion: number;
  /** The server's log folder, relative to the data directory, or null. */
  readonly logFolder: string | null;
}

/** Folders inside known ones never nest deep; what else an administrator put at the top is taken within these limits, so that a link to `/` or a loop does not go on for ever. */
const MAX_DEPTH = 8;
const MAX_FOREIGN_ENTRIES = 100_000;

/** Unlogged relations that were left out, to be looked at again at the end: a relation may have become logged meanwhile. */
export class SkippedUnlogged {
  readonly files = new Map<string, { init: string; size: number }>();
}

export async function* walkCluster(options: WalkOptions, unlogged: SkippedUnlogged): AsyncGenerator<Found> {
  const foreign = { left: MAX_FOREIGN_ENTRIES };
  yield* walkFolder("", 0, options, unlogged, foreign);
}

async function* walkFolder(folder: string, depth: number, options: WalkOptions, unlogged: SkippedUnlogged, foreign: { left: number }): AsyncGenerator<Found> {
  const listing = await options.reader.list(folder);
  limitForeign(folder, depth, listing.count, foreign);
  const inits = new Set<string>();
  const folders: FolderEntry[] = [];
  for (const entry of listing) {
    if (entry.isFolder) folders.push(entry);
    if (entry.name.endsWith("_init")) inits.add(join(folder, entry.name));
  }
  // A folder sorts twice: as itself, and (with a slash) where its content goes.
  for (const entry of folders) listing.add({ ...entry, name: `${entry.name}/` });
  for (const entry of listing.sorted()) {
    const isContent = entry.name.endsWith("/");
    const path = join(folder, isContent ? entry.name.slice(0, -1) : entry.name);
    const inclusion = inclusionOf(path, entry.isFolder, options.logFolder);
    if (inclusion === "skip") continue;
    if (!entry.isFolder) {
      const unloggedInit = unloggedKey(path);
      if (unloggedInit?.isMainSide === true && inits.has(unloggedInit.init)) unlogged.files.set(path, { init: unloggedInit.init, size: entry.size });
      else yield { type: "file", path, size: entry.size };
    } else if (folder === "pg_tblspc") yield* walkTablespace(path, isContent, options, unlogged, foreign);
    else if (!isContent) yield { type: "directory", path };
    else if (inclusion === "take") yield* walkFolder(path, depth + 1, options, unlogged, foreign);
  }
}

/**
 * Only our own folder in it: others belong to other clusters or versions. A tablespace that was made since is left out: WAL makes it and all that is in it, and recovery stops at
 * a folder that is there already.
 */
async function* walkTablespace(path: string, content: boolean, options: WalkOptions, unlogged: SkippedUnlogged, foreign: { left: number }): AsyncGenerator<Found> {
  const target = options.tablespaces.get(path.slice(path.lastIndexOf("/") + 1));
  if (target === undefined) return;
  if (!content) {
    yield target.startsWith("/") ? { type: "tablespace", path, target } : { type: "directory", path };
    return;
  }
  const own = join(path, tablespaceFolder(options.major, options.catalogVersion));
  yield { type: "directory", path: own };
  yield* walkFolder(own, 2, options, unlogged, foreign);
}

function limitForeign(folder: string, depth: number, entries: number, foreign: { left: number }): void {
  const top = folder.split("/")[0] ?? "";
  if (folder === "" || (KNOWN_FOLDERS as readonly string[]).includes(top)) return;
  foreign.left -= entries;
  if (depth <= MAX_DEPTH && foreign.left >= 0) return;
  throw new HoldfastError("HF-SERVER", `${folder} in the data directory is too deep or too large to be PostgreSQL's`, {
    hint: "is it a link that leads elsewhere, or a loop? move it out of the data directory",
  });
}

function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}
