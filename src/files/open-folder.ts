import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { factsOf } from "./node-facts.ts";
import type { NodeFacts } from "./node-facts.ts";

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK;

/**
 * A folder held open. What is in it is reached through the open folder, not by its path: whoever swaps a folder above for a link to somewhere else while we walk does not lead us there, and no path
 * is too long. It stays open for as long as somebody uses it.
 */
export class OpenFolder {
  readonly #handle: FileHandle;
  /** All that are open of one tree. */
  readonly #all: Set<OpenFolder>;
  #users = 1;

  private constructor(handle: FileHandle, all: Set<OpenFolder>) {
    this.#handle = handle;
    this.#all = all;
    all.add(this);
  }

  /** The root of a tree; it may be a link. */
  static async root(path: string): Promise<OpenFolder> {
    return new OpenFolder(await open(path, FOLDER), new Set());
  }

  async folder(name: string | Buffer): Promise<OpenFolder> {
    return new OpenFolder(await open(this.place(name), FOLDER | constants.O_NOFOLLOW), this.#all);
  }

  /** Where the operating system finds what is in it; without a name, the folder itself. */
  place(name: string | Buffer | null): string | Buffer {
    const own = `/proc/self/fd/${this.#handle.fd}`;
    if (name === null) return own;
    return typeof name === "string" ? `${own}/${name}` : Buffer.concat([Buffer.from(`${own}/`), name]);
  }

  async facts(): Promise<NodeFacts> {
    return factsOf(await this.#handle.stat({ bigint: true }));
  }

  hold(): this {
    this.#users++;
    return this;
  }

  async release(): Promise<void> {
    if (--this.#users === 0 && this.#all.delete(this)) await this.#handle.close();
  }

  /** Closes all of the tree, whoever may still use it: nobody will. */
  async closeAll(): Promise<void> {
    const left = [...this.#all];
    this.#all.clear();
    await Promise.allSettled(left.map((folder) => folder.#handle.close()));
  }
}
