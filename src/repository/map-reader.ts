import { comparePaths } from "../domain/file-map.ts";
import type { MapEntry } from "../domain/file-map.ts";
import { DamageError, HoldfastError, messageOf, must } from "../errors.ts";
import { keepHeapSmall } from "../small-heap.ts";
import { decodeDigests } from "./block-writer.ts";
import { FrameReader } from "./container-reader.ts";
import { openContainer } from "./open-container.ts";
import { keys } from "./layout.ts";
import { LruCache } from "./lru-cache.ts";
import type { StoredManifest } from "./manifest.ts";
import { decodeChunk, decodeRoot, digestsByPack } from "./map-encoding.ts";
import type { ChunkRef, DigestsRef, MapRoot } from "./map-encoding.ts";
import { readAhead } from "./read-ahead.ts";
import type { Repository } from "./repository.ts";

/** Opened containers and digests kept at hand: with packs of 128 MiB a digest frame is 128 KiB, so this bounds memory to some 20 MiB. */
const OPEN_CONTAINERS = 256;
const DIGEST_FRAMES = 128;
/** Besides a handful, those are relations that became logged while the backup ran. */
const MOST_LATE_ENTRIES = 100_000;
/** Some 50 bytes a chunk of 256 KiB: that is the map of a hundred million files. */
const MOST_ROOT_BYTES = 16 << 20;
/** Chunks of the map read before their turn, each counted as what it may take. */
const CHUNKS_AHEAD = 4;
const CHUNK_BYTES = 4 << 20;
/** Of at most 1 MiB each. */
const EXTENTS_AT_HAND = 4;

/** Where else a chain can be read, and who is told when it was. */
export interface Elsewhere {
  readonly others: readonly ChainReader[];
  readonly onFallback: (object: string, reason: string, servedBy: string) => void;
}

/** What another copy may make good: damage, a store or a key that is not there. */
export function isOfThisCopy(error: unknown): boolean {
  return error instanceof HoldfastError && ["HF-DAMAGE", "HF-STORAGE", "HF-TIMEOUT", "HF-KEY"].includes(error.code);
}

/** Reads maps, extents and digests of a backup and its ancestors. Every container is opened once and authenticated then. */
export class ChainReader {
  readonly repository: Repository;
  readonly chain: ReadonlyMap<string, StoredManifest>;
  readonly #containers = new LruCache<string, Promise<FrameReader>>(OPEN_CONTAINERS);
  readonly #digests = new LruCache<string, Promise<BigUint64Array[]>>(DIGEST_FRAMES);
  readonly #roots = new Map<string, Promise<MapRoot>>();
  readonly #digestRefs = new Map<string, Promise<ReadonlyMap<number, DigestsRef>>>();
  /** Extents of small files, which share them: the documents of a backup are read one by one. */
  readonly #extents = new LruCache<string, Promise<Buffer>>(EXTENTS_AT_HAND);
  readonly #elsewhere: Elsewhere | null;
  #isAway = false;

  /** `elsewhere`: other copies of the very same backups, for what this one cannot give. */
  constructor(repository: Repository, chain: ReadonlyMap<string, StoredManifest>, elsewhere: Elsewhere | null = null) {
    this.repository = repository;
    this.chain = chain;
    this.#elsewhere = elsewhere;
  }

  /** Does something with a pack. Where it is missing, damaged or out of reach, it is done again from the beginning with that of another copy, frame for frame the same. */
  async usePack<T>(backup: string, kind: "data" | "map", pack: number, use: (reader: FrameReader) => Promise<T>): Promise<T> {
    const { others = [], onFallback = () => undefined } = this.#elsewhere ?? {};
    let failure: unknown = null;
    // A repository that did not answer is asked last from then on: each try costs the time that it takes to give up.
    for (const chain of this.#isAway ? [...others, this] : [this, ...others]) {
      try {
        const result = await use(await chain.pack(backup, kind, pack));
        if (failure !== null) onFallback(keys.pack(this.sourceName, backup, kind, pack), messageOf(failure), chain.repository.name);
        return result;
      } catch (error) {
        if (!isOfThisCopy(error)) throw error;
        if (chain === this) this.#isAway ||= !(error instanceof DamageError);
        failure ??= error;
      }
    }
    throw failure;
  }

  root(backup: string): Promise<MapRoot> {
    let root = this.#roots.get(backup);
    if (root === undefined) this.#roots.set(backup, (root = this.#readRoot(backup)));
    return root;
  }

