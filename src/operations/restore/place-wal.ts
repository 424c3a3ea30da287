import { symlink } from "node:fs/promises";
import path from "node:path";
import { HoldfastError } from "../../errors.ts";
import { isWithin, withoutLinks } from "./place-tablespaces.ts";
import { ownFolder } from "./restore-files.ts";
import type { RestoreFolder } from "./restore-files.ts";
import { isFreeForTablespace } from "./restore-target-folder.ts";

/** The folder that is to be pg_wal: absolute, free, and no part of anything else of this restore. Changes nothing. */
export async function placeWal(request: { target: string; walDirectory?: string | null }, tablespaces: ReadonlyMap<string, string>): Promise<string | null> {
  const { target, walDirectory = null } = request;
  if (walDirectory === null) return null;
  const place = path.resolve(walDirectory);
  const real = await withoutLinks(place);
  for (const other of [path.resolve(target), ...tablespaces.values()]) {
    const folder = await withoutLinks(other);
    if (isWithin(real, folder) || isWithin(folder, real))
      throw new HoldfastError("HF-TARGET", `the folder for WAL ${place} and ${other} lie one in the other`, { hint: "give another --wal-dir; nothing was touched" });
  }
  if (!(await isFreeForTablespace(place, target)))
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `the folder for WAL ${place} is not empty`, { hint: "give another --wal-dir; nothing was touched" });
  return place;
}

/** Before anything is written to pg_wal. */
export async function linkWal(walDirectory: string, folder: RestoreFolder): Promise<void> {
  await ownFolder(walDirectory, folder);
  await symlink(walDirectory, path.join(folder.root, "pg_wal"));
}
