import type { ByteRange, ClusterReader } from "../../src/postgres/cluster-reader.ts";
import { FolderListing } from "../../src/postgres/folder-listing.ts";
import type { FolderEntry } from "../../src/postgres/folder-listing.ts";
import type { ChangedBlocks } from "../../src/postgres/server-summaries.ts";
import { Random } from "./random.ts";

export const BLOCK_BYTES = 512;
/** Blocks in a segment file of a relation. */
export const SEGMENT_BLOCKS = 24;
const MOST_BLOCKS = 70;

/** What WAL summaries since some backup would say of a relation: the shortest it has been, and the blocks that were written. Pages of zeros put on at the end are in no WAL. */
interface Changes {
  limit: number;
  readonly blocks: Set<number>;
}

/**
 * The files of a cluster as a backup sees them, and a life for them: relations that are written, cut, extended and dropped, maps beside them that change without a trace in WAL,
 * and other files. All chance comes from the seed.
 */
export class ClusterModel {
  readonly #random: Random;
  readonly #relations = new Map<string, Buffer[]>();
  readonly #others = new Map<string, Buffer>();
  readonly #since = new Map<string, Map<string, Changes>>();

  constructor(seed: number) {
    this.#random = new Random(seed);
    for (let i = 0; i < 6; i++) this.#create(this.#newName());
    for (const name of ["PG_VERSION", "pg_xact/0000", "base/5/pg_filenode.map", "a-very-long-name-".repeat(10), "base/5.not-a-folder"])
      this.#others.set(name, this.#bytes(this.#random.integer(0, 3000)));
  }

  /** Something happens. */
  change(): void {
    const random = this.#random;
    const act = random.pick([
      this.#write,
      this.#write,
      this.#write,
      this.#truncate,
      this.#extend,
      this.#zeroExtend,
      this.#bulkLoad,
      this.#drop,
      this.#changeMap,
      this.#changeOther,
    ]);
    act.call(this);
  }

  /** From now on it is remembered what changes. */
  mark(backup: string): void {
    this.#since.set(backup, new Map());
  }

  changesSince(backup: string): ChangedBlocks {
    const changes = this.#since.get(backup) ?? new Map<string, Changes>();
    return {
      blocks: 0,
      of: (relation, fork) => {
        const found = fork === "main" ? changes.get(relation) : undefined;
        if (found === undefined) return null;
        if (found.limit === 0) return "all";
        return { limitBlock: found.limit, blocks: Uint32Array.from([...found.blocks].toSorted((a, b) => a - b)) };
      },
    };
  }

  files(): Map<string, Buffer> {
    const files = new Map(this.#others);
    for (const [name, blocks] of this.#relations) {
      for (let segment = 0; segment * SEGMENT_BLOCKS <= blocks.length; segment++) {
        const content = Buffer.concat(blocks.slice(segment * SEGMENT_BLOCKS, (segment + 1) * SEGMENT_BLOCKS));
        if (segment === 0 || content.length > 0) files.set(segment === 0 ? name : `${name}.${segment}`, content);
      }
    }
    return files;
  }

  reader(): ClusterReader {
    const files = this.files();
    const read = (range: ByteRange): Buffer | null => files.get(range.path)?.subarray(range.offset, range.offset + range.length) ?? null;
    return {
      kind: "remote",
      list: async (folder) => listOf(files, folder),
      read: async (ranges) => ranges.map(read),
      reuse: () => undefined,
      assertSameServer: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  #newName(): string {
    return `base/5/${this.#random.integer(16_384, 16_420)}`;
  }

  #create(name: string): void {
    this.#relations.set(
      name,
      Array.from({ length: this.#random.integer(0, MOST_BLOCKS) }, () => this.#block()),
    );
    this.#others.set(`${name}_vm`, this.#bytes(BLOCK_BYTES));
    this.#noteLength(name, 0);
  }

  readonly #write = (): void => {
    const [name, blocks] = this.#anyRelation();
    for (let i = this.#random.integer(1, 5); i > 0 && blocks.length > 0; i--) {
      const at = this.#random.integer(0, blocks.length - 1);
      blocks[at] = this.#block();
      this.#note(name, at);
    }
  };

  readonly #truncate = (): void => {
    const [name, blocks] = this.#anyRelation();
    blocks.length = this.#random.integer(0, blocks.length);
    this.#noteLength(name, blocks.length);
  };

