import type { BlockLocation } from "../domain/file-map.ts";
import { codecThreads } from "./codec-threads.ts";
import type { FrameLane } from "./frame-lane.ts";

/** Limits of the format: extents of a full and of an incremental, and the plain size of a pack. */
export const EXTENT_BYTES = { full: 1 << 20, incremental: 256 << 10 } as const;
export const PACK_PLAIN_BYTES = 128 << 20;

/** Lays blocks one after the other into extents, extents into packs, and the digests of a pack into a frame of the map. A block's place is known at once. */
export class BlockWriter {
  readonly #lane: FrameLane;
  readonly #mapLane: FrameLane;
  readonly #backup: string;
  readonly #blockSize: number;
  readonly #extentBlocks: number;
  #extent: Buffer;
  #used = 0;
  #extentDigests: bigint[] = [];
  #packDigests: bigint[][] = [];
  #packOfDigests = 0;
  readonly digestFrames: { dataPack: number; pack: number; frame: number }[] = [];
  extents = 0;
  blocks = 0;

  constructor(lanes: { data: FrameLane; map: FrameLane }, options: { backup: string; blockSize: number; extentBytes: number }) {
    this.#lane = lanes.data;
    this.#mapLane = lanes.map;
    this.#backup = options.backup;
    this.#blockSize = options.blockSize;
    this.#extentBlocks = Math.max(1, Math.floor(options.extentBytes / options.blockSize));
    this.#extent = this.#newExtent();
  }

  /** Adds one block (copied) and says where it will lie. Call `ready` between blocks now and then. */
  append(block: Uint8Array, digest: bigint): BlockLocation {
    if (this.#used === this.#extentBlocks) this.#flush();
    const { pack, frame } = this.#lane.peek(this.#extentBlocks * this.#blockSize);
    this.#extent.set(block, this.#used * this.#blockSize);
    this.#extentDigests.push(digest);
    this.blocks++;
    return { backup: this.#backup, pack, frame, block: this.#used++ };
  }

  async ready(): Promise<void> {
    await this.#lane.ready();
    await this.#mapLane.ready();
  }

  /** Hands in the last extent and the digests of the last pack. */
  finish(): void {
    this.#flush();
    if (this.#packDigests.length > 0) this.#flushDigests();
  }

  #flush(): void {
    if (this.#used === 0) return;
    const whole = this.#extent;
    // The place of this extent was promised for its full size: a short last one must not slip into the pack before.
    const { pack } = this.#lane.peek(whole.length);
    if (pack !== this.#packOfDigests && this.#packDigests.length > 0) this.#flushDigests();
    this.#packOfDigests = pack;
    this.#lane.submit(this.#used === this.#extentBlocks ? whole : whole.subarray(0, this.#used * this.#blockSize), whole.length);
    this.#packDigests.push(this.#extentDigests);
    this.extents++;
    this.#extent = this.#newExtent();
    this.#extentDigests = [];
    this.#used = 0;
  }

  #flushDigests(): void {
    const address = this.#mapLane.submit(encodeDigests(this.#packDigests));
    this.digestFrames.push({ dataPack: this.#packOfDigests, ...address });
    this.#packDigests = [];
  }

  #newExtent(): Buffer {
    return codecThreads.spare(this.#extentBlocks * this.#blockSize);
  }
}

/** Per frame of a pack: number of blocks u32, then that many u64; before all, the number of frames u32. */
export function encodeDigests(frames: readonly (readonly bigint[])[]): Buffer {
  const bytes = Buffer.alloc(4 + frames.reduce((sum, digests) => sum + 4 + digests.length * 8, 0));
  let at = bytes.writeUInt32LE(frames.length, 0);
  for (const digests of frames) {
    at = bytes.writeUInt32LE(digests.length, at);
    for (const digest of digests) at = bytes.writeBigUInt64LE(digest, at);
  }
  return bytes;
}

/** The digests of the blocks of a pack, by frame. Null if the bytes are not of that form. */
export function decodeDigests(bytes: Buffer): BigUint64Array[] | null {
  if (bytes.length < 4) return null;
  const frames: BigUint64Array[] = [];
  const count = bytes.readUInt32LE(0);
  let at = 4;
  for (let frame = 0; frame < count; frame++) {
    if (at + 4 > bytes.length) return null;
    const blocks = bytes.readUInt32LE(at);
    at += 4;
    if (at + blocks * 8 > bytes.length) return null;
    const digests = new BigUint64Array(blocks);
    for (let i = 0; i < blocks; i++, at += 8) digests[i] = bytes.readBigUInt64LE(at);
    frames.push(digests);
  }
  return at === bytes.length ? frames : null;
}
