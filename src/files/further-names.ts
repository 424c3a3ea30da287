import type { NodeFacts } from "./node-facts.ts";

/**
 * Files that have several names, from the first that is met to the last: then nothing is kept of them. One whose other names lie outside of the tree is kept to the end, for nobody knows where they are.
 */
export class FurtherNames<T> {
  readonly #met = new Map<string, { readonly value: T; left: number }>();

  /** What was kept of a file by an earlier name of it; undefined: this is the first. */
  meet({ inode }: Pick<NodeFacts, "inode">): T | undefined {
    const met = this.#met.get(inode);
    if (met !== undefined && --met.left <= 0) this.#met.delete(inode);
    return met?.value;
  }

  keep({ inode, names }: Pick<NodeFacts, "inode" | "names">, value: T): void {
    if (names > 1) this.#met.set(inode, { value, left: names - 1 });
  }

  /** How many are kept now. */
  get size(): number {
    return this.#met.size;
  }
}
