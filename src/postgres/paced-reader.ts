import type { Clock } from "../clock.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { Rate } from "../token-bucket.ts";
import type { ClusterReader } from "./cluster-reader.ts";

/** Reads no faster than the rate at the time, whatever is written of it: an incremental that compares digests reads everything and writes little. */
export function pacedReader(inner: ClusterReader, rate: Rate, clock: Pick<Clock, "now" | "monotonicMs" | "sleep">): ClusterReader {
  const bucket = new TokenBucket(rate, clock);
  return {
    ...inner,
    read: async (ranges, signal) => {
      await bucket.take(
        ranges.reduce((sum, { length }) => sum + length, 0),
        () => signal.aborted,
      );
      return inner.read(ranges, signal);
    },
    [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
  };
}
