import type { Clock } from "../../clock.ts";
import { ledgerKey } from "../../domain/verify-ledger.ts";
import type { StoredObject } from "../../domain/verify-ledger.ts";
import type { ScrubBudget } from "../../policy/types.ts";
import { Pieces } from "./verify-pieces.ts";

/** What one slice of a scrub reads: pieces on the budget, one after the other and no faster than it allows, until its time is over; and pieces that are free. */
export class PacedPieces extends Pieces {
  override readonly atOnce = 1;
  readonly #free: ReadonlySet<string>;
  readonly #budget: ScrubBudget;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #startMs: number;
  readonly #endMs: number;
  #bytes = 0;
  #sleptMs = 0;

  constructor(options: { paced: readonly StoredObject[]; free: readonly StoredObject[]; budget: ScrubBudget; seconds: number; clock: Clock; signal: AbortSignal }) {
    super([...options.paced, ...options.free]);
    this.#free = new Set(options.free.map(ledgerKey));
    this.#budget = options.budget;
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#startMs = options.clock.monotonicMs();
    this.#endMs = this.#startMs + options.seconds * 1000;
  }

  override isWanted(piece: StoredObject): boolean {
    return super.isWanted(piece) && (this.#free.has(ledgerKey(piece)) || this.#clock.monotonicMs() < this.#endMs);
  }

  override async pace(piece: StoredObject): Promise<void> {
    if (this.#free.has(ledgerKey(piece))) return;
    this.#bytes += piece.bytes;
    const now = this.#clock.monotonicMs();
    const waitMs = Math.min(this.#endMs, Math.max(this.#byRate(), this.#byShare(now))) - now;
    if (waitMs <= 0) return;
    await this.#clock.sleep(waitMs, this.#signal);
    this.#sleptMs += this.#clock.monotonicMs() - now;
  }

  /** When so many bytes may have been read. */
  #byRate(): number {
    const { bytesPerSecond } = this.#budget;
    return bytesPerSecond === null ? 0 : this.#startMs + (this.#bytes / bytesPerSecond) * 1000;
  }

  /** When the time that was worked is no more than its share. */
  #byShare(now: number): number {
    const { share } = this.#budget;
    return share === null ? 0 : this.#startMs + (now - this.#startMs - this.#sleptMs) / share;
  }
}
