import type { Stats } from "node:fs";
import { chown, mkdir, open, readlink, symlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import path from "node:path";
import pMap, { pMapIterable } from "p-map";
import type { FileEntry, MapEntry, PlacedRun } from "../../domain/file-map.ts";
import { blocksOf, placeRuns } from "../../domain/file-map.ts";
import { codeOf, DamageError, HoldfastError, messageOf } from "../../errors.ts";
import { keys } from "../../repository/layout.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import type { OperationContext } from "../context.ts";
import { openExisting } from "./delta-target.ts";
import type { BlockComparison } from "./block-comparison.ts";
import { fillFiles } from "./fill-files.ts";
import type { OpenFile } from "./fill-files.ts";
import { UnderWay } from "../../under-way.ts";

/** Where files go: the target, tablespaces elsewhere, and to whom they belong. */
export interface RestoreFolder {
  readonly root: string;
  /** New folder of a tablespace by its path in the map (`pg_tblspc/16400`). */
  readonly tablespaces: ReadonlyMap<string, string>;
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  readonly blockSize: number;
  /** Where the target holds a cluster already: only what differs is written. */
  readonly delta: BlockComparison | null;
  /** Files of which only the length is restored. */
  readonly isHole?: (entryPath: string) => boolean;
}

const FILE_MODE = 0o600;
const PERMISSIONS = 0o7777;
/** Files written together: few enough to keep open, many enough that an extent shared by small files is decoded once. */
const WINDOW_FILES = 512;
const WINDOW_RUNS = 200_000;
/** While one is compared with what is there, the one before is written. */
const WINDOW_BYTES = 256 << 20;
/** Opening one is a way to the disk, and comparing one is reading it. */
const FILES_OPENED_AT_ONCE = 8;
/** While one waits for its disk, the next waits for its packs. */
export const WINDOWS_AT_ONCE = 2;

/** Writes every file of a backup straight from packs: grouped by pack, each extent decoded once, positional writes, everything fsynced. */
export async function restoreFiles(
  chain: ChainReader,
  backup: string,
  folder: RestoreFolder,
  late: (entry: FileEntry) => boolean,
  context: OperationContext,
): Promise<{ bytes: number; writtenBytes: number; files: number }> {
  const done = { bytes: 0, writtenBytes: 0, files: 0 };
  const windows = windowsOf(chain.entries(backup), folder.blockSize, (entry) => makeFolder(entry, folder), late);
  // Whoever clears away after a failure must find nobody still writing.
  await using writing = new UnderWay();
  const write = async (window: readonly FileEntry[]): Promise<{ window: readonly FileEntry[]; bytes: number }> => ({
    window,
    bytes: await writing.note(writeWindow(chain, window, folder, context)),
  });
  for await (const { window, bytes } of pMapIterable(windows, write, { concurrency: WINDOWS_AT_ONCE })) {
    done.writtenBytes += bytes;
    done.files += window.length;
    done.bytes += window.reduce((sum, entry) => sum + entry.length, 0);
    context.onProgress({ phase: "restore", doneBytes: done.bytes, totalBytes: null });
  }
  return done;
}

/** Files that are written together. What is no file is made on the way: folders come before what is in them. */
export async function* windowsOf(
  entries: AsyncIterable<MapEntry>,
  blockSize: number,
  make: (entry: Exclude<MapEntry, FileEntry>) => Promise<void>,
  late: (entry: FileEntry) => boolean,
): AsyncGenerator<FileEntry[]> {
  let [window, runs, bytes]: [FileEntry[], number, number] = [[], 0, 0];
  for await (const entry of entries) {
    if (entry.type !== "file") {
      await make(entry);
      continue;
    }
    if (late(entry)) continue;
    checkRuns(entry, blockSize);
    window.push(entry);
    runs += entry.runs.length;
    bytes += entry.length;
    if (window.length < WINDOW_FILES && runs < WINDOW_RUNS && bytes < WINDOW_BYTES) continue;
    yield window;
    [window, runs, bytes] = [[], 0, 0];
  }
  if (window.length > 0) yield window;
}

/** A map whose runs do not add up to the file would leave a hole of zeros. */
function checkRuns(entry: FileEntry, blockSize: number): void {
  const blocks = entry.runs.reduce((sum, run) => sum + run.blocks, 0);
  if (blocks !== blocksOf(entry.length, blockSize)) throw new DamageError(entry.path, `the map gives it ${blocks} blocks for ${entry.length} bytes`);
}

async function makeFolder(entry: Exclude<MapEntry, FileEntry>, folder: RestoreFolder): Promise<void> {
  if (entry.type === "symlink" || entry.type === "link") throw new DamageError(entry.path, "there are no links in a data directory");
  const target = entry.type === "tablespace" ? folder.tablespaces.get(entry.path) : undefined;
  await ownFolder(target ?? locate(folder, entry.path), folder);
  // A link that leads elsewhere was taken away with all else that the backup does not have.
  if (target !== undefined && (folder.delta === null || (await readlink(path.join(folder.root, entry.path)).catch(() => null)) !== target))
    await symlink(target, path.join(folder.root, entry.path));
}

export async function ownFolder(target: string, { owner }: Pick<RestoreFolder, "owner">): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 });
  if (owner !== null) await chown(target, owner.uid, owner.gid);
}

