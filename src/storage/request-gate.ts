import type { Clock } from "../clock.ts";

/** How many requests of one kind a store gets at once, at least and at most, and to begin with. */
export interface GateLimits {
  readonly least: number;
  readonly first: number;
  readonly most: number;
}

interface Waiting {
  readonly enter: () => void;
}

/** A request may take so much longer than the shortest one lately before more at once are taken to be of no use. */
const CROWDED = 3;
/** How fast the shortest time is forgotten: ways get longer, too. */
const FORGETTING = 1.02;
const BACK_OFF = 0.5;

/**
 * How many requests are on their way at once, found by trying: one more for each round in which all places were taken and answers came as quickly as before, half as many
 * when the store says that it is too much. A store far away gets more at once than one next door, and no number of processors comes into it.
 */
export class RequestGate {
  readonly #limits: GateLimits;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #limit: number;
  #running = 0;
  readonly #waiting: Waiting[] = [];
  #shortestMs = Infinity;
  #lastBackOffMs = -Infinity;

  constructor(limits: GateLimits, clock: Pick<Clock, "monotonicMs">) {
    this.#limits = limits;
    this.#limit = limits.first;
    this.#clock = clock;
  }

  /** How many may be on their way now. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** Sends one when its turn comes. */
  async run<T>(send: () => Promise<T>): Promise<T> {
    await this.#enter();
    const isFull = this.#running >= this.limit;
    const begun = this.#clock.monotonicMs();
    try {
      const answer = await send();
      this.#answered(begun, isFull);
      return answer;
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  /** The store asked for less, of a request that was sent at `sentMs`. Those that were sent before it was heeded say nothing new. */
  refused(sentMs: number): void {
    if (sentMs < this.#lastBackOffMs) return;
    this.#lastBackOffMs = this.#clock.monotonicMs();
    this.#limit = Math.max(this.#limits.least, this.#limit * BACK_OFF);
  }

  #answered(begun: number, isFull: boolean): void {
    const took = this.#clock.monotonicMs() - begun;
    this.#shortestMs = Math.min(this.#shortestMs * FORGETTING, took);
    // Where not all places were taken, nobody knows whether more would do.
    if (!isFull || begun < this.#lastBackOffMs || took > this.#shortestMs * CROWDED) return;
    this.#limit = Math.min(this.#limits.most, this.#limit + 1 / this.#limit);
  }

  async #enter(): Promise<void> {
    if (this.#running < this.limit && this.#waiting.length === 0) {
      this.#running++;
      return;
    }
    await new Promise<void>((enter) => {
      this.#waiting.push({ enter });
    });
  }

  #admit(): void {
    while (this.#running < this.limit) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running++;
      next.enter();
    }
  }
}
