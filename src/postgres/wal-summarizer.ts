import type { Lsn } from "../domain/lsn.ts";
import { WalChanges } from "../domain/wal-changes.ts";
import type { WalSummary } from "../domain/wal-summary.ts";
import { addChangesOf } from "./wal-blocks.ts";
import type { WalRecord } from "./wal-records.ts";

/** Gathers what records change, as they are walked: one directly after the other, each with its CRC checked. */
export class WalSummarizer {
  #changes = new WalChanges();
  #range: { after: Lsn; first: Lsn; last: Lsn } | null = null;
  #failure: string | null = null;

  /** Why what was gathered since the last `take` is no summary. */
  get failure(): string | null {
    return this.#failure;
  }

  add(record: WalRecord): void {
    if (this.#range === null) this.#range = { after: record.prev, first: record.start, last: record.start };
    else this.#range.last = record.start;
    this.#failure ??= addChangesOf(record, this.#changes);
  }

  /** What was gathered since the last time; null where there was no record, or one that is not known. */
  take(): WalSummary | null {
    const [range, changes, failure] = [this.#range, this.#changes, this.#failure];
    [this.#range, this.#changes, this.#failure] = [null, new WalChanges(), null];
    return range === null || failure !== null ? null : { ...range, changes };
  }
}
