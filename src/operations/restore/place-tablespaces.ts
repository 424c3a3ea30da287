import { readlink, realpath } from "node:fs/promises";
import path from "node:path";
import type { TablespaceEntry } from "../../domain/file-map.ts";
import { DamageError, HoldfastError } from "../../errors.ts";
import { keys } from "../../repository/layout.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import { existingPart, isFreeForTablespace } from "./restore-target-folder.ts";

/** What is said of where tablespaces go. */
interface TablespaceRequest {
  readonly target: string;
  /** By their location on the source. */
  readonly tablespaces: ReadonlyMap<string, string>;
  readonly delta?: boolean;
}

/** The operating system's own: a folder there is made only where somebody asks for it, not because a backup says so. `/usr/local`, `/var` and `/dev/shm` are for everybody. */
const SYSTEM_FOLDER = /^\/(?:bin|boot|dev(?!\/shm\/)|etc|lib|lib32|lib64|proc|root|run|sbin|sys|usr\/(?!local\/).*)(?:\/|$)/;

/**
 * New folders of tablespaces, by their path in the map. Each needs a mapping, or its original place must be free; nothing is ever written into a folder that holds something, nor into one of which
 * something else of this restore is a part.
 */
export async function placeTablespaces(entries: readonly TablespaceEntry[], request: TablespaceRequest): Promise<Map<string, string>> {
  const places = new Map<string, string>();
  const taken = [await withoutLinks(path.resolve(request.target))];
  for (const entry of entries) {
    const mapped = request.tablespaces.get(entry.target);
    const place = mapped ?? entry.target;
    refuseUnusable(place, entry, mapped !== undefined);
    const real = await withoutLinks(place);
    const other = taken.find((folder) => isWithin(real, folder) || isWithin(folder, real));
    if (other !== undefined) throw elsewhere(entry, `the tablespace folder ${place} and ${other} lie one in the other`);
    taken.push(real);
    const isInUseHere = request.delta === true && (await readlink(path.join(request.target, entry.path)).catch(() => null)) === place;
    if (!isInUseHere && !(await isFreeForTablespace(place, request.target)))
      throw new HoldfastError("HF-TARGET-NOT-EMPTY", `the tablespace folder ${place} is not empty`, { hint: hintFor(entry) });
    places.set(entry.path, path.resolve(place));
  }
  return places;
}

/** PostgreSQL reads places from lines in which a backslash and a line's end have a meaning of their own. */
function refuseUnusable(place: string, entry: TablespaceEntry, isMapped: boolean): void {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  if (!path.isAbsolute(place) || /[\u0000-\u001f\u007f\\]/.test(place)) throw elsewhere(entry, `${JSON.stringify(place)} cannot be the folder of a tablespace`);
  if (!isMapped && SYSTEM_FOLDER.test(path.resolve(place))) throw elsewhere(entry, `the backup wants a tablespace in ${place}, a folder of the operating system`);
}

function elsewhere(entry: TablespaceEntry, message: string): HoldfastError {
  return new HoldfastError("HF-TARGET", message, { hint: hintFor(entry), facts: { tablespace: entry.path, location: entry.target } });
}

function hintFor({ target }: TablespaceEntry): string {
  return `give it another place: --tablespace ${JSON.stringify(target).slice(1, -1)}=/new/folder; nothing was touched`;
}

export async function withoutLinks(folder: string): Promise<string> {
  const there = await existingPart(folder);
  return path.join(await realpath(there), path.relative(there, folder));
}

export function isWithin(folder: string, outer: string): boolean {
  return folder === outer || folder.startsWith(outer.endsWith("/") ? outer : `${outer}/`);
}

/**
 * As the server gave it, but for the folders of tablespaces that moved. A line is `<oid> <path>`. At its start the server makes every link that is named here, and takes away what is there
 * under its name: so each line must be that of a tablespace that was restored.
 */
export function remapTablespaces(map: string, places: ReadonlyMap<string, string>, manifest: ClusterManifest): string {
  const lines = map.split("\n").filter((line) => line !== "");
  const named = lines.map((line) => `pg_tblspc/${/^(\d{1,10}) ./.exec(line)?.[1] ?? ""}`);
  if (new Set(named).size !== places.size || named.length !== places.size || !named.every((name) => places.has(name)))
    throw new DamageError(keys.manifest(manifest.source, manifest.id), "its tablespace_map does not name the tablespaces that its map has");
  return named.map((name) => `${name.slice("pg_tblspc/".length)} ${places.get(name) ?? ""}\n`).join("");
}
