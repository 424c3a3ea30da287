import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openLocalStore, prepareLocalStore } from "../../src/storage/local-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** A folder that holds a store, alone or wrapped; gone when it goes out of scope. */
export async function openLocalUnderTest(wrap: (store: ObjectStore) => ObjectStore = (store) => store): Promise<StoreUnderTest> {
  const scratch = await openScratchFolder();
  const root = join(scratch.path, "repository");
  await prepareLocalStore(root);
  return { store: wrap(openLocalStore(root)), leftovers: async () => leavesOf(root), unfinishedBytes: 1, [Symbol.asyncDispose]: async () => scratch[Symbol.asyncDispose]() };
}

/** Files, and folders that hold nothing (with a slash). */
export async function leavesOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1) + (entry.isDirectory() ? "/" : ""));
  return paths.filter((path) => !path.endsWith("/") || !paths.some((other) => other !== path && other.startsWith(path))).toSorted();
}
