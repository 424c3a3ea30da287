import { lstat, opendir, rmdir, unlink } from "node:fs/promises";
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
export async function removeTree(place: string, signal: AbortSignal | null = null): Promise<void> {
  try {
    if ((await lstat(place)).isDirectory()) await new Removal(signal).folder(place, 1);
    else await unlink(place);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

class Removal {
  readonly #signal: AbortSignal | null;
  #lanes = FOLDERS_AT_ONCE;

  constructor(signal: AbortSignal | null) {
    this.#signal = signal;
  }

  async folder(folder: string, pass: number): Promise<void> {
    const beside: Promise<void>[] = [];
    try {
      let files: string[] = [];
      for await (const entry of await opendir(folder, { bufferSize: FILES_AT_ONCE })) {
        const place = path.join(folder, entry.name);
        if (!entry.isDirectory()) files.push(place);
        else if (this.#lanes > 0) beside.push(this.#besides(place));
        else await this.folder(place, 1);
        if (files.length < FILES_AT_ONCE) continue;
        await this.#files(files);
        files = [];
      }
      await this.#files(files);
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

  async #besides(folder: string): Promise<void> {
    this.#lanes--;
    try {
      await this.folder(folder, 1);
    } finally {
      this.#lanes++;
    }
  }

  async #files(files: readonly string[]): Promise<void> {
    this.#signal?.throwIfAborted();
    const ends = await Promise.allSettled(files.map(async (file) => unlink(file)));
    for (const end of ends) if (end.status === "rejected" && !isGone(end.reason)) throw end.reason;
  }
}

function isGone(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}
