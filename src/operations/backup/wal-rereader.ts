import { formatLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import type { WalInventory } from "../../domain/wal-coverage.ts";
import { parseSegmentName, segmentStart } from "../../domain/wal-segment.ts";
import type { SummaryChain } from "../../domain/wal-summary.ts";
import { must } from "../../errors.ts";
import { WalWalker } from "../../postgres/wal-records.ts";
import { WalSummarizer } from "../../postgres/wal-summarizer.ts";
import type { Repository } from "../../repository/repository.ts";
import { readParts, readSegment } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";

/**
 * Summarises WAL that is in the repository already: the segment that is being written, those that were stored without a summary, and records that lie across the border of two
 * segments of which the second was summarised alone. It begins where the last known record lies, so that the next one is seen from its beginning.
 */
export class WalRereader {
  readonly #repository: Repository;
  readonly #place: WalPlace;
  #bytesLeft: number;
  #walker: WalWalker | null = null;
  #summarizer = new WalSummarizer();
  /** Records up to here are known already. */
  #known: Lsn | null = null;
  /** The segment that is walked next, and how much of it was. */
  #index = 0;
  #walked = 0;

  constructor(repository: Repository, place: WalPlace, bytes: number) {
    this.#repository = repository;
    this.#place = place;
    this.#bytesLeft = bytes;
  }

  /** Extends the chain with the records that end in `names[last]`, as far as it is there. Returns why that cannot be, or null. Rejects with `DamageError` where WAL cannot be read. */
  async extend(chain: SummaryChain, inventory: WalInventory, names: readonly string[], last: number): Promise<string | null> {
    this.#known = chain.last;
    if (this.#walker === null || this.#index !== last) this.#begin(chain, names, last);
    const walker = must(this.#walker, "a walk");
    for (;;) {
      const name = must(names[this.#index], "a segment");
      const bytes = await this.#read(inventory, name);
      if (bytes === null) return `more WAL than that would have to be read again from ${name} on, for want of summaries`;
      walker.push(bytes.subarray(this.#walked));
      this.#walked = bytes.length;
      if (walker.stopped !== null) return `the WAL in ${name} cannot be followed: ${walker.stopped}`;
      if (this.#index === last) break;
      this.#enter(this.#index + 1);
    }
    if (this.#walked === this.#place.segmentBytes) this.#enter(last + 1);
    return this.#take(chain, names, last);
  }

  #take(chain: SummaryChain, names: readonly string[], last: number): string | null {
    const { failure } = this.#summarizer;
    const summary = this.#summarizer.take();
    if (failure !== null) return `the WAL up to ${names[last]} cannot be summarised: ${failure}`;
    if (summary === null || chain.append(summary)) return null;
    return `the WAL in ${names[last]} does not follow the record at ${formatLsn(chain.last ?? summary.after)}`;
  }

  /** Begins anew with the segment in which the last known record lies. */
  #begin(chain: SummaryChain, names: readonly string[], last: number): void {
    const { segmentBytes } = this.#place;
    const startOf = (name: string): Lsn => segmentStart(must(parseSegmentName(name, segmentBytes), "a segment"), segmentBytes);
    const { last: known } = chain;
    const first =
      known === null
        ? 0
        : Math.max(
            0,
            names.findLastIndex((name, i) => i <= last && startOf(name) <= known),
          );
    this.#enter(first);
    this.#summarizer = new WalSummarizer();
    this.#walker = new WalWalker(startOf(must(names[first], "a segment")), {
      segmentBytes,
      checkCrc: true,
      visit: (record) => {
        if (this.#known === null || record.start > this.#known) this.#summarizer.add(record);
      },
    });
  }

  #enter(index: number): void {
    [this.#index, this.#walked] = [index, 0];
  }

  /** A segment, or what there is of it. Null where enough was read. */
  async #read(inventory: WalInventory, name: string): Promise<Buffer | null> {
    const objects = inventory.segments.get(name)?.objects;
    // The unfinished one is looked at again and again, and is read in any case.
    if (objects === undefined) return readParts(this.#repository, this.#place, name, inventory.parts.get(name)?.objects ?? []);
    this.#bytesLeft -= this.#place.segmentBytes;
    return this.#bytesLeft < 0 ? null : readSegment(this.#repository, this.#place, name, objects);
  }
}