  readonly #extend = (): void => {
    const [name, blocks] = this.#anyRelation();
    for (let i = this.#random.integer(1, 30); i > 0 && blocks.length < MOST_BLOCKS * 2; i--) this.#note(name, blocks.push(this.#block()) - 1);
  };

  /** As after a crash: the file is longer, and no WAL tells. */
  readonly #zeroExtend = (): void => {
    const [, blocks] = this.#anyRelation();
    for (let i = this.#random.integer(1, 30); i > 0 && blocks.length < MOST_BLOCKS * 2; i--) blocks.push(Buffer.alloc(BLOCK_BYTES));
  };

  /** TRUNCATE of what is left of a relation, and other content in the same file. */
  readonly #bulkLoad = (): void => {
    this.#truncate();
    this.#zeroExtend();
    this.#extend();
  };

  readonly #drop = (): void => {
    const [name] = this.#anyRelation();
    this.#relations.delete(name);
    this.#others.delete(`${name}_vm`);
    this.#noteLength(name, 0);
    this.#create(this.#newName());
  };

  readonly #changeMap = (): void => {
    const [name] = this.#anyRelation();
    this.#others.set(`${name}_vm`, this.#bytes(BLOCK_BYTES * this.#random.integer(0, 3)));
  };

  readonly #changeOther = (): void => {
    const name = this.#random.pick(["PG_VERSION", "pg_xact/0000", "pg_xact/0001", "base/5/pg_filenode.map", "pg_multixact/members/0000"]);
    if (this.#random.chance(0.2)) this.#others.delete(name);
    else this.#others.set(name, this.#bytes(this.#random.integer(0, 4000)));
  };

  #anyRelation(): [string, Buffer[]] {
    return this.#random.pick([...this.#relations]);
  }

  #note(name: string, block: number): void {
    for (const changes of this.#changesOf(name)) changes.blocks.add(block);
  }

  #noteLength(name: string, length: number): void {
    for (const changes of this.#changesOf(name)) changes.limit = Math.min(changes.limit, length);
  }

  #changesOf(name: string): Changes[] {
    const relation = `1663/5/${name.slice("base/5/".length)}`;
    return [...this.#since.values()].map((changes) => {
      let entry = changes.get(relation);
      if (entry === undefined) changes.set(relation, (entry = { limit: Number.MAX_SAFE_INTEGER, blocks: new Set() }));
      return entry;
    });
  }

  /** Mostly new, sometimes all zeros, sometimes what another block held once. */
  #block(): Buffer {
    const kind = this.#random.next();
    return kind < 0.1 ? Buffer.alloc(BLOCK_BYTES) : this.#bytes(BLOCK_BYTES, kind < 0.3 ? this.#random.integer(1, 3) : undefined);
  }

  #bytes(length: number, value: number = this.#random.integer(1, 2 ** 31)): Buffer {
    const bytes = Buffer.alloc(length, value & 0xff);
    if (length >= 4) bytes.writeInt32LE(value | 0, 0);
    return bytes;
  }
}

function listOf(files: ReadonlyMap<string, Buffer>, folder: string): FolderListing {
  const prefix = folder === "" ? "" : `${folder}/`;
  const entries = new Map<string, FolderEntry>();
  for (const [path, content] of files) {
    if (!path.startsWith(prefix)) continue;
    const [name = "", ...deeper] = path.slice(prefix.length).split("/");
    entries.set(name, { name, isFolder: deeper.length > 0, linkTarget: null, size: deeper.length > 0 ? 0 : content.length });
  }
  const listing = new FolderListing();
  for (const entry of entries.values()) listing.add(entry);
  return listing;
}
