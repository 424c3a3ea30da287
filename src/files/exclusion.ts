import ignore from "ignore";
import type { Ignore } from "ignore";

/** The library remembers every path that it was asked for: after so many it is begun anew, or a tree of a million files would be in memory. */
const PATHS_REMEMBERED = 10_000;

/** What a tree leaves out, by rules as in a `.gitignore`, seen from its root. */
export class Exclusion {
  readonly #rules: readonly string[];
  #matcher: Ignore;
  #asked = 0;

  constructor(rules: readonly string[]) {
    this.#rules = rules;
    this.#matcher = ignore().add([...rules]);
  }

  excludes(path: string, isFolder: boolean): boolean {
    if (this.#rules.length === 0) return false;
    if (++this.#asked % PATHS_REMEMBERED === 0) this.#matcher = ignore().add([...this.#rules]);
    return this.#matcher.ignores(isFolder ? `${path}/` : path);
  }
}
