import { DamageError } from "../errors.ts";
import { codecThreads } from "./codec-threads.ts";
import { deriveFrameKeys, fitsCommitment, MAGIC } from "./container-format.ts";
import type { FrameInfo } from "./container-format.ts";
import type { ExtentCheck, ExtentFindings } from "./extent-check.ts";
import type { FramePiece } from "./frame-pieces.ts";
import { checkDigest, FrameFault } from "./frame-codec.ts";
import type { FrameSecret } from "./frame-codec.ts";
import { readMatching } from "./matching-version.ts";
import { readOrDamaged } from "./open-container.ts";
import type { Container } from "./open-container.ts";
import { readAhead } from "./read-ahead.ts";
import type { Repository } from "./repository.ts";
import { free } from "../spare-memory.ts";

/** Neighbouring frames are fetched in one read up to this size. */
const COALESCED_READ_BYTES = 4 << 20;

interface NumberedFrame {
  readonly index: number;
  readonly info: FrameInfo;
}

interface OpenableFrame {
  readonly stored: Buffer;
  readonly info: FrameInfo;
  readonly secret: FrameSecret;
}

/** Frames that lie one after the other, and are read at once. */
interface Neighbours {
  readonly from: number;
  readonly length: number;
  readonly frames: readonly NumberedFrame[];
}

/** Opens frames: fetches neighbours together, checks each digest, then decrypts and decompresses. */
export class FrameReader {
  readonly #repository: Repository;
  readonly container: Container;
  #key: Promise<Buffer> | null = null;

  constructor(repository: Repository, container: Container) {
    this.#repository = repository;
    this.container = container;
  }

  /** The plain bytes of one frame. */
  async read(index: number): Promise<Buffer> {
    for await (const { plain } of this.readMany([index])) return plain;
    throw new DamageError(this.container.objectKey, `has no frame ${index}`);
  }

  /** The plain bytes of frames, in ascending order of `indexes` (which must be sorted). Some are opened ahead. Whoever is done with one may give its memory back (`releaseFrame`). */
  async *readMany(indexes: readonly number[]): AsyncGenerator<{ index: number; plain: Buffer }> {
    for await (const { index, result } of this.#openEach(indexes, async ({ stored, info, secret }) => codecThreads.open(stored, info, secret))) yield { index, plain: result };
  }

  /** What is wrong with the blocks of frames, in ascending order of `indexes` (which must be sorted): their plain bytes stay on the thread that opens them. */
  async *checkMany(indexes: readonly number[], checkOf: (index: number) => Promise<ExtentCheck>): AsyncGenerator<{ index: number; findings: ExtentFindings }> {
    const check = async ({ stored, info, secret }: OpenableFrame): Promise<ExtentFindings> => codecThreads.check(stored, info, secret, await checkOf(secret.index));
    for await (const { index, result } of this.#openEach(indexes, check)) yield { index, findings: result };
  }

  /** Writes plain bytes of frames, in ascending order of `indexes` (which must be sorted), where they go. When it resolves or rejects, nothing writes any more. */
  async writeMany(indexes: readonly number[], piecesOf: (index: number, plainLength: number) => readonly FramePiece[]): Promise<void> {
    const write = async ({ stored, info, secret }: OpenableFrame): Promise<void> => codecThreads.write(stored, info, secret, piecesOf(secret.index, info.plainLength));
    for await (const written of this.#openEach(indexes, write)) void written;
  }

  async *#openEach<T>(indexes: readonly number[], use: (frame: OpenableFrame) => Promise<T>): AsyncGenerator<{ index: number; result: T }> {
    const opening: { index: number; result: Promise<T> }[] = [];
    try {
      for await (const { index, info, stored } of this.#fetch(indexes)) {
        const result = this.#open(index, info, stored, use);
        // Its turn comes, or nobody wants it any more.
        result.catch(() => undefined);
        opening.push({ index, result });
        const next = opening.length < codecThreads.width ? undefined : opening.shift();
        if (next !== undefined) yield { index: next.index, result: await next.result };
      }
      for (const { index, result } of opening) yield { index, result: await result };
    } finally {
      await Promise.allSettled(opening.map(async ({ result }) => result));
    }
  }

  /** The plain bytes of all frames, one after the other: at most so many, or it is damage. */
  async readAll(mostBytes: number): Promise<Buffer> {
    return this.readRun(0, this.container.frames.length, mostBytes);
  }

  /** The plain bytes of `count` frames from `first` on, one after the other. What they declare is looked at before any is opened. */
  async readRun(first: number, count: number, mostBytes: number): Promise<Buffer> {
    const declared = this.container.frames.slice(first, first + count).reduce((sum, { plainLength }) => sum + plainLength, 0);
    if (declared > mostBytes) throw new DamageError(this.container.objectKey, `it declares ${declared} bytes, and ${mostBytes} are the most there can be`);
    if (first + count > this.container.frames.length) throw new DamageError(this.container.objectKey, `has no frames ${first} to ${first + count - 1}`);
    const all = Buffer.allocUnsafeSlow(declared);
    let at = 0;
    for await (const { plain } of this.readMany(Array.from({ length: count }, (_, i) => first + i))) {
      at += plain.copy(all, at);
      releaseFrame(plain);
    }
    return all;
  }

  /** Every stored byte of frames, or of all of them, against its digest: it takes no key. Rejects with `DamageError`. */
  async checkStored(indexes: readonly number[] = this.container.frames.map((_, i) => i)): Promise<void> {
    const checking: Promise<void>[] = [];
    for await (const { index, info, stored } of this.#fetch(indexes)) {
      const checked = this.#naming(async () => codecThreads.checkStored(stored, info, index));
      checked.catch(() => undefined);
      checking.push(checked);
      if (checking.length >= codecThreads.width) await checking.shift();
    }
    await Promise.all(checking);
  }

  /** The stored bytes of frames, their digests checked, still encrypted. */
  async *readStored(indexes: readonly number[]): AsyncGenerator<{ index: number; info: FrameInfo; stored: Buffer }> {
    for await (const frame of this.#fetch(indexes)) {
      await this.#naming(async () => checkDigest(frame.stored, frame.info, frame.index));
      yield frame;
    }
  }

  /** The stored bytes of frames as they are. */
  async *#fetch(indexes: readonly number[]): AsyncGenerator<{ index: number; info: FrameInfo; stored: Buffer }> {
    const { objectKey, source } = this.container;
    const fetched = readAhead(this.#coalesce(indexes), {
      ahead: this.#repository.store.readsAhead,
      bytesOf: ({ length }) => length,
      fetch: async ({ from, length }) => this.#atHand(from, length) ?? readOrDamaged(objectKey, () => source.readRange(objectKey, from, length)),
    });
    for await (const { piece, result: bytes } of fetched) {
      if (piece.from === 0 && !bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new DamageError(objectKey, "it does not begin as a container does");
      // In memory of its own each can be handed to another thread, and what was read with its neighbours is free at once.
      const frames = piece.frames.map(({ index, info }) => ({ index, info, stored: copyOf(bytes, info.offset - piece.from, info.storedLength) }));
      if (bytes.buffer !== this.container.end.bytes.buffer) free(bytes);
      yield* frames;
    }
  }

  #atHand(from: number, length: number): Buffer | null {
    const { end } = this.container;
    return from >= end.from && from + length <= end.from + end.bytes.length ? end.bytes.subarray(from - end.from, from - end.from + length) : null;
  }

