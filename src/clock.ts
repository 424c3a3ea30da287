import { setTimeout as delay } from "node:timers/promises";

/** The only place that asks the machine for the time. Tests of schedules bring their own. */
export interface Clock {
  /** Wall clock. May jump; never used to measure. */
  now(): Date;
  /** Milliseconds on a clock that only goes forward. Used for every duration. */
  monotonicMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      // Node says only that it was aborted, and nobody could tell why.
      signal?.throwIfAborted();
      throw error;
    }
  },
};

/** A stopwatch started now; the result is in seconds. */
export function stopwatch(clock: Clock): () => number {
  const from = clock.monotonicMs();
  return () => (clock.monotonicMs() - from) / 1000;
}

/** Whether all of it has ended, well or not, before `ms` are over. It goes on by itself where it has not. */
export async function settledWithin(clock: Clock, ms: number, work: readonly Promise<unknown>[]): Promise<boolean> {
  const timer = new AbortController();
  const ended = Promise.allSettled(work).then(() => true);
  const late = clock.sleep(ms, timer.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([ended, late]);
  } finally {
    timer.abort();
  }
}
