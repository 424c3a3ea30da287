import { randomBytes } from "node:crypto";
import type { Dirent } from "node:fs";
import { link, mkdir, open, readdir, rmdir, stat, statfs, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";
import { isValidKey, ObjectMissing, ObjectTruncated } from "./object-store.ts";
import { isMissing, rootGuard } from "./root-guard.ts";
import type { CreateOutcome, ObjectInfo, ObjectStore, ObjectWriter } from "./object-store.ts";

/**
 * Objects as files below a folder. An object appears by `link()` from a finished, fsynced temporary file in the same folder: `rename` would overwrite,
 * and `O_EXCL` would show half objects. Names that begin with a dot are unfinished writes and are never listed.
 */
export function openLocalStore(root: string): ObjectStore {
  const locate = (key: string): string => {
    if (!isValidKey(key)) throw new HoldfastError("HF-BUG", `not an object key: ${JSON.stringify(key)}`);
    return path.join(root, key);
  };
  const assertSameRoot = rootGuard(root);
  return {
    url: `file://${root}`,
    smallWritesEveryMs: 1000,
    readsAhead: 0,
    create: (key, { lockUntil = null } = {}) =>
      guarded(`write ${key}`, async () => {
        if (lockUntil !== null) throw new HoldfastError("HF-BUG", `a folder cannot lock ${key}`);
        await assertSameRoot();
        return createFile(root, locate(key));
      }),
    ...readsOf(locate, assertSameRoot),
    size: (key) =>
      guarded(`look at ${key}`, async () => {
        const size = await sizeOf(locate(key));
        if (size === null) await assertSameRoot();
        return size;
      }),
    async *list(prefix) {
      await guarded(`list ${prefix}`, assertSameRoot);
      yield* listFiles(root, prefix);
    },
    listNames: (prefix, after = "") =>
      guarded(`list ${prefix}`, async () => {
        await assertSameRoot();
        return (await listFolder(root, prefix)).filter((name) => name > after);
      }),
    remove: (keys) =>
      guarded("delete", async () => {
        await removeFiles(root, keys.map(locate));
        return [];
      }),
    freeBytes: () =>
      guarded("look at free space", async () => {
        const { bavail, bsize } = await statfs(await nearestExisting(root));
        return bavail * bsize;
      }),
    sweep: (prefix, before) => guarded("sweep", () => sweepFolder(root, path.join(root, prefix), before)),
    lock: null,
    versions: null,
  };
}

function readsOf(locate: (key: string) => string, assertSameRoot: () => Promise<void>): Pick<ObjectStore, "read" | "readRange" | "readTail"> {
  /** What is missing where the whole folder is gone was not deleted by anybody. */
  const reading = <T>(key: string, use: (file: FileHandle) => Promise<T>): Promise<T> =>
    guarded(`read ${key}`, async () => {
      try {
        return await withFile(key, locate(key), use);
      } catch (error) {
        if (error instanceof ObjectMissing) await assertSameRoot();
        throw error;
      }
    });
  return {
    read: (key) => reading(key, (file) => file.readFile()),
    readRange: (key, offset, length) => reading(key, (file) => readFully(key, file, offset, length)),
    readTail: (key, length) =>
      reading(key, async (file) => {
        const { size } = await file.stat();
        const take = Math.min(length, size);
        return { bytes: await readFully(key, file, size - take, take), size };
      }),
  };
}

/** Creates the folder of a store, and finds out whether its filesystem can do what is asked of it. */
export async function prepareLocalStore(root: string): Promise<void> {
  await guarded(`create ${root}`, async () => {
    await mkdir(root, { recursive: true, mode: 0o750 });
    const probe = path.join(root, `.probe-${randomBytes(8).toString("hex")}`);
    const file = await open(probe, "wx", 0o640);
    try {
      await file.sync();
      await link(probe, `${probe}-link`);
      await unlink(`${probe}-link`);
    } finally {
      await file.close();
      await unlink(probe);
    }
  });
}

async function createFile(root: string, target: string): Promise<ObjectWriter> {
  const folder = path.dirname(target);
  const temporary = path.join(folder, `.${randomBytes(12).toString("hex")}.tmp`);
  const file = await openNew(root, folder, temporary);
  let ended = false;
  const end = async (): Promise<void> => {
    if (ended) return;
    ended = true;
    await file.close();
    await unlink(temporary).catch(ignoreMissing);
  };
  return {
    write: (bytes) =>
      guarded("write", async () => {
        let written = 0;
        while (written < bytes.byteLength) written += (await file.write(bytes, written)).bytesWritten;
      }),
    commit: () =>
      guarded("write", async (): Promise<CreateOutcome> => {
        await file.sync();
        const outcome = await linkIfFree(file, temporary, target);
        await end();
        // Gone: somebody removed the object already, and the folder that was empty then.
        await syncFolder(folder).catch(ignoreMissing);
        return outcome;
      }),
    abort: () => guarded("write", end),
  };
}

const OPEN_ATTEMPTS = 20;

/** Expiry removes empty folders, so the one we made (or were about to make another in) may be gone again before the file is in it: try a few times. */
async function openNew(root: string, folder: string, file: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    try {
      const firstMade = await mkdir(folder, { recursive: true, mode: 0o750 });
      const handle = await open(file, "wx", 0o640);
      try {
        if (firstMade !== undefined) await syncFoldersUpTo(folder, path.dirname(firstMade), root);
        return handle;
      } catch (error) {
        await handle.close();
        await unlink(file).catch(ignoreMissing);
        throw error;
      }
    } catch (error) {
      // ENOTDIR is what Node makes of a folder that was there, and is gone when it looks what it is.
      if (!isMissing(error) || attempt === OPEN_ATTEMPTS) throw error;
    }
  }
}

