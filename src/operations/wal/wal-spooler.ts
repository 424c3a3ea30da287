import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { walFileKind } from "../../domain/wal-segment.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import type { OperationContext } from "../context.ts";
import { newPushShared, preparePush } from "./push-wal.ts";
import type { PushRequest, PushResult, PushShared } from "./push-wal.ts";

/**
 * Archives WAL files for a server that finishes many: one process that stays, with everything open. PostgreSQL asks for one file after the other and waits for each; its `archive_status` tells which
 * come next, so some of those are stored meanwhile, and are there already when they are asked for.
 *
 * Nothing is answered before it is durable, and nothing is remembered but in memory: a spooler that dies leaves what any `wal push` leaves that dies, and PostgreSQL asks again.
 */
export class WalSpooler {
  readonly #source: string;
  readonly #repositories: () => Promise<PushRequest["repositories"]>;
  readonly #context: OperationContext;
  readonly #shared: PushShared;
  /** By file as it was when it was begun, oldest first. */
  readonly #begun = new Map<string, Promise<PushResult>>();
  #preparing: Promise<unknown> = Promise.resolve();
  #storing = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: { source: string; repositories: () => Promise<PushRequest["repositories"]>; context: OperationContext }) {
    this.#source = options.source;
    this.#repositories = options.repositories;
    this.#context = options.context;
    this.#shared = newPushShared(options.context);
  }

  /** Resolves when the file is durable, as `pushWal` does. The same file again, unchanged, is answered at once; one that failed is tried again. */
  async push(file: string): Promise<PushResult> {
    const pushed = this.#begin(file, await identify(file));
    await this.#lookAhead(file);
    return pushed;
  }

  #begin(file: string, identity: string): Promise<PushResult> {
    const known = this.#begun.get(identity);
    if (known !== undefined) return known;
    const pushed = this.#pushInTurn(file, Number(identity.split(":").at(-2)));
    this.#begun.set(identity, pushed);
    pushed.catch(() => this.#begun.delete(identity));
    for (const oldest of this.#begun.keys()) {
      if (this.#begun.size <= MOST_REMEMBERED) break;
      this.#begun.delete(oldest);
    }
    return pushed;
  }

  /** Read and scanned one after the other, since a record may reach from one segment into the next; stored side by side. */
  async #pushInTurn(file: string, bytes: number): Promise<PushResult> {
    await this.#slot(Math.max(1, Math.min(AT_ONCE, Math.floor(MOST_BYTES / bytes))));
    try {
      const preparing = this.#preparing.then(async () => preparePush({ source: this.#source, file, repositories: await this.#repositories() }, this.#context, this.#shared));
      this.#preparing = preparing.catch(() => undefined);
      return await (await preparing).store();
    } finally {
      this.#release();
    }
  }

  async #slot(most: number): Promise<void> {
    if (this.#storing < most) this.#storing++;
    else
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#storing--;
    else next();
  }

  /** Begins with what PostgreSQL will ask for next. What goes wrong with it is told when it is asked for. */
  async #lookAhead(file: string): Promise<void> {
    const folder = path.dirname(file);
    for (const name of await readyAfter(folder, path.basename(file))) {
      const next = path.join(folder, name);
      const identity = await identify(next).catch(() => null);
      if (identity !== null) this.#begin(next, identity).catch(() => undefined);
    }
  }
}

/** Segments in memory at once; they are read one by one, and the rest of the time is the repository's. */
const AT_ONCE = 4;
/** With segments of a gibibyte it is one at a time. */
const MOST_BYTES = 128 << 20;
/** How far ahead of what is asked for. More would be stored and forgotten before its turn comes. */
const AHEAD = 8;
/** Answers that are kept: PostgreSQL asks for what it was told already only after a crash of its own. */
const MOST_REMEMBERED = 64;

/** A file as it is now: under this name may lie something else tomorrow. */
async function identify(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true });
    return [file, dev, ino, size, mtimeNs].join(":");
  } catch (cause) {
    throw new HoldfastError("HF-WAL", `cannot read ${file}: ${messageOf(cause)}`, {
      hint: "the spooler must run where the server does, as an account that may read its WAL",
      cause,
    });
  }
}

/** Whole segments that wait to be archived, in the order in which they will be asked for. */
async function readyAfter(folder: string, name: string): Promise<string[]> {
  const entries = await readdir(path.join(folder, "archive_status")).catch(() => []);
  return entries
    .flatMap((entry) => (entry.endsWith(READY) ? [entry.slice(0, -READY.length)] : []))
    .filter((ready) => ready > name && walFileKind(ready) === "segment")
    .toSorted()
    .slice(0, AHEAD);
}

const READY = ".ready";
