import type { Clock } from "../clock.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { Rate } from "../token-bucket.ts";
import type { ObjectStore, ObjectWriter } from "./object-store.ts";

/** Bytes are paid for in pieces, so that one large write does not come in a burst of its own, and a change of the rate is noticed while it waits. */
const PIECE_BYTES = 256 * 1024;

/** Objects up to this size do not wait, but those after them pay for them: a lease must be renewed in time, and what was just committed must not queue behind a backup. */
const SMALL_BYTES = 64 * 1024;

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