async function linkIfFree(file: FileHandle, temporary: string, target: string): Promise<CreateOutcome> {
  try {
    await link(temporary, target);
    return "created";
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    // A network filesystem may have lost the reply to a link that worked: then the two names are one file.
    const [mine, theirs] = [await file.stat(), await stat(target)];
    return mine.ino === theirs.ino && mine.dev === theirs.dev ? "created" : "exists";
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFoldersUpTo(folder: string, last: string, root: string): Promise<void> {
  for (let at = folder; ; at = path.dirname(at)) {
    await syncFolder(at);
    if (at === last || at === root || at === path.dirname(at)) return;
  }
}

async function withFile<T>(key: string, file: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    if (isMissing(error)) throw new ObjectMissing(key);
    throw error;
  }
  try {
    return await use(handle);
  } catch (error) {
    if (codeOf(error) === "EISDIR") throw new ObjectMissing(key);
    throw error;
  } finally {
    await handle.close();
  }
}

async function readFully(key: string, file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw new ObjectTruncated(key);
    done += bytesRead;
  }
  return bytes;
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    const info = await stat(file);
    return info.isFile() ? info.size : null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function* listFiles(root: string, prefix: string): AsyncGenerator<ObjectInfo> {
  const slash = prefix.lastIndexOf("/");
  yield* walk(root, prefix.slice(0, slash + 1), prefix.slice(slash + 1));
}

/** In bytewise order of whole keys: a folder sorts as its name with `/`. */
async function* walk(root: string, folderKey: string, namePrefix: string): AsyncGenerator<ObjectInfo> {
  const entries = await guarded(`list ${folderKey}`, () => readFolder(path.join(root, folderKey)));
  const names = entries.filter((entry) => entry.name.startsWith(namePrefix)).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  for (const name of names.toSorted(bytewise)) {
    if (name.endsWith("/")) {
      yield* walk(root, folderKey + name, "");
      continue;
    }
    const size = await guarded(`look at ${folderKey}${name}`, () => sizeOf(path.join(root, folderKey + name)));
    if (size !== null) yield { key: folderKey + name, size };
  }
}

async function listFolder(root: string, prefix: string): Promise<string[]> {
  const entries = await readFolder(path.join(root, prefix));
  return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted(bytewise);
}

async function readFolder(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => isValidKey(entry.name) && (entry.isFile() || entry.isDirectory()));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function removeFiles(root: string, files: readonly string[]): Promise<void> {
  const folders = new Set<string>();
  for (const file of files) {
    await unlink(file).catch(ignoreMissing);
    folders.add(path.dirname(file));
  }
  for (const folder of folders) await removeEmptyFolders(root, folder);
}

async function removeEmptyFolders(root: string, from: string): Promise<void> {
  for (let folder = from; folder.length > root.length; folder = path.dirname(folder)) {
    try {
      await rmdir(folder);
    } catch (error) {
      if (codeOf(error) === "ENOTEMPTY" || codeOf(error) === "EEXIST") return syncFolder(folder).catch(ignoreMissing);
      if (!isMissing(error)) throw error;
    }
  }
}

async function sweepFolder(root: string, folder: string, before: Date): Promise<number> {
  let swept = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) swept += await sweepFolder(root, file, before);
    else if (entry.name.startsWith(".") && entry.name.endsWith(".tmp")) {
      const info = await stat(file).catch(() => null);
      if (info === null || info.mtime >= before) continue;
      await unlink(file).catch(ignoreMissing);
      swept++;
    }
  }
  if (swept > 0) await removeEmptyFolders(root, folder);
  return swept;
}

async function nearestExisting(folder: string): Promise<string> {
  for (let at = folder; ; at = path.dirname(at)) if ((await stat(at).catch(() => null)) !== null || at === path.dirname(at)) return at;
}

function bytewise(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

/** Translates what the operating system says into our words, once. */
async function guarded<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof HoldfastError || error instanceof ObjectMissing || error instanceof ObjectTruncated) throw error;
    const code = codeOf(error);
    if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG")
      throw new HoldfastError("HF-SPACE", `no space left in the repository (${what})`, { hint: "free space, or expire backups", facts: { code }, cause: error });
    if (code === "EPERM" || code === "ENOTSUP" || code === "ENOSYS")
      throw new HoldfastError("HF-STORAGE", `the filesystem of the repository refuses (${what}): ${messageOf(error)}`, {
        hint: "a repository needs a filesystem with hard links (ext4, xfs, NFS; not SMB or FAT)",
        facts: { code },
        cause: error,
      });
    throw new HoldfastError("HF-STORAGE", `cannot ${what}: ${messageOf(error)}`, {
      hint: "check that the repository's folder is there and writable",
      facts: { code },
      cause: error,
    });
  }
}
