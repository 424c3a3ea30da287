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
  let smallest: Ranked<T>[] = [];
  let of = 0;
  for (const record of population) {
    of++;
    smallest.push({ record, rank: digest(`${seed}\n${record.id}`) });
    // Sorted only now and then, so that a population of millions costs little more than its digests.
    if (smallest.length >= 2 * size + ENOUGH_TO_SORT) smallest = inRank(smallest).slice(0, size);
  }
  return {
    seed,
    of,
    drawn: inRank(smallest)
      .slice(0, size)
      .map(({ record }) => record),
  };
}

const ENOUGH_TO_SORT = 1000;

interface Ranked<T> {
  readonly record: T;
  readonly rank: string;
}

function inRank<T>(ranked: readonly Ranked<T>[]): Ranked<T>[] {
  return ranked.toSorted((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
}
