/**
 * Memory that was used and is free for the same again: a long copy then needs as much as is under way, and not as much as the garbage collector is behind.
 * Only what was lent here is taken back, and only once: other memory may be shared with anything (small buffers of Node lie in one).
 */
export class SpareMemory {
  readonly #smallest: number;
  readonly #most: number;
  readonly #spares: ArrayBuffer[] = [];
  readonly #lent = new WeakSet<ArrayBufferLike>();

  /** Keeps up to `most` pieces of `smallest` bytes and more. */
  constructor({ smallest, most }: { smallest: number; most: number }) {
    this.#smallest = smallest;
    this.#most = most;
  }

  /** Memory of its own, of exactly so many bytes. What is in it is of no meaning. */
  take(bytes: number): Buffer<ArrayBuffer> {
    if (bytes < this.#smallest) return Buffer.allocUnsafeSlow(bytes);
    const at = this.#spares.findIndex(({ byteLength }) => byteLength === bytes);
    const [found] = at < 0 ? [] : this.#spares.splice(at, 1);
    const memory = found === undefined ? Buffer.allocUnsafeSlow(bytes) : Buffer.from(found);
    this.#lent.add(memory.buffer);
    return memory;
  }

  /** Memory that was lent, handed to another thread, and came back from there: it is lent as before. */
  adopt({ buffer }: Uint8Array): void {
    if (buffer.byteLength >= this.#smallest) this.#lent.add(buffer);
  }

  /** Takes back the memory that these bytes lie in, and that nobody looks at any more. */
  give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer) || !this.#lent.delete(buffer)) return;
    this.#spares.push(buffer);
    // The oldest are of sizes that nobody asks for.
    if (this.#spares.length > this.#most) this.#spares.shift();
  }
}

/**
 * Frees memory that nobody looks at any more, without waiting for the garbage collector: what waits for it counts as in use, and soon calls it for every few frames.
 * Only for bytes that are the caller's own. Small buffers of Node may share their memory: they are left alone.
 */
export function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength > Buffer.poolSize) buffer.transfer(0);
}
