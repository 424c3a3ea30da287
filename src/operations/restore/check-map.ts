import type { FileEntry, MapEntry } from "../../domain/file-map.ts";
import { DamageError } from "../../errors.ts";
import { inclusionOf, tablespaceFolder } from "../../postgres/cluster-files.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import { keys } from "../../repository/layout.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";

export const CONTROL_FILE = "global/pg_control";
export const SETTINGS = "//settings.json";
/** What the server answered when the backup ended, and what was read last: stored as files, and not among the bytes that the manifest counts. */
const ANSWERS = new Set(["backup_label", "tablespace_map"]);
const ANSWER_BYTES = 1 << 20;

/**
 * The entries of a backup, of which one after the other is found to be one that our own backup could have written: a map is signed, and the host that signed it may have been taken over. Every file lies
 * in a folder that is named before it, none is what belongs to a running server or what a restore writes itself, and together they have the bytes that the manifest says, for which
 * there was found to be room. Rejects with `DamageError`. That paths are safe, and in order, is seen to where the map is read.
 */
export async function* checkedEntries(chain: ChainReader, manifest: ClusterManifest): AsyncGenerator<MapEntry> {
  const check = new MapCheck(manifest);
  for await (const entry of chain.entries(manifest.id)) {
    check.add(entry);
    yield entry;
  }
  check.end();
}

class MapCheck {
  readonly #manifest: ClusterManifest;
  /** Folders that files may lie in. */
  readonly #open = new Set([""]);
  /** Tablespaces, in place or not: in them is one folder. */
  readonly #tablespaces = new Set<string>();
  readonly #needed = new Set([CONTROL_FILE, SETTINGS]);
  #bytes = 0;

  constructor(manifest: ClusterManifest) {
    this.#manifest = manifest;
  }

  add(entry: MapEntry): void {
    const { path } = entry;
    if (entry.type === "symlink" || entry.type === "link") throw this.#wrong(`${path} is a link`);
    if (path.startsWith("//") && entry.type !== "file") throw this.#wrong(`${path} is no file`);
    if (entry.type === "file") this.#addFile(entry);
    else if (this.#needed.has(path)) throw this.#wrong(`${path} is no file`);
    else if (parentOf(path) === "pg_tblspc") this.#addTablespace(path);
    else if (entry.type === "tablespace") throw this.#wrong(`${path} is no place for a tablespace`);
    else this.#addFolder(path);
  }

  end(): void {
    for (const path of this.#needed) throw this.#wrong(`it has no ${path}`);
  }

  #addFile({ path, length }: FileEntry): void {
    this.#needed.delete(path);
    if (path.startsWith("//")) return;
    if (ANSWERS.has(path)) {
      if (length > ANSWER_BYTES) throw this.#wrong(`${path} has ${length} bytes`);
      return;
    }
    if (!this.#open.has(parentOf(path))) throw this.#wrong(`${path} lies in no folder of the backup`);
    if (inclusionOf(path, false, null) !== "take") throw this.#wrong(`${path} is in no backup of ours`);
    if (path !== CONTROL_FILE) this.#bytes += length;
    if (this.#bytes > this.#manifest.sizes.sourceBytes) throw this.#wrong(`its files have more bytes than the ${this.#manifest.sizes.sourceBytes} that its manifest says`);
  }

  #addTablespace(path: string): void {
    if (!/^pg_tblspc\/\d{1,10}$/.test(path)) throw this.#wrong(`${path} is no place for a tablespace`);
    this.#tablespaces.add(path);
  }

  #addFolder(path: string): void {
    const parent = parentOf(path);
    const { version, catalogVersion } = this.#manifest.postgres;
    const isOwn = this.#tablespaces.has(parent) && path === `${parent}/${tablespaceFolder(majorOf(version), catalogVersion)}`;
    if (!isOwn && !this.#open.has(parent)) throw this.#wrong(`${path} lies in no folder of the backup`);
    const inclusion = inclusionOf(path, true, null);
    if (inclusion === "skip") throw this.#wrong(`${path} is in no backup of ours`);
    // Of a folder that was taken empty nothing may be in the map.
    if (inclusion === "take") this.#open.add(path);
  }

  #wrong(what: string): DamageError {
    return new DamageError(keys.manifest(this.#manifest.source, this.#manifest.id), `its map is not one of a data directory: ${what}`);
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