  /** All entries of a backup: in order of path, then those that were read last. */
  async *entries(backup: string): AsyncGenerator<MapEntry> {
    const { chunks, late } = await this.root(backup);
    const lateOnes = await this.#readLate(late);
    const latePaths = new Set(lateOnes.map(({ path }) => path));
    if (latePaths.size < lateOnes.length) throw this.#wrongMap(backup, "names a file twice");
    let before: string | null = null;
    const read = readAhead(chunks, { ahead: CHUNKS_AHEAD, bytesOf: () => CHUNK_BYTES, fetch: (chunk) => this.chunk(chunk) });
    for await (const { result: entriesOfChunk } of read) {
      keepHeapSmall();
      for (const entry of entriesOfChunk) {
        // What is in order is there once: no chunk can be made to count for many.
        if (before !== null && comparePaths(before, entry.path) >= 0) throw this.#wrongMap(backup, `is out of order at ${entry.path}`);
        if (latePaths.has(entry.path)) throw this.#wrongMap(backup, `names ${entry.path} twice`);
        before = entry.path;
        yield entry;
      }
    }
    yield* lateOnes;
  }

  /** Few, and needed whole before all others, for each of them must be named once. */
  async #readLate(late: readonly ChunkRef[]): Promise<MapEntry[]> {
    const entries: MapEntry[] = [];
    for (const chunk of late) {
      entries.push(...(await this.chunk(chunk)));
      if (entries.length > MOST_LATE_ENTRIES) throw this.#wrongMap(chunk.backup, `names more than ${MOST_LATE_ENTRIES} files that were read late`);
    }
    return entries;
  }

  get sourceName(): string {
    return must([...this.chain.values()][0], "a manifest").manifest.source;
  }

  #wrongMap(backup: string, what: string): DamageError {
    return new DamageError(keys.manifest(this.sourceName, backup), `its map ${what}`);
  }

  async chunk(ref: ChunkRef): Promise<MapEntry[]> {
    return this.usePack(ref.backup, "map", ref.pack, async (reader) => {
      const entries = decodeChunk(await reader.read(ref.frame), reader.container.objectKey);
      if (entries.length !== ref.entries || entries[0]?.path !== ref.firstPath)
        throw new DamageError(reader.container.objectKey, `frame ${ref.frame} is not the chunk that the root names`);
      return entries;
    });
  }

  /** The digests of the blocks of one extent. */
  async digestsOf(backup: string, pack: number, frame: number): Promise<BigUint64Array> {
    const name = `${backup}/${pack}`;
    let digests = this.#digests.get(name);
    if (digests === undefined) this.#digests.set(name, (digests = this.#readDigests(backup, pack)));
    const found = (await digests)[frame];
    if (found === undefined) throw this.#wrongMap(backup, `has no digests for extent ${frame} of pack ${pack}`);
    return found;
  }

  /** One extent, of the last few that were asked for without a way to the store. Not to be changed. */
  extent(backup: string, pack: number, frame: number): Promise<Buffer> {
    const name = `${backup}/${pack}/${frame}`;
    let extent = this.#extents.get(name);
    if (extent === undefined) {
      extent = this.usePack(backup, "data", pack, async (reader) => reader.read(frame));
      this.#extents.set(name, extent);
      extent.catch(() => this.#extents.delete(name));
    }
    return extent;
  }

  /** An opened pack of a backup of this chain. */
  pack(backup: string, kind: "data" | "map", pack: number): Promise<FrameReader> {
    const name = `${backup}/${kind}/${pack}`;
    let reader = this.#containers.get(name);
    if (reader === undefined) {
      reader = this.#openPack(backup, kind, pack);
      this.#containers.set(name, reader);
    }
    return reader;
  }

  async #openPack(backup: string, kind: "data" | "map", pack: number): Promise<FrameReader> {
    const stored = this.chain.get(backup);
    if (stored === undefined) throw new DamageError(keys.manifest(this.sourceName, backup), "is referenced by the map but not named by the manifest");
    const { source } = stored.manifest;
    const key = keys.pack(source, backup, kind, pack);
    return new FrameReader(this.repository, await openContainer(this.repository, { objectKey: key, boundKey: key, source, kind }));
  }

  async #readRoot(backup: string): Promise<MapRoot> {
    const { root } = must(this.chain.get(backup), `manifest of ${backup}`).manifest;
    return this.usePack(backup, "map", root.pack, async (reader) => decodeRoot(await reader.readRun(root.frame, root.frames, MOST_ROOT_BYTES), reader.container.objectKey));
  }

  async #readDigests(backup: string, dataPack: number): Promise<BigUint64Array[]> {
    let byPack = this.#digestRefs.get(backup);
    if (byPack === undefined) this.#digestRefs.set(backup, (byPack = this.root(backup).then(digestsByPack)));
    const ref = (await byPack).get(dataPack);
    if (ref === undefined) throw new DamageError(keys.pack(this.sourceName, backup, "data", dataPack), "the root names no digests for it");
    return this.usePack(backup, "map", ref.pack, async (reader) => {
      const digests = decodeDigests(await reader.read(ref.frame));
      if (digests === null) throw new DamageError(reader.container.objectKey, `frame ${ref.frame} does not hold digests`);
      return digests;
    });
  }
}
