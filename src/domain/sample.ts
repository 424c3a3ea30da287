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
export function drawSample<T extends { readonly id: string }>(population: readonly T[], size: number, seed: string, digest: (text: string) => string): Sample<T> {
  const ranked = population.map((record) => ({ record, rank: digest(`${seed}\n${record.id}`) })).toSorted((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
  return { seed, of: population.length, drawn: ranked.slice(0, size).map(({ record }) => record) };
}
