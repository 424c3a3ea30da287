import { closest, distance } from "fastest-levenshtein";

/** What somebody probably meant: the known word nearest to what was written, if it is near enough to be a slip. */
export function nearest(written: string, known: readonly string[]): string | null {
  if (known.length === 0) return null;
  const bare = normalize(written);
  const best = closest(bare, known.map(normalize));
  const word = known.find((candidate) => normalize(candidate) === best);
  // A third of the letters, at least two: "rto" is two changes from "rpo" and its like, so short words must be nearer.
  const allowed = bare.length <= 3 ? 1 : Math.max(2, Math.floor(bare.length / 3));
  return word !== undefined && distance(bare, best) <= allowed ? word : null;
}

/** A suggestion, else all there is to choose from. */
export function suggest(written: string, known: readonly string[]): string {
  const word = nearest(written, known);
  return word === null ? `known here: ${known.join(", ")}` : `did you mean '${word}'?`;
}

/** Upper case, dashes and underscores are spelling, not meaning: `keep_for` is `keepFor`. */
function normalize(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, "");
}
