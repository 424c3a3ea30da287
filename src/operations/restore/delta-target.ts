import { constants } from "node:fs";
import type { Dirent } from "node:fs";
import { open, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import pMap from "p-map";
import type { MapEntry } from "../../domain/file-map.ts";
import { codeOf, HoldfastError } from "../../errors.ts";
import { parseControlFile } from "../../postgres/control-file.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { INCOMPLETE_MARKER } from "../tree-names.ts";
import { exists, inspectTarget, syncFolder } from "./restore-target-folder.ts";
import type { TargetState } from "./restore-target-folder.ts";

/**
 * Restoring over a cluster that is there: it is ours to change only if no server runs in it and it is the very cluster of the backup. `systemIdentifier`: null while that is not known.
 * Changes nothing.
 */
export async function inspectDeltaTarget(folder: string, systemIdentifier: string | null): Promise<TargetState | "cluster"> {
  const control = await readFile(path.join(folder, "global/pg_control")).catch(() => null);
  if (control === null) return inspectTarget(folder);
  if (await exists(path.join(folder, "postmaster.pid")))
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `a server may be running in ${folder}: it has a postmaster.pid`, {
      hint: "stop it with 'pg_ctl stop'; if it is not running, take postmaster.pid away. Nothing was touched",
      facts: { folder },
    });
  const found = parseControlFile(control);
  if (found === null) throw new HoldfastError("HF-TARGET-NOT-EMPTY", `${folder} has a pg_control that is not valid`, { hint: "restore into an empty folder; nothing was touched" });
  if (systemIdentifier !== null && found.systemIdentifier !== systemIdentifier)
    throw new HoldfastError("HF-OTHER-CLUSTER", `${folder} holds cluster ${found.systemIdentifier}, and the backup is of ${systemIdentifier}`, {
      hint: "restore into an empty folder; nothing was touched",
      facts: { folder },
    });
  return "cluster";
}

/** From now on it cannot be started until the restore has ended: called when the marker is durable, and before anything else is changed. */
export async function makeUnstartable(folder: string): Promise<void> {
  await rm(path.join(folder, "global/pg_control"), { force: true });
  await syncFolder(path.join(folder, "global"));
}

/** A file that is there, to be written in place; null where there is none. Links are not followed. */
export async function openExisting(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Each may be a way to the disk. */
const LOOKED_AT_ONCE = 16;

/** What a target has beside the backup, and how much of what the backup has. */
export interface TargetComparison {
  readonly strangers: readonly string[];
  readonly presentBytes: number;
}

/**
 * Looks for what the backup does not have, or has as something else: it must go, for PostgreSQL takes whatever lies in its folders for its own. In the folder of a tablespace only the
 * part that the backup has is looked at. Changes nothing.
 */
export async function compareWithTarget(
  chain: ChainReader,
  backup: string,
  root: string,
  tablespaces: ReadonlyMap<string, string>,
  isSpecial: (path: string) => boolean,
): Promise<TargetComparison> {
  const known = new Map<string, MapEntry["type"]>();
  for await (const entry of chain.entries(backup)) if (!isSpecial(entry.path)) known.set(entry.path, entry.type);
  const strangers: string[] = [];
  let presentBytes = 0;
  const lookAt = async (entry: Dirent, folder: string, prefix: string): Promise<void> => {
    const [file, name] = [path.join(folder, entry.name), `${prefix}${entry.name}`];
    const type = known.get(name);
    if (type === "directory" && entry.isDirectory()) await look(file, `${name}/`);
    else if (type === "file" && entry.isFile()) {
      const { size } = await stat(file);
      presentBytes += size;
    } else if (type === "tablespace" && entry.isSymbolicLink() && (await readlink(file)) === tablespaces.get(name)) return;
    else if (name !== INCOMPLETE_MARKER) strangers.push(file);
  };
  const look = async (folder: string, prefix: string): Promise<void> => {
    await pMap(await readdir(folder, { withFileTypes: true }), async (entry) => lookAt(entry, folder, prefix), { concurrency: LOOKED_AT_ONCE });
  };
  if (await exists(root)) await look(root, "");
  for (const [name, place] of tablespaces)
    for (const entry of await readdir(place, { withFileTypes: true }).catch(() => []))
      if (known.get(`${name}/${entry.name}`) === "directory" && entry.isDirectory()) await look(path.join(place, entry.name), `${name}/${entry.name}/`);
  return { strangers, presentBytes };
}

/** Takes away what the backup does not have. Links themselves, not what they lead to. */
export async function removeStrangers({ strangers }: TargetComparison): Promise<void> {
  for (const file of strangers) await rm(file, { recursive: true, force: true });
}
