import type { Lsn } from "./lsn.ts";
import { WalChanges } from "./wal-changes.ts";

/**
 * What a stretch of WAL changed: a number of records, each directly after the one before. Each record names the one before it, so whether a stretch follows another is told by what
 * its first record names, and not by arithmetic of positions; and so it is told across a switch of timelines too.
 */
export interface WalSummary {
  /** Where the record before the first one begins, as the first one says. */
  readonly after: Lsn;
  /** Where the first record begins. */
  readonly first: Lsn;
  /** Where the last record begins. */
  readonly last: Lsn;
  readonly changes: WalChanges;
}

/** Summaries put together in order, from a position on. Only what follows without a hole is taken. */
export class SummaryChain {
  readonly #from: Lsn;
  #last: Lsn | null = null;
  readonly changes = new WalChanges();

  constructor(from: Lsn) {
    this.#from = from;
  }

  /** Where the last record that is covered begins; null before the first. */
  get last(): Lsn | null {
    return this.#last;
  }

  /** Takes the summary in, if it is what comes next: no record lies between what is covered and its first. */
  append(summary: WalSummary): boolean {
    const joins = this.#last === null ? summary.after < this.#from : summary.after === this.#last;
    if (!joins) return false;
    this.#last = summary.last;
    this.changes.add(summary.changes);
    return true;
  }

  /** Every record that begins before `to` is in: one that does not was seen. */
  reaches(to: Lsn): boolean {
    return this.#last !== null && this.#last >= to;
  }
}