/** The path of an entry below the target. Paths were checked when the map was read: none can leave it. */
export function locate(folder: RestoreFolder, entryPath: string): string {
  const [top, oid] = entryPath.split("/");
  const tablespace = folder.tablespaces.get(`${top}/${oid}`);
  return tablespace === undefined ? path.join(folder.root, entryPath) : path.join(tablespace, entryPath.split("/").slice(2).join("/"));
}

async function writeWindow(chain: ChainReader, window: readonly FileEntry[], folder: RestoreFolder, context: OperationContext): Promise<number> {
  const files: OpenFile[] = [];
  try {
    await openTargets(window, folder, files, context.signal);
    for (const file of files) await writeZeros(file, folder.blockSize);
    await fillFiles(chain, files, { blockSize: folder.blockSize, areMadeDurable: true }, context);
    return files.reduce((sum, { runs }) => sum + runs.reduce((blocks, run) => blocks + run.blocks, 0) * folder.blockSize, 0);
  } catch (error) {
    throw targetError(error, folder.root);
  } finally {
    await Promise.all(files.map(({ handle }) => handle.close()));
  }
}

/** Opens some at a time. Where one cannot be opened, those that can are in `files` all the same, to be closed. */
async function openTargets(window: readonly FileEntry[], folder: RestoreFolder, files: OpenFile[], signal: AbortSignal): Promise<void> {
  const failures: unknown[] = [];
  const opening = async (entry: FileEntry): Promise<void> => {
    if (failures.length > 0 || signal.aborted) return;
    try {
      files.push(await openTarget(entry, folder));
    } catch (error) {
      failures.push(error);
    }
  };
  await pMap(window, opening, { concurrency: FILES_OPENED_AT_ONCE });
  signal.throwIfAborted();
  if (failures.length > 0) throw failures[0];
}

async function openTarget(entry: FileEntry, folder: RestoreFolder): Promise<OpenFile> {
  const { delta } = folder;
  const file = locate(folder, entry.path);
  const before = delta === null ? null : await openExisting(file);
  const handle = before ?? (await open(file, "wx", FILE_MODE));
  try {
    const was = before === null ? null : await handle.stat();
    await dress(handle, was, folder);
    const runs = folder.isHole?.(entry.path) === true ? [] : await runsToWrite(entry, handle, before === null ? null : delta);
    if (was?.size !== entry.length) await handle.truncate(entry.length);
    return { entry, handle, runs };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A file that was there is left alone where it is as it should be: what was not changed need not be made durable. */
async function dress(handle: FileHandle, was: Stats | null, { owner }: RestoreFolder): Promise<void> {
  if (was !== null && (was.mode & PERMISSIONS) !== FILE_MODE) await handle.chmod(FILE_MODE);
  if (owner !== null && (was?.uid !== owner.uid || was.gid !== owner.gid)) await handle.chown(owner.uid, owner.gid);
}

/** In a file that was there: what differs. */
async function runsToWrite(entry: FileEntry, handle: FileHandle, delta: BlockComparison | null): Promise<readonly PlacedRun[]> {
  return delta === null ? placeRuns(entry.runs).filter(({ at }) => at !== null) : delta.differing(handle, entry);
}

/** Blocks of zeros that hold something else. Nowhere else are zeros written: a file that is made is full of them. */
async function writeZeros({ entry, handle, runs }: OpenFile, blockSize: number): Promise<void> {
  for (const { fileBlock, blocks } of runs.filter(({ at }) => at === null))
    for (let block = fileBlock; block < fileBlock + blocks; block++) {
      const at = block * blockSize;
      await handle.write(Buffer.alloc(Math.min(blockSize, entry.length - at)), 0, undefined, at);
    }
}

/** Larger than any file that is read whole: settings of a cluster with very many databases are some megabytes. */
const SMALL_FILE_BYTES = 16 << 20;

/** Reads one small file of a backup whole. */
export async function readFile(chain: ChainReader, entry: FileEntry, blockSize: number): Promise<Buffer> {
  if (entry.length > SMALL_FILE_BYTES) throw new DamageError(entry.path, `the map gives it ${entry.length} bytes`);
  checkRuns(entry, blockSize);
  const bytes = Buffer.alloc(blocksOf(entry.length, blockSize) * blockSize);
  let at = 0;
  for (const run of entry.runs) {
    if (run.at !== null) {
      const { backup, pack, frame, block } = run.at;
      const plain = await chain.extent(backup, pack, frame);
      if ((block + run.blocks) * blockSize > plain.length) throw new DamageError(keys.pack(chain.sourceName, backup, "data", pack), `extent ${frame} is shorter than the map says`);
      plain.copy(bytes, at, run.at.block * blockSize, (run.at.block + run.blocks) * blockSize);
    }
    at += run.blocks * blockSize;
  }
  return bytes.subarray(0, entry.length);
}

export function targetError(error: unknown, root: string): unknown {
  const code = codeOf(error);
  if (error instanceof HoldfastError || code === undefined || !/^E[A-Z]+$/.test(code)) return error;
  if (code === "ENOSPC" || code === "EDQUOT") return new HoldfastError("HF-SPACE", `no space left in ${root}`, { hint: "free space or choose another target", cause: error });
  return new HoldfastError("HF-STORAGE", `cannot write in ${root}: ${messageOf(error)}`, { hint: "check the folder and its permissions", cause: error });
}
