import { createHash } from "node:crypto";

/**
 * Merkle trees as of RFC 6962 (and 9162), over the chain of one writer of evidence. What is hashed into a leaf is the SHA-256 of an entry as it lies in the store, so that whoever knows the digest
 * of an entry can check a proof without the entry. Digests are buffers of 32 bytes; sizes are below 2^31.
 */
export function leafHash(entryDigest: Uint8Array): Buffer {
  return createHash("sha256").update(LEAF).update(entryDigest).digest();
}

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash("sha256").update(NODE).update(left).update(right).digest();
}

export class MerkleTree {
  /** By level, from the leaves up: the hashes of the complete subtrees of 2^level leaves. */
  readonly #levels: Buffer[][] = [[]];

  get size(): number {
    return this.#levels[0]?.length ?? 0;
  }

  append(entryDigest: Uint8Array): void {
    let hash = leafHash(entryDigest);
    for (let level = 0; ; level++) {
      const hashes = (this.#levels[level] ??= []);
      hashes.push(hash);
      const left = hashes.at(-2);
      if (hashes.length % 2 === 1 || left === undefined) return;
      hash = nodeHash(left, hash);
    }
  }

  /** Of the first `size` leaves, at least one. */
  root(size: number = this.size): Buffer {
    return this.#hashOf(0, size);
  }

  /** That leaf `index` (from 0) is in the tree: the hashes beside its way up. */
  inclusion(index: number): Buffer[] {
    return this.#path(index, 0, this.size);
  }

  /** That the tree of the first `from` leaves became this one by appending alone. */
  consistency(from: number): Buffer[] {
    return from === this.size ? [] : this.#subproof(from, 0, this.size, true);
  }

  #hashOf(begin: number, end: number): Buffer {
    const length = end - begin;
    const split = largestPowerBelow(length);
    const level = Math.log2(length);
    const whole = Number.isInteger(level) && begin % length === 0 ? this.#levels[level]?.[begin / length] : undefined;
    return whole ?? nodeHash(this.#hashOf(begin, begin + split), this.#hashOf(begin + split, end));
  }

  #path(index: number, begin: number, end: number): Buffer[] {
    if (end - begin === 1) return [];
    const middle = begin + largestPowerBelow(end - begin);
    return index < middle ? [...this.#path(index, begin, middle), this.#hashOf(middle, end)] : [...this.#path(index, middle, end), this.#hashOf(begin, middle)];
  }

  #subproof(from: number, begin: number, end: number, isWhole: boolean): Buffer[] {
    if (from === end) return isWhole ? [] : [this.#hashOf(begin, end)];
    const middle = begin + largestPowerBelow(end - begin);
    return from <= middle
      ? [...this.#subproof(from, begin, middle, isWhole), this.#hashOf(middle, end)]
      : [...this.#subproof(from, middle, end, false), this.#hashOf(begin, middle)];
  }
}

/** The largest power of two below `n` (of 1: 0). */
function largestPowerBelow(n: number): number {
  return n < 2 ? 0 : 2 ** Math.floor(Math.log2(n - 1));
}

/** Whether the entry of that digest is leaf `index` of a tree of that size and root. */
export function isIncluded({
  entryDigest,
  index,
  size,
  root,
  proof,
}: {
  entryDigest: Uint8Array;
  index: number;
  size: number;
  root: Uint8Array;
  proof: readonly Buffer[];
}): boolean {
  if (index >= size) return false;
  let [at, last, hash] = [index, size - 1, leafHash(entryDigest)];
  for (const beside of proof) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(beside, hash);
      [at, last] = toRightChild(at, last);
    } else hash = nodeHash(hash, beside);
    [at, last] = [at >> 1, last >> 1];
  }
  return last === 0 && hash.equals(root);
}

/** Whether a tree of size `from` and root `first` was appended to until it had size `size` and root `second`. */
export function isConsistent({ from, first, size, second, proof }: { from: number; first: Buffer; size: number; second: Buffer; proof: readonly Buffer[] }): boolean {
  if (from < 1 || from > size) return false;
  if (from === size) return proof.length === 0 && first.equals(second);
  const [seed, ...path] = largestPowerBelow(from + 1) === from ? [first, ...proof] : proof;
  if (seed === undefined) return false;
  let [at, last, old, grown] = [from - 1, size - 1, seed, seed];
  while (at % 2 === 1) [at, last] = [at >> 1, last >> 1];
  for (const beside of path) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      [old, grown] = [nodeHash(beside, old), nodeHash(beside, grown)];
      [at, last] = toRightChild(at, last);
    } else grown = nodeHash(grown, beside);
    [at, last] = [at >> 1, last >> 1];
  }
  return last === 0 && old.equals(first) && grown.equals(second);
}

/** Up past the levels where a node at the right edge has nobody beside it. */
function toRightChild(at: number, last: number): [number, number] {
  return at % 2 === 1 || at === 0 ? [at, last] : toRightChild(at >> 1, last >> 1);
}
