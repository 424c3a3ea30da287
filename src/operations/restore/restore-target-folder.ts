import { lstat, mkdir, open, readdir, readFile, stat, statfs } from "node:fs/promises";
import path from "node:path";
import { codeOf, HoldfastError } from "../../errors.ts";
import { removeTree } from "../../files/remove-tree.ts";
import { runProgram } from "../../postgres/process.ts";
import { INCOMPLETE_MARKER } from "../tree-names.ts";

export type TargetState = "absent" | "empty" | "unfinished";

/** Makes sure that a folder is free to be written: absent, empty, or left by a restore of ours that died. Changes nothing. */
export async function inspectTarget(folder: string): Promise<TargetState> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "absent";
    throw notUsable(folder, codeOf(error) === "ENOTDIR" ? "is not a folder" : "cannot be read", error);
  }
  if (names.length === 0) return "empty";
  if (names.includes(INCOMPLETE_MARKER) && !names.includes("postmaster.pid") && !(await exists(path.join(folder, "global/pg_control")))) return "unfinished";
  throw notUsable(folder, `is not empty (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", …" : ""})`);
}

function notUsable(folder: string, what: string, cause?: unknown): HoldfastError {
  return new HoldfastError("HF-TARGET-NOT-EMPTY", `${folder} ${what}`, {
    hint: "choose an empty folder, or one that does not exist yet; nothing was touched",
    facts: { folder },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Makes sure that the folder of a tablespace is free: absent, empty, or left by a restore into the same target that died. */
export async function isFreeForTablespace(place: string, target: string): Promise<boolean> {
  const names = await readdir(place).catch(() => []);
  return names.length === 0 || (await readFile(path.join(place, INCOMPLETE_MARKER), "utf8").catch(() => "")) === markerText(target);
}

function markerText(target: string): string {
  return `${path.resolve(target)}\n`;
}

/**
 * Takes possession of the target and of the folders of tablespaces: a marker is in each, durable, before anything else is written there. Only what holds one is ever cleared, and not where
 * what is there is to be used (`keep`).
 */
export async function claimTarget(folder: string, tablespaces: readonly string[], { keep }: { keep: boolean }): Promise<void> {
  if (!keep) for (const place of [folder, ...tablespaces]) await clearFolder(place);
  // Folders on the way there are made as anybody makes them: the owner of the cluster must be able to pass.
  await mkdir(path.dirname(folder), { recursive: true });
  for (const place of [folder, ...tablespaces]) await mark(place, folder);
}

async function mark(place: string, target: string): Promise<void> {
  await mkdir(place, { recursive: true, mode: 0o700 });
  const marker = await open(path.join(place, INCOMPLETE_MARKER), "w", 0o600);
  try {
    await marker.writeFile(markerText(target));
    await marker.sync();
  } finally {
    await marker.close();
  }
  await syncFolder(place);
}

/** The marker stays: until the end the folder is known to be ours. */
async function clearFolder(folder: string): Promise<void> {
  // As bytes: a name that is no UTF-8 is found again only so.
  const names = await readdir(folder, { encoding: "buffer" }).catch((): Buffer[] => []);
  const marker = Buffer.from(INCOMPLETE_MARKER);
  if (!names.some((name) => marker.equals(name))) return;
  await openForRemoval(folder);
  for (const name of names) if (!marker.equals(name)) await removeTree(Buffer.concat([Buffer.from(`${folder}/`), name]));
}

const CHMOD_TIMEOUT_MS = 10 * 60_000;

/** Folders that nobody may write in come back as such: whoever is not root opens them before they are cleared away. */
export async function openForRemoval(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) await runProgram("chmod", ["-R", "u+rwX", folder], { timeoutMs: CHMOD_TIMEOUT_MS });
}

/** Everything else is in place: the last step makes the cluster startable, by renaming pg_control into place, and takes the marker away. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) await syncTree(path.join(folder, entry.name));
  await syncFolder(folder);
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Rejects if the filesystem of a folder has less room than needed. */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const at = await existingPart(folder);
  const { bavail, bsize } = await statfs(at);
  if (bavail * bsize < bytes)
    throw new HoldfastError("HF-SPACE", `${folder} needs ${bytes} bytes and its filesystem has ${bavail * bsize} free`, {
      hint: "free space or choose another target; nothing was touched",
      facts: { neededBytes: bytes, freeBytes: bavail * bsize },
    });
}

/** The folder itself, or the nearest one above it that is there. */
export async function existingPart(folder: string): Promise<string> {
  let at = folder;
  while (!(await exists(at)) && at !== path.dirname(at)) at = path.dirname(at);
  return at;
}

export async function exists(file: string): Promise<boolean> {
  return (await lstat(file).catch(() => null)) !== null;
}

export async function ownerOf(folder: string): Promise<{ uid: number; gid: number } | null> {
  const info = await stat(folder).catch(() => null);
  return info === null ? null : { uid: info.uid, gid: info.gid };
}
