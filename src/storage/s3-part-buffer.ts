/** Collects pieces up to the size of a part, in memory that grows with what is in it: most objects are far smaller than a part. */
export class PartBuffer {
  readonly #limit: number;
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isFull(): boolean {
    return this.#length === this.#limit;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Copies what fits, and returns the rest: the caller may use its memory again at once. */
  take(piece: Uint8Array): Uint8Array {
    const fits = Math.min(piece.length, this.#limit - this.#length);
    this.#makeRoom(this.#length + fits);
    this.#bytes.set(piece.subarray(0, fits), this.#length);
    this.#length += fits;
    return piece.subarray(fits);
  }

  #makeRoom(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.#limit, Math.max(needed, this.#bytes.length * 4)));
    larger.set(this.bytes);
    this.#bytes = larger;
  }
}

const FIRST_BYTES = 16 * 1024;
