import { HoldfastError } from "../../errors.ts";
import type { Clock } from "../../clock.ts";
import { settledWithin } from "../../clock.ts";
import type { WritableRepository } from "../../repository/repository.ts";

/** WAL received and not yet in a repository behind the first: held in memory, at least one segment. */
const QUEUE_BYTES = 64 << 20;

/**
 * One repository of a log that the stream does not wait for. It is written in order from a bounded queue. Once it fails, or falls behind further than the queue, it *lags*: then
 * nothing more is handed to it, and it is filled up by copying from the first tier until it has caught up. So it has no holes but what it lacks at the end.
 */
export class TierQueue {
  readonly repository: WritableRepository;
  readonly #onLagging: (error: unknown) => void;
  #queue: Promise<void> = Promise.resolve();
  #queuedBytes = 0;
  #isLagging: boolean;
  #failure: HoldfastError | null = null;

  constructor(repository: WritableRepository, { isLagging, onLagging }: { isLagging: boolean; onLagging: (error: unknown) => void }) {
    this.repository = repository;
    this.#isLagging = isLagging;
    this.#onLagging = onLagging;
  }

  get isLagging(): boolean {
    return this.#isLagging;
  }

  /** Two histories: whoever streams must stop, for it cannot know which one is right. */
  get divergence(): HoldfastError | null {
    return this.#failure;
  }

  /** Writes something when what came before is written. Dropped while the repository lags. */
  hand(bytes: number, act: (repository: WritableRepository) => Promise<void>): void {
    if (this.#isLagging) return;
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > QUEUE_BYTES) {
      this.#lag(new HoldfastError("HF-COPIES", `${this.repository.name} is slower than WAL comes`, { hint: "it is filled up by copying" }));
      return;
    }
    this.#queuedBytes += bytes;
    this.#queue = this.#queue.then(async () => {
      try {
        if (!this.#isLagging) await act(this.repository);
      } catch (error) {
        if (error instanceof HoldfastError && error.code === "HF-DIVERGED") this.#failure ??= error;
        this.#lag(error);
      } finally {
        this.#queuedBytes -= bytes;
      }
    });
  }

  /** It has been filled up: what comes from now on is handed to it again. */
  resume(): void {
    this.#isLagging = false;
  }

  /** Whether all that was handed in was written, or dropped, in time. */
  async drained(clock: Clock, ms: number): Promise<boolean> {
    return settledWithin(clock, ms, [this.#queue]);
  }

  #lag(error: unknown): void {
    if (this.#isLagging) return;
    this.#isLagging = true;
    this.#onLagging(error);
  }
}
