import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { chmod, lchown, lutimes, open } from "node:fs/promises";
import type { EntryAttributes } from "../domain/file-map.ts";

/** Made anew: whatever has this name already, a link above all, is not written through. */
const TO_MAKE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export async function makeFile(place: string | Buffer): Promise<FileHandle> {
  return open(place, TO_MAKE, 0o600);
}

/** Bits that give whoever runs a file the rights of its owner: not without the owner. */
const SET_ID = 0o6000;

/** To whom restored files belong: as the backup says, which only root can do, or to us. */
export type Ownership = "as-backed-up" | "ours";

/** The permissions that a restored file or folder gets. */
export function modeOf({ mode }: Pick<EntryAttributes, "mode">, ownership: Ownership): number {
  return ownership === "as-backed-up" ? mode : mode & ~SET_ID;
}

/** A number of seconds holds a time to less than a microsecond. */
function secondsOf({ modified }: EntryAttributes): number {
  return Number(modified) / 1e9;
}

/** Owner first: changing it takes bits of the permissions away. Times last: all else changes them. */
export async function dressFile(handle: FileHandle, attributes: EntryAttributes, ownership: Ownership): Promise<void> {
  if (ownership === "as-backed-up") await handle.chown(attributes.uid, attributes.gid);
  await handle.chmod(modeOf(attributes, ownership));
  await handle.utimes(secondsOf(attributes), secondsOf(attributes));
}

export async function dressFolder(place: string | Buffer, attributes: EntryAttributes, ownership: Ownership): Promise<void> {
  if (ownership === "as-backed-up") await lchown(place, attributes.uid, attributes.gid);
  await chmod(place, modeOf(attributes, ownership));
  await lutimes(place, secondsOf(attributes), secondsOf(attributes));
}

/** A link has no permissions of its own. */
export async function dressLink(place: string | Buffer, attributes: EntryAttributes, ownership: Ownership): Promise<void> {
  if (ownership === "as-backed-up") await lchown(place, attributes.uid, attributes.gid);
  await lutimes(place, secondsOf(attributes), secondsOf(attributes));
}
