import type { Clock } from "../clock.ts";
import type { ObjectStore, ObjectWriter } from "./object-store.ts";

/** Bytes a second that may be written at a moment; null: as fast as it goes. */
export type Rate = (at: Date) => number | null;

/** A bucket fills up for so long: what was not written a moment ago may be written now, and no more, or a quiet night would pay for a burst in the morning. */
const BURST_SECONDS = 1;

/** Bytes are paid for in pieces, so that one large write does not come in a burst of its own, and a change of the rate is noticed while it waits. */
const PIECE_BYTES = 256 * 1024;

/** Objects up to this size do not wait, but those after them pay for them: a lease must be renewed in time, and what was just committed must not queue behind a backup. */
const SMALL_BYTES = 64 * 1024;

/** The rate is asked for again so often while waiting. */
const MAX_SLEEP_MS = 1000;

/** A token bucket over all writers of one store: each byte waits until it is paid for. */
export function throttled(inner: ObjectStore, rate: Rate, clock: Clock): ObjectStore {
  const bucket = new TokenBucket(rate, clock);
  return {
    ...inner,
    create: async (key, options) => slowed(await inner.create(key, options), bucket),
  };
}

function slowed(writer: ObjectWriter, bucket: TokenBucket): ObjectWriter {
  let ended = false;
  let writtenBytes = 0;
  return {
    write: async (bytes) => {
      if (writtenBytes + bytes.length <= SMALL_BYTES) {
        writtenBytes += bytes.length;
        bucket.charge(bytes.length);
        return writer.write(bytes);
      }
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        await bucket.take(piece.length, () => ended);
        // Aborted while it waited: nobody wants it any more.
        if (ended) return;
        writtenBytes += piece.length;
        await writer.write(piece);
      }
    },
    commit: async () => writer.commit(),
    abort: async () => {
      ended = true;
      await writer.abort();
    },
  };
}

class TokenBucket {
  readonly #rate: Rate;
  readonly #clock: Clock;
  /** What may be written at once. Below 0: what was written and is not paid for yet. */
  #bytes = 0;
  #filledMs: number;
  /** Writers are served one after the other: each begins to wait when those before it have paid. */
  #turn: Promise<void> = Promise.resolve();

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#filledMs = clock.monotonicMs();
  }

  /** Takes at once, if need be on credit. */
  charge(bytes: number): void {
    this.#fill(this.#rate(this.#clock.now()));
    this.#bytes -= bytes;
  }

  /** Resolves when so many bytes may be written, or when nobody wants to write them any more. */
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
