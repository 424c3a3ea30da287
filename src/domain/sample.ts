/** A sample that everybody draws alike who has the population and the seed. */
export interface Sample<T> {
  readonly seed: string;
  /** How many there were to draw from. */
  readonly of: number;
  readonly drawn: readonly T[];
}

/**
 * The `size` records whose digest of seed and id is smallest: whoever knows the seed can draw them again with `printf '%s\n%s' SEED ID | sha256sum`, in whatever order the population comes.
 * `digest`: SHA-256, hex.
 */
export function drawSample<T extends { readonly id: string }>(population: Iterable<T>, size: number, seed: string, digest: (text: string) => string): Sample<T> {
  const sampler = new Sampler<T>(size, seed, digest);
  for (const record of population) sampler.take(record);
  return sampler.sample();
}

/** The same, for who is told of the records one by one. */
export class Sampler<T extends { readonly id: string }> {
  readonly #size: number;
  readonly #seed: string;
  readonly #digest: (text: string) => string;
  #smallest: Ranked<T>[] = [];
  #of = 0;

  constructor(size: number, seed: string, digest: (text: string) => string) {
    this.#size = size;
    this.#seed = seed;
    this.#digest = digest;
  }

  take(record: T): void {
    this.#of++;
    this.#smallest.push({ record, rank: this.#digest(`${this.#seed}\n${record.id}`) });
    // Sorted only now and then, so that a population of millions costs little more than its digests.
    if (this.#smallest.length >= 2 * this.#size + ENOUGH_TO_SORT) this.#smallest = inRank(this.#smallest).slice(0, this.#size);
  }

  sample(): Sample<T> {
    const drawn = inRank(this.#smallest).slice(0, this.#size);
    return { seed: this.#seed, of: this.#of, drawn: drawn.map(({ record }) => record) };
  }
}

const ENOUGH_TO_SORT = 1000;

interface Ranked<T> {
  readonly record: T;
  readonly rank: string;
}

function inRank<T>(ranked: readonly Ranked<T>[]): Ranked<T>[] {
  return ranked.toSorted((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
}