  /** Reads of neighbours, one after the other: there can be very many frames. */
  *#coalesce(indexes: readonly number[]): Generator<Neighbours> {
    for (const group of this.#groups(indexes)) {
      const [first, last] = [group[0], group.at(-1)];
      if (first === undefined || last === undefined) continue;
      // With the first frame the magic before it is read and checked too, so that whoever reads a whole container checks every byte of it.
      const from = first.index === 0 ? 0 : first.info.offset;
      yield { from, length: last.info.offset + last.info.storedLength - from, frames: group };
    }
  }

  *#groups(indexes: readonly number[]): Generator<NumberedFrame[]> {
    let group: NumberedFrame[] = [];
    for (const index of indexes) {
      const info = this.container.frames[index];
      if (info === undefined) throw new DamageError(this.container.objectKey, `has no frame ${index}`);
      const [first, last] = [group[0], group.at(-1)];
      const adjacent = first !== undefined && last !== undefined && last.index + 1 === index && info.offset + info.storedLength - first.info.offset <= COALESCED_READ_BYTES;
      if (!adjacent && first !== undefined) {
        yield group;
        group = [];
      }
      group.push({ index, info });
    }
    if (group.length > 0) yield group;
  }

  async #open<T>(index: number, info: FrameInfo, stored: Buffer, use: (frame: OpenableFrame) => Promise<T>): Promise<T> {
    const { repositoryId, source, object } = this.container.meta;
    this.#key ??= this.#deriveKey();
    const key = await this.#key;
    const { objectKey } = this.container;
    // Only the first time it is what was read with its neighbours: of another version, this frame alone.
    let bytes: Buffer | null = stored;
    return readMatching(this.#repository.store, objectKey, async (from) => {
      const read = bytes ?? (await readOrDamaged(objectKey, () => from.readRange(objectKey, info.offset, info.storedLength)));
      bytes = null;
      return this.#naming(() => use({ stored: read, info, secret: { key, index, binding: { repositoryId, source, object } } }));
    });
  }

  /** What is wrong with a frame, with the object it is of. */
  async #naming<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw error instanceof FrameFault ? new DamageError(this.container.objectKey, error.message, "damaged", error) : error;
    }
  }

  async #deriveKey(): Promise<Buffer> {
    const { meta, objectKey } = this.container;
    const secret = "sealed" in meta.key ? await this.#repository.keyRing.open(meta.key.keyId, meta.key.sealed) : this.#repository.keyRing.mapKey(meta.key.mapKey)?.key;
    if (secret === undefined) throw new DamageError(objectKey, "its map key is not at hand");
    const keys = deriveFrameKeys(secret, Buffer.from(meta.salt, "base64"));
    if (!fitsCommitment(keys, Buffer.from(meta.commitment, "base64"))) throw new DamageError(objectKey, "the key does not fit its commitment");
    return keys.key;
  }
}

function copyOf(bytes: Buffer, from: number, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, from, from + length);
  return copy;
}

/** Gives back the memory of a frame that was read, when nobody looks at it any more. */
export function releaseFrame(plain: Buffer): void {
  codecThreads.reuse(plain);
}
