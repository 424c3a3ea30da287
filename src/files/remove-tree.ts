import { lstat, opendir, readdir, rmdir, unlink } from "node:fs/promises";
import path from "node:path";
import { codeOf } from "../errors.ts";

/** Removed together: removing is mostly waiting. And so many folders beside each other. */
const FILES_AT_ONCE = 64;
const FOLDERS_AT_ONCE = 8;
/** Somebody may still write in a folder that was found empty. */
const PASSES = 5;

/**
 * Removes a folder with all that is in it, or a single file; nothing where there is none. Node's own `rm` has all names of a tree of a million files in memory together, and cannot be kept from
 * going on. Links are removed, not followed.
 */
export async function removeTree(place: string | Buffer, signal: AbortSignal | null = null): Promise<void> {
  try {
    if ((await lstat(place)).isDirectory()) await new Removal(signal).folder(place, 1);
    else await unlink(place);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

type Place = string | Buffer;

class Removal {
  readonly #signal: AbortSignal | null;
  #lanes = FOLDERS_AT_ONCE;

  constructor(signal: AbortSignal | null) {
    this.#signal = signal;
  }

  async folder(folder: Place, pass: number): Promise<void> {
    const beside: Promise<void>[] = [];
    try {
      let files: Place[] = [];
      for await (const { place, isFolder } of pass === 1 && typeof folder === "string" ? entriesOf(folder) : rawEntriesOf(folder)) {
        if (!isFolder) files.push(place);
        else if (this.#lanes > 0) beside.push(quiet(this.#besides(place)));
        else await this.folder(place, 1);
        if (files.length < FILES_AT_ONCE) continue;
        await this.#files(files);
        files = [];
      }
      await this.#files(files);
    } catch (error) {
      // Somebody else removed it; or its name is no UTF-8, and whoever holds it looks again.
      if (!isGone(error)) throw error;
    } finally {
      await Promise.allSettled(beside);
    }
    await Promise.all(beside);
    try {
      await rmdir(folder);
    } catch (error) {
      if (isGone(error)) return;
      if (pass === PASSES || codeOf(error) !== "ENOTEMPTY") throw error;
      await this.folder(folder, pass + 1);
    }
  }

  async #besides(folder: Place): Promise<void> {
    this.#lanes--;
    try {
      await this.folder(folder, 1);
    } finally {
      this.#lanes++;
    }
  }

  async #files(files: readonly Place[]): Promise<void> {
    this.#signal?.throwIfAborted();
    const ends = await Promise.allSettled(files.map(async (file) => unlink(file)));
    for (const end of ends) if (end.status === "rejected" && !isGone(end.reason)) throw end.reason;
  }
}

/** Its failure is told when its turn comes. */
function quiet(removal: Promise<void>): Promise<void> {
  removal.catch(() => undefined);
  return removal;
}

interface Entry {
  readonly place: Place;
  readonly isFolder: boolean;
}

async function* entriesOf(folder: string): AsyncGenerator<Entry> {
  for await (const entry of await opendir(folder, { bufferSize: FILES_AT_ONCE })) yield { place: path.join(folder, entry.name), isFolder: entry.isDirectory() };
}

/** Names that are no UTF-8 only this way are what they are. What is left by the first look is little. */
async function* rawEntriesOf(folder: Place): AsyncGenerator<Entry> {
  const slash = Buffer.from("/");
  for (const entry of await readdir(folder, { withFileTypes: true, encoding: "buffer" }))
    yield { place: Buffer.concat([Buffer.from(folder), slash, entry.name]), isFolder: entry.isDirectory() };
}

function isGone(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}
