import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * Every file below a folder with a digest of its content, for comparing two trees. Links by their target.
 *
 * In a tree that somebody works in, what vanishes between the look at its folder and the look at itself is not there. Of a tree at rest nothing can vanish, so every name that a
 * comparison of two of them should see is in it; and a folder that is not there itself, or is gone when the walk ends, is an error and never an empty tree.
 */
export async function digestTree(folder: string, ignore: (path: string) => boolean = () => false): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { path, entry } of filesBelow(folder, ignore)) {
    const content = await unlessGone(entry.isSymbolicLink() ? linkAt(join(folder, path)) : digestOf(join(folder, path)));
    if (content !== null) found.set(path, content);
  }
  await stat(folder);
  return found;
}

/** All files below a folder, as paths relative to it, sorted. Of a tree that somebody works in, as `digestTree`. */
export async function listTree(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { path } of filesBelow(folder)) found.push(path);
  await stat(folder);
  return found.toSorted();
}

async function* filesBelow(folder: string, ignore: (path: string) => boolean = () => false, below = ""): AsyncGenerator<{ readonly path: string; readonly entry: Dirent }> {
  const reading = readdir(join(folder, below), { withFileTypes: true });
  for (const entry of (await (below === "" ? reading : unlessGone(reading))) ?? []) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (ignore(path)) continue;
    if (entry.isDirectory()) yield* filesBelow(folder, ignore, path);
    else yield { path, entry };
  }
}

async function linkAt(path: string): Promise<string> {
  return `-> ${await readlink(path)}`;
}

async function digestOf(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

async function unlessGone<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
