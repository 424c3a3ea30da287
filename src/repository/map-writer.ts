import { comparePaths } from "../domain/file-map.ts";
import type { MapEntry } from "../domain/file-map.ts";
import { MAX_PLAIN_BYTES } from "./container-format.ts";
import type { FrameLane } from "./frame-lane.ts";
import { encodeChunk, encodeRoot, estimateEntryBytes } from "./map-encoding.ts";
import type { ChunkRef, DigestsRef } from "./map-encoding.ts";

/** Chunks are cut at about this size: small enough that a change rewrites little, large enough that there are few. */
const CHUNK_BYTES = 256 << 10;
const WRITE_AT_BYTES = 8 * CHUNK_BYTES;

/**
 * Writes the map of a backup from entries in order of path. Along the parent's chunks: one in which nothing changed is referenced, not written again.
 */
export class MapWriter {
  readonly #lane: FrameLane;
  readonly #backup: string;
  readonly #parentChunks: readonly ChunkRef[];
  #parentAt = -1;
  #pending: MapEntry[] = [];
  #pendingBytes = 0;
  #dirty = false;
  #lastPath: string | null = null;
  readonly #chunks: ChunkRef[] = [];
  readonly #late: ChunkRef[] = [];
  readonly ancestors = new Set<string>();

  constructor(lane: FrameLane, options: { backup: string; parentChunks: readonly ChunkRef[] }) {
    this.#lane = lane;
    this.#backup = options.backup;
    this.#parentChunks = options.parentChunks;
  }

  /** `unchanged`: the parent has this very entry. */
  async add(entry: MapEntry, unchanged: boolean): Promise<void> {
    if (this.#lastPath !== null && comparePaths(this.#lastPath, entry.path) >= 0) throw new RangeError(`${entry.path} comes after ${this.#lastPath}`);
    this.#lastPath = entry.path;
    await this.#moveTo(entry.path);
    this.#pending.push(entry);
    this.#pendingBytes += estimateEntryBytes(entry);
    this.#dirty ||= !unchanged;
    this.#noteAncestors(entry);
    await this.#writeEarly();
  }

  /** An entry of the parent that is no more. Called in order of path with `add`. */
  async drop(path: string): Promise<void> {
    await this.#moveTo(path);
    this.#dirty = true;
  }

  /** The files read last, in order of path among themselves. After all others. */
  async addLate(entries: readonly MapEntry[]): Promise<void> {
    await this.#endChunk();
    for (const entry of entries) this.#noteAncestors(entry);
    await this.#writeChunks(entries, this.#late);
  }

  /** Writes the root. Returns where the root begins and of how many frames it is. */
  async finish(digestSeed: bigint, digests: readonly DigestsRef[]): Promise<{ pack: number; frame: number; frames: number }> {
    const pieces = encodeRoot({ digestSeed, chunks: this.#chunks, late: this.#late, digests }, MAX_PLAIN_BYTES.map);
    const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
    // All pieces in one pack: they are counted as a whole with the first.
    const first = this.#lane.submit(pieces[0] ?? Buffer.alloc(0), total);
    for (const piece of pieces.slice(1)) {
      await this.#lane.ready();
      this.#lane.submit(piece, 0);
    }
    return { ...first, frames: pieces.length };
  }

  /** What is to be written anyway does not wait for the end of the parent's chunk: there may be none, and a million entries. */
  async #writeEarly(): Promise<void> {
    if (this.#pendingBytes < WRITE_AT_BYTES || (this.#parentChunks[this.#parentAt] !== undefined && !this.#dirty)) return;
    await this.#writeChunks(this.#pending, this.#chunks);
    [this.#pending, this.#pendingBytes, this.#dirty] = [[], 0, true];
  }

  async #moveTo(path: string): Promise<void> {
    for (;;) {
      const next = this.#parentChunks[this.#parentAt + 1];
      if (next === undefined || comparePaths(path, next.firstPath) < 0) return;
      await this.#endChunk();
      this.#parentAt++;
    }
  }

  async #endChunk(): Promise<void> {
    const parent = this.#parentChunks[this.#parentAt];
    const entries = this.#pending;
    if (parent !== undefined && !this.#dirty && parent.entries === entries.length) {
      this.#chunks.push(parent);
      this.ancestors.add(parent.backup);
    } else await this.#writeChunks(entries, this.#chunks);
    [this.#pending, this.#pendingBytes, this.#dirty] = [[], 0, false];
  }

  async #writeChunks(entries: readonly MapEntry[], chunks: ChunkRef[]): Promise<void> {
    for (let from = 0; from < entries.length;) {
      let [to, bytes] = [from, 0];
      for (let entry = entries[to]; entry !== undefined && (to === from || bytes + estimateEntryBytes(entry) <= CHUNK_BYTES); entry = entries[++to])
        bytes += estimateEntryBytes(entry);
      const slice = entries.slice(from, to);
      const { pack, frame } = this.#lane.submit(encodeChunk(slice));
      chunks.push({ firstPath: slice[0]?.path ?? "", backup: this.#backup, pack, frame, entries: slice.length });
      await this.#lane.ready();
      from = to;
    }
  }

  #noteAncestors(entry: MapEntry): void {
    if (entry.type !== "file") return;
    for (const run of entry.runs) if (run.at !== null && run.at.backup !== this.#backup) this.ancestors.add(run.at.backup);
  }
}
