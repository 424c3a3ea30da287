import type { BigIntStats, Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { comparePaths, isSafePath } from "../domain/file-map.ts";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";
import { keepHeapSmall } from "../small-heap.ts";
import { Exclusion } from "./exclusion.ts";
import type { Findings } from "./findings.ts";
import { factsOf, kindOf } from "./node-facts.ts";
import type { NodeFacts } from "./node-facts.ts";
import { writeName } from "./names.ts";
import type { OpenFolder } from "./open-folder.ts";

/** Something in a tree that a backup takes. Whoever gets it releases its folder when done with it. */
export interface FoundNode {
  readonly path: string;
  readonly facts: NodeFacts;
  readonly folder: OpenFolder;
  readonly name: string | Buffer;
}

export interface TreeOptions {
  /** As in a `.gitignore`, seen from the root of the tree. */
  readonly exclude: readonly string[];
  /** Leaves out what is mounted inside the tree. */
  readonly oneFileSystem: boolean;
  /** Of the root alone: names that are not taken. */
  readonly notAtRoot: readonly string[];
}

/** In a folder: a name, or (with a slash) the place where its content goes. */
interface Item {
  readonly key: string;
  readonly name: string | Buffer;
  readonly isContent: boolean;
}

/** A folder that is being walked. */
interface Level {
  readonly folder: OpenFolder;
  readonly prefix: string;
  readonly items: readonly Item[];
  at: number;
  /** Facts of the items from `lookedFrom` on. */
  looked: readonly (BigIntStats | Error | null)[];
  lookedFrom: number;
}

/** Looked at together: looking is mostly waiting. */
const LOOKS_AT_ONCE = 128;
/** Deeper than anything real: so that a loop of mounts ends. */
const MOST_LEVELS = 512;

/** Everything in a tree, in the order of the map: memory holds the names of the folders on the way to where it is, and nothing else. What cannot be taken is put among the findings. */
export async function* walkTree(root: OpenFolder, options: TreeOptions, findings: Findings, signal: AbortSignal): AsyncGenerator<FoundNode> {
  const exclusion = new Exclusion(options.exclude);
  const { device } = await root.facts();
  const levels: Level[] = [await openLevel(root.hold(), "", options.notAtRoot)];
  try {
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      signal.throwIfAborted();
      const item = level.items[level.at];
      if (item === undefined) {
        levels.pop();
        await level.folder.release();
        continue;
      }
      const found = await lookAtNext(level);
      const path = level.prefix + writeName(item.name);
      if (found === null) continue;
      if (found instanceof Error) {
        if (!item.isContent) reportMissing(findings, path, found);
        continue;
      }
      if (exclusion.excludes(path, found.isDirectory())) continue;
      if (!isSafePath(path)) {
        if (!item.isContent) findings.add("unread", path.slice(0, 200), "its path is too long");
        continue;
      }
      if (found.dev !== device && options.oneFileSystem) {
        if (!item.isContent) findings.add("skipped", path, "is on another file system");
        continue;
      }
      const facts = factsOf(found);
      if (item.isContent) {
        const inside = await enter(level.folder, item.name, `${path}/`, findings);
        if (inside !== null) levels.push(inside);
        if (levels.length > MOST_LEVELS) throw new HoldfastError("HF-STORAGE", `${path} is ${MOST_LEVELS} folders deep`, { hint: "is something mounted in itself? exclude it" });
      } else if (facts.type === "special") findings.add("skipped", path, `is ${kindOf(found)}`);
      else yield { path, facts, folder: level.folder.hold(), name: item.name };
    }
  } finally {
    for (const level of levels) await level.folder.release();
  }
}

async function enter(folder: OpenFolder, name: string | Buffer, prefix: string, findings: Findings): Promise<Level | null> {
  try {
    const inside = await folder.folder(name);
    try {
      return await openLevel(inside, prefix, []);
    } catch (error) {
      await inside.release();
      throw error;
    }
  } catch (error) {
    reportMissing(findings, prefix.slice(0, -1), error);
    return null;
  }
}

/** A tree is not held still: what is gone is gone. Everything else that cannot be read is missing from the backup. */
export function reportMissing(findings: Findings, path: string, error: unknown): void {
  const code = codeOf(error);
  if (error instanceof HoldfastError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) throw error;
  if (code === "ENOENT") findings.add("vanished", path, "was gone when it was to be read");
  else findings.add("unread", path, messageOf(error).replaceAll(/, \w+ '.*$/g, ""));
}

async function openLevel(folder: OpenFolder, prefix: string, leftOut: readonly string[]): Promise<Level> {
  const entries = await listFolder(folder);
  const items = entries.flatMap(({ name, isFolder }): Item[] => {
    if (typeof name === "string" && leftOut.includes(name)) return [];
    const key = writeName(name);
    // A folder sorts twice: as itself, and (with a slash) where its content goes.
    return isFolder
      ? [
          { key, name, isContent: false },
          { key: `${key}/`, name, isContent: true },
        ]
      : [{ key, name, isContent: false }];
  });
  return { folder, prefix, items: items.toSorted((a, b) => comparePaths(a.key, b.key)), at: 0, looked: [], lookedFrom: 0 };
}

async function listFolder(folder: OpenFolder): Promise<{ name: string | Buffer; isFolder: boolean }[]> {
  const place = folder.place(null);
  const names: Dirent[] = await readdir(place, { withFileTypes: true });
  // Text stands for each name but those that are no UTF-8: then all are read as they are.
  if (!names.some(({ name }) => name.includes("\uFFFD"))) return names.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  return (await readdir(place, { withFileTypes: true, encoding: "buffer" })).map((entry) => ({ name: Buffer.from(entry.name), isFolder: entry.isDirectory() }));
}

/** What the next item of a level is; null where there is nothing to say of it. */
async function lookAtNext(level: Level): Promise<BigIntStats | Error | null> {
  if (level.at >= level.lookedFrom + level.looked.length) {
    keepHeapSmall();
    level.lookedFrom = level.at;
    level.looked = await Promise.all(level.items.slice(level.at, level.at + LOOKS_AT_ONCE).map(async ({ name }) => lookAt(level.folder.place(name)).catch(asError)));
  }
  const item = level.items[level.at];
  const found = level.looked[level.at - level.lookedFrom] ?? null;
  level.at++;
  // Something else has taken the place of a folder: it was met as itself.
  return item?.isContent === true && found !== null && !(found instanceof Error) && !found.isDirectory() ? null : found;
}

async function lookAt(place: string | Buffer): Promise<BigIntStats> {
  return lstat(place, { bigint: true });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
