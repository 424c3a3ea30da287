import { BlockSet } from "./block-set.ts";

/** Forks of a relation that WAL tells everything about. Free-space and visibility maps are not among them: they are read whole, always. */
export const FORK = { main: 0, init: 3 } as const;

/** No block has this number: a fork that was not cut. */
export const NO_LIMIT = 0xffffffff;

/** What happened to one fork of one relation. */
export interface ForkChanges {
  readonly tablespace: number;
  readonly database: number;
  readonly relation: number;
  readonly fork: number;
  /** This block and all beyond it may hold anything: the fork was cut there, or made anew (0). */
  readonly limitBlock: number;
  /** Blocks that changed; none at or beyond the limit. */
  readonly blocks: BlockSet;
}

type MutableFork = { -readonly [K in keyof ForkChanges]: ForkChanges[K] };

/**
 * Which blocks a stretch of WAL changed. A block is changed if it is named, or at or beyond the limit of its fork, or its database was made, copied or dropped. Nothing is ever taken
 * back, so the order in which changes are put together does not matter, and putting in more than once does no harm.
 */
export class WalChanges {
  /** By number of the relation: one number in two databases is rare. */
  readonly #forks = new Map<number, MutableFork[]>();
  readonly #databases = new Map<number, Set<number>>();
  /** Most records change the relation that the one before changed. */
  #latest: MutableFork | null = null;

  mark(tablespace: number, database: number, relation: number, fork: number, block: number): void {
    const changes = this.#fork(tablespace, database, relation, fork);
    if (changes !== null && block < changes.limitBlock) changes.blocks.add(block);
  }

  /** The fork was cut to `limitBlock` blocks. */
  cut(tablespace: number, database: number, relation: number, fork: number, limitBlock: number): void {
    if (limitBlock === NO_LIMIT) return;
    const changes = this.#fork(tablespace, database, relation, fork);
    if (changes === null || limitBlock >= changes.limitBlock) return;
    changes.limitBlock = limitBlock;
    changes.blocks.removeFrom(limitBlock);
  }

  /** A whole database in one tablespace was made, copied or dropped: nothing in it is known. */
  replaceDatabase(tablespace: number, database: number): void {
    const known = this.#databases.get(database);
    if (known === undefined) this.#databases.set(database, new Set([tablespace]));
    else known.add(tablespace);
    for (const [relation, forks] of this.#forks) {
      const others = forks.filter((fork) => fork.tablespace !== tablespace || fork.database !== database);
      if (others.length === 0) this.#forks.delete(relation);
      else if (others.length < forks.length) this.#forks.set(relation, others);
    }
    this.#latest = null;
  }

  add(other: WalChanges): void {
    for (const { tablespace, database } of other.databases()) this.replaceDatabase(tablespace, database);
    for (const { tablespace, database, relation, fork, limitBlock, blocks } of other.#all()) {
      if (this.#fork(tablespace, database, relation, fork) === null) continue;
      if (limitBlock !== NO_LIMIT) this.cut(tablespace, database, relation, fork, limitBlock);
      for (const { first, count } of blocks.runs()) for (let block = first; block < first + count; block++) this.mark(tablespace, database, relation, fork, block);
    }
  }

  isReplaced(tablespace: number, database: number): boolean {
    return this.#databases.get(database)?.has(tablespace) === true;
  }

  /** Null: nothing of it changed, or its database was replaced as a whole. */
  find(tablespace: number, database: number, relation: number, fork: number): ForkChanges | null {
    return this.#forks.get(relation)?.find((changes) => isFork(changes, tablespace, database, fork)) ?? null;
  }

  /** Databases that were replaced, in order. */
  databases(): { tablespace: number; database: number }[] {
    return [...this.#databases]
      .flatMap(([database, tablespaces]) => [...tablespaces].map((tablespace) => ({ tablespace, database })))
      .toSorted((a, b) => firstDifference([a.tablespace, a.database], [b.tablespace, b.database]));
  }

  /** In order of tablespace, database, relation, fork. */
  forks(): ForkChanges[] {
    return [...this.#all()].toSorted((a, b) => firstDifference([a.tablespace, a.database, a.relation, a.fork], [b.tablespace, b.database, b.relation, b.fork]));
  }

  /** Blocks that are named. */
  get blocks(): number {
    let total = 0;
    for (const { blocks } of this.#all()) total += blocks.size;
    return total;
  }

  *#all(): Generator<ForkChanges> {
    for (const forks of this.#forks.values()) yield* forks;
  }

  /** Null where the whole database was replaced: more cannot be said of it. */
  #fork(tablespace: number, database: number, relation: number, fork: number): MutableFork | null {
    const latest = this.#latest;
    if (latest?.relation === relation && isFork(latest, tablespace, database, fork)) return latest;
    const same = this.#forks.get(relation);
    const found = same?.find((changes) => isFork(changes, tablespace, database, fork));
    if (found !== undefined) return (this.#latest = found);
    if (this.isReplaced(tablespace, database)) return null;
    const made = { tablespace, database, relation, fork, limitBlock: NO_LIMIT, blocks: new BlockSet() };
    if (same === undefined) this.#forks.set(relation, [made]);
    else same.push(made);
    return (this.#latest = made);
  }
}

function isFork(changes: ForkChanges, tablespace: number, database: number, fork: number): boolean {
  return changes.fork === fork && changes.database === database && changes.tablespace === tablespace;
}

function firstDifference(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at === -1 ? 0 : (a[at] as number) - (b[at] as number);
}
