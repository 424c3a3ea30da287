import { link, lstat, mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** What one repository, a folder, held at one moment: the inode of each file. */
export interface Moment {
  /** When looking began. */
  readonly at: Date;
  readonly files: ReadonlyMap<string, string>;
}

/** A file may go while we look: what replaces it was there before. So what is replaced is listed before what replaces it. */
const LISTED_FIRST = ["leases", "manifests", "parts"];
const ATTEMPTS = 50;

/**
 * Keeps everything that a repository ever holds, and what it held when: so that any of those moments can be restored from, long after. Objects are written once, so a further name for each file is
 * all that it takes; and nothing of it asks the product.
 */
export class CopyRecorder implements AsyncDisposable {
  readonly moments: Moment[] = [];
  readonly #where: () => string;
  readonly #keep: string;
  readonly #kept = new Set<string>();
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  /** `where`: the folder is moved by tests that take it away. */
  constructor(where: () => string, keep: string) {
    this.#where = where;
    this.#keep = keep;
  }

  async start(everyMs: number): Promise<void> {
    await mkdir(this.#keep, { recursive: true });
    this.#loop = this.#run(everyMs);
  }

  async #run(everyMs: number): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.moments.push(await this.#look());
      await delay(everyMs, undefined, { signal: this.#stop.signal }).catch(() => undefined); // stopped
    }
  }

  async #look(): Promise<Moment> {
    for (let attempt = 1; ; attempt++) {
      const [at, root] = [new Date(), this.#where()];
      try {
        const files = new Map<string, string>();
        await this.#list(root, "", files);
        return { at, files };
      } catch (error) {
        if (attempt === ATTEMPTS) throw error;
        await delay(10);
      }
    }
  }

  async #list(root: string, below: string, files: Map<string, string>): Promise<void> {
    const rank = (name: string): number => (LISTED_FIRST.includes(name) ? LISTED_FIRST.indexOf(name) : LISTED_FIRST.length);
    const entries = (await readdir(join(root, below), { withFileTypes: true })).toSorted((a, b) => rank(a.name) - rank(b.name));
    for (const entry of entries) {
      const path = join(below, entry.name);
      if (entry.isDirectory()) await this.#list(root, path, files);
      else if (!entry.name.startsWith(".")) files.set(path, await this.#keepFile(root, path));
    }
  }

  /** By its inode: what was given up and begun anew has the same name. */
  async #keepFile(root: string, path: string): Promise<string> {
    const inode = String((await lstat(join(root, path))).ino);
    if (!this.#kept.has(inode)) {
      await link(join(root, path), join(this.#keep, inode));
      this.#kept.add(inode);
    }
    return inode;
  }

  /** Makes the repository anew as it was at a moment. */
  async bringBack({ files }: Moment, folder: string): Promise<void> {
    for (const [path, inode] of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await link(join(this.#keep, inode), join(folder, path));
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
