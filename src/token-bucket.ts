/** Bytes a second that may pass at a moment; null: as fast as it goes. */
export type Rate = (at: Date) => number | null;

/** What a bucket needs of a clock. */
interface PaceClock {
  now(): Date;
  monotonicMs(): number;
  sleep(ms: number): Promise<void>;
}

/** A bucket fills up for so long: what did not pass a moment ago may pass now, and no more, or a quiet night would pay for a burst in the morning. */
const BURST_SECONDS = 1;

/** The rate is asked for again so often while waiting. */
const MAX_SLEEP_MS = 1000;

/** Lets bytes pass no faster than a rate that changes with the time of day, over all that take from it. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #clock: PaceClock;
  /** What may pass at once. Below 0: what has passed and is not paid for yet. */
  #bytes = 0;
  #filledMs: number;
  /** They are served one after the other: each begins to wait when those before it have paid. */
  #turn: Promise<void> = Promise.resolve();

  constructor(rate: Rate, clock: PaceClock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#filledMs = clock.monotonicMs();
  }

  /** Takes at once, if need be on credit. */
  charge(bytes: number): void {
    this.#fill(this.#rate(this.#clock.now()));
    this.#bytes -= bytes;
  }

  /** Resolves when so many bytes may pass, or when nobody wants them any more. */
  async take(bytes: number, isOver: () => boolean): Promise<void> {
    const paid = this.#turn.then(async () => this.#pay(bytes, isOver));
    this.#turn = paid.catch(() => undefined);
    await paid;
  }

  async #pay(bytes: number, isOver: () => boolean): Promise<void> {
    for (;;) {
      const perSecond = this.#rate(this.#clock.now());
      this.#fill(perSecond);
      // Without a limit nothing is owed, and nothing is saved up for when there is one.
      if (perSecond === null || isOver()) return;
      // A piece may be larger than the bucket ever holds: it begins when the bucket is full, and leaves a debt.
      if (this.#bytes >= Math.min(bytes, perSecond * BURST_SECONDS)) {
        this.#bytes -= bytes;
        return;
      }
      const missing = Math.min(bytes, perSecond * BURST_SECONDS) - this.#bytes;
      await this.#clock.sleep(Math.min(MAX_SLEEP_MS, Math.ceil((missing / perSecond) * 1000)));
    }
  }

  #fill(perSecond: number | null): void {
    const now = this.#clock.monotonicMs();
    const seconds = (now - this.#filledMs) / 1000;
    this.#filledMs = now;
    this.#bytes = perSecond === null ? 0 : Math.min(perSecond * BURST_SECONDS, this.#bytes + seconds * perSecond);
  }
}
