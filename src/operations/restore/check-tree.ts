import { comparePaths } from "../../domain/file-map.ts";
import type { MapEntry } from "../../domain/file-map.ts";
import { DamageError } from "../../errors.ts";
import { keys } from "../../repository/layout.ts";
import type { DumpManifest, TreeManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { ABOUT_DUMPS, ABOUT_TREE } from "../tree-names.ts";

/**
 * The entries of a backup of a tree (or of dumps, which are one of files), of which one after the other is found to be one that our own backup could have written: a map is signed, and the host that
 * signed it may have been taken over. All lie in a folder that is named before them, a link is to something that came before it, and together files have the bytes that the manifest says.
 * Rejects with `DamageError`. That paths are safe, and in order, is seen to where the map is read.
 */
export async function* checkedTree(chain: ChainReader, manifest: TreeManifest | DumpManifest): AsyncGenerator<MapEntry> {
  const about = manifest.kind === "files" ? ABOUT_TREE : ABOUT_DUMPS;
  const wrong = (what: string): DamageError => new DamageError(keys.manifest(manifest.source, manifest.id), `its map is not one of ${manifest.kind}: ${what}`);
  const folders = new Set([""]);
  let [bytes, entries, hasAbout] = [0, 0, false];
  for await (const entry of chain.entries(manifest.id)) {
    const { path, type } = entry;
    if (path.startsWith("//")) {
      if (type !== "file") throw wrong(`${path} is no file`);
      hasAbout ||= path === about;
      yield entry;
      continue;
    }
    if (type === "tablespace") throw wrong(`${path} is a tablespace`);
    if (!folders.has(path.slice(0, Math.max(0, path.lastIndexOf("/"))))) throw wrong(`${path} lies in no folder of the backup`);
    if (type === "directory") folders.add(path);
    if (type === "link" && comparePaths(entry.to, path) >= 0) throw wrong(`${path} is a link to ${entry.to}, which does not come before it`);
    if (type === "file") bytes += entry.length;
    if (bytes > manifest.sizes.sourceBytes) throw wrong(`its files have more bytes than the ${manifest.sizes.sourceBytes} that its manifest says`);
    entries++;
    yield entry;
  }
  if (!hasAbout) throw wrong(`it has no ${about}`);
  if (manifest.kind === "files" && entries !== manifest.tree.entries) throw wrong(`it names ${entries} files and folders, and the manifest ${manifest.tree.entries}`);
}
