import type { Dirent } from "node:fs";
import { open, opendir, readFile, readlink, stat } from "node:fs/promises";
import path from "node:path";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";
import { keepHeapSmall } from "../small-heap.ts";
import { SpareMemory } from "../spare-memory.ts";
import type { ByteRange, ClusterReader } from "./cluster-reader.ts";
import type { FolderEntry } from "./folder-listing.ts";
import { parseControlFile } from "./control-file.ts";
import { FolderListing } from "./folder-listing.ts";
import type { ServerIdentity } from "./server-identity.ts";

/** Large reads go into memory that was used before: what is read at once, and no more. */
const SMALLEST_SPARE_BYTES = 64 << 10;
const MOST_SPARES = 64;

/** Reads the data directory on this host, after making sure that it is the one of the server that SQL reaches. */
export async function openLocalReader(dataDirectory: string, identity: ServerIdentity): Promise<ClusterReader> {
  await assertIsDirectoryOf(dataDirectory, identity);
  const spares = new SpareMemory({ smallest: SMALLEST_SPARE_BYTES, most: MOST_SPARES });
  return {
    kind: "local",
    list: (folder) => listFolder(path.join(dataDirectory, folder)),
    read: (ranges, signal) => readRanges({ dataDirectory, spares }, ranges, signal),
    reuse: (bytes) => spares.give(bytes),
    assertSameServer: () => assertIsDirectoryOf(dataDirectory, identity),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** postmaster.pid: process id, data directory, start time in seconds; and pg_control's system identifier. */
async function assertIsDirectoryOf(dataDirectory: string, identity: ServerIdentity): Promise<void> {
  const pidFile = await readOr(path.join(dataDirectory, "postmaster.pid"));
  const [, directory, start] = pidFile.toString("utf8").split("\n");
  const control = parseControlFile(await readOr(path.join(dataDirectory, "global/pg_control")));
  const differing = [
    Math.abs(Number(start) - Number(identity.postmasterStart)) > 2 ? "start time" : null,
    identity.dataDirectory !== null && directory !== identity.dataDirectory ? "data directory" : null,
    control !== null && control.systemIdentifier !== identity.systemIdentifier ? "system identifier" : null,
  ].filter((what) => what !== null);
  if (differing.length > 0)
    throw new HoldfastError("HF-OTHER-CLUSTER", `${dataDirectory} is not the data directory of the server we are connected to: ${differing.join(", ")} differ`, {
      hint: "correct 'dataDirectory' or 'connection', or leave 'dataDirectory' out to read over the connection",
    });
}

async function readOr(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new HoldfastError("HF-SERVER", `cannot read ${file}: ${messageOf(cause)}`, {
      hint: "run holdfast as the owner of the data directory or as root, or leave 'dataDirectory' out to read over the connection",
      cause,
    });
  }
}

/** Entries looked at side by side: enough to keep the disk busy, and no more in memory, for a database of a million files is one folder. */
const LOOKS_AT_ONCE = 64;

async function listFolder(folder: string): Promise<FolderListing> {
  const found = new FolderListing();
  const directory = await opendir(folder, { bufferSize: LOOKS_AT_ONCE }).catch(none(null));
  if (directory === null) return found;
  let batch: Dirent[] = [];
  const look = async (): Promise<void> => {
    for (const entry of await Promise.all(batch.map(async (listed) => lookAt(folder, listed)))) if (entry !== null) found.add(entry);
    batch = [];
    keepHeapSmall();
  };
  for await (const entry of directory) {
    batch.push(entry);
    if (batch.length === LOOKS_AT_ONCE) await look();
  }
  await look();
  return found;
}

async function lookAt(folder: string, entry: Dirent): Promise<FolderEntry | null> {
  const file = path.join(folder, entry.name);
  const linkTarget = entry.isSymbolicLink() ? await readlink(file).catch(none(null)) : null;
  const info = await stat(file).catch(none(null));
  if (info === null || !(info.isFile() || info.isDirectory())) return null;
  return { name: entry.name, isFolder: info.isDirectory(), linkTarget, size: info.size };
}

interface Reading {
  readonly dataDirectory: string;
  readonly spares: SpareMemory;
}

async function readRanges({ dataDirectory, spares }: Reading, ranges: readonly ByteRange[], signal: AbortSignal): Promise<(Buffer | null)[]> {
  const results: (Buffer | null)[] = [];
  for (let at = 0; at < ranges.length;) {
    signal.throwIfAborted();
    const { path: name } = ranges[at] as ByteRange;
    let end = at;
    while (ranges[end]?.path === name) end++;
    results.push(...(await readFileRanges(path.join(dataDirectory, name), ranges.slice(at, end), spares)));
    at = end;
  }
  return results;
}

async function readFileRanges(file: string, ranges: readonly ByteRange[], spares: SpareMemory): Promise<(Buffer | null)[]> {
  const handle = await open(file, "r").catch(none(null));
  if (handle === null) return ranges.map(() => null);
  try {
    const results: Buffer[] = [];
    for (const { offset, length } of ranges) {
      const bytes = spares.take(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      results.push(bytes.subarray(0, done));
    }
    return results;
  } finally {
    await handle.close();
  }
}

/** A file that vanished between listing and reading is normal in a running cluster; anything else is not. */
function none<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === "ENOENT") return value;
    throw new HoldfastError("HF-SERVER", `cannot read the data directory: ${messageOf(error)}`, { hint: "run holdfast as its owner or as root", cause: error });
  };
}
