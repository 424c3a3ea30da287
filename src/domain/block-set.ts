/** Blocks of one piece: a piece is as long as its highest block needs, and there are as many pieces as the fork is long. */
const PIECE_BLOCKS = 65_536;

/** Consecutive blocks. */
export interface BlockRun {
  readonly first: number;
  readonly count: number;
}

/**
 * A set of block numbers, as bits. It takes at most 1/65,536 of the size of the relation, however much of it changed and however scattered: what a list or a hash set would take
 * is not bounded by anything.
 */
export class BlockSet {
  readonly #pieces = new Map<number, Uint8Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(block: number): void {
    const within = block % PIECE_BLOCKS;
    const bits = this.#piece((block - within) / PIECE_BLOCKS, within >>> 3);
    const [byte, bit] = [bits[within >>> 3] as number, 1 << (within & 7)];
    if ((byte & bit) !== 0) return;
    bits[within >>> 3] = byte | bit;
    this.#size++;
  }

  has(block: number): boolean {
    const within = block % PIECE_BLOCKS;
    const bits = this.#pieces.get((block - within) / PIECE_BLOCKS);
    return (((bits?.[within >>> 3] ?? 0) >>> (within & 7)) & 1) === 1;
  }

  addAll(other: BlockSet): void {
    for (const { first, count } of other.runs()) for (let block = first; block < first + count; block++) this.add(block);
  }

  /** Removes `limit` and all beyond it. */
  removeFrom(limit: number): void {
    for (const [number, bits] of this.#pieces) {
      const start = number * PIECE_BLOCKS;
      if (start + bits.length * 8 <= limit) continue;
      const keep = Math.max(0, limit - start);
      for (let within = keep; within < bits.length * 8; within++) {
        const [byte, bit] = [bits[within >>> 3] as number, 1 << (within & 7)];
        if ((byte & bit) === 0) continue;
        bits[within >>> 3] = byte & ~bit;
        this.#size--;
      }
      if (keep === 0) this.#pieces.delete(number);
    }
  }

  /** Stretches of consecutive blocks, ascending, none of which touches the next. */
  *runs(): Generator<BlockRun> {
    let [first, count] = [0, 0];
    for (const block of this.#ascending()) {
      if (count > 0 && block === first + count) count++;
      else {
        if (count > 0) yield { first, count };
        [first, count] = [block, 1];
      }
    }
    if (count > 0) yield { first, count };
  }

  toArray(): Uint32Array {
    const blocks = new Uint32Array(this.#size);
    let at = 0;
    for (const block of this.#ascending()) blocks[at++] = block;
    return blocks;
  }

  *#ascending(): Generator<number> {
    for (const number of [...this.#pieces.keys()].toSorted((a, b) => a - b)) {
      const bits = this.#pieces.get(number) ?? new Uint8Array(0);
      const start = number * PIECE_BLOCKS;
      for (let i = 0; i < bits.length; i++) {
        for (let byte = bits[i] as number; byte !== 0; byte &= byte - 1) yield start + i * 8 + (31 - Math.clz32(byte & -byte));
      }
    }
  }

  /** The bits of a piece, long enough for a byte. */
  #piece(number: number, byte: number): Uint8Array {
    const bits = this.#pieces.get(number);
    if (bits !== undefined && byte < bits.length) return bits;
    const longer = new Uint8Array(Math.min(PIECE_BLOCKS / 8, Math.max(16, (byte + 1) * 2)));
    if (bits !== undefined) longer.set(bits);
    this.#pieces.set(number, longer);
    return longer;
  }
}
