import type { Clock } from "../clock.ts";
import { HoldfastError } from "../errors.ts";
import type { CreateOutcome, ObjectLock, ObjectStore, ObjectWriter } from "../storage/object-store.ts";
import { lockUntil } from "./lock-terms.ts";
import type { LockTerms } from "./lock-terms.ts";

/** A store may round to whole seconds. */
const ROUNDING_MS = 1000;

/**
 * Locks what is written, each object for as long as it is needed, in a store that has locks; another store is returned as it is. Before the first object the place is asked whether it enforces
 * locks, and after it the lock is read back: a store that takes the header and forgets it is not written to any further.
 */
export function withLocks(inner: ObjectStore, terms: LockTerms, clock: Pick<Clock, "now">): ObjectStore {
  const { lock } = inner;
  if (lock === null) return inner;
  let enforced: Promise<void> | null = null;
  let isProven = false;
  const askOnce = async (): Promise<void> => {
    enforced ??= lock.assertEnforced();
    try {
      await enforced;
    } catch (error) {
      enforced = null;
      throw error;
    }
  };
  return {
    ...inner,
    create: async (key, options = {}) => {
      const until = options.lockUntil ?? lockUntil(key, terms, clock.now());
      if (until === null) return inner.create(key);
      await askOnce();
      const writer = await inner.create(key, { lockUntil: until });
      if (isProven) return writer;
      return proving(writer, async () => {
        await assertLocked(lock, inner.url, key, until);
        isProven = true;
      });
    },
  };
}

function proving(writer: ObjectWriter, prove: () => Promise<void>): ObjectWriter {
  return {
    write: async (bytes) => writer.write(bytes),
    commit: async (): Promise<CreateOutcome> => {
      const outcome = await writer.commit();
      if (outcome === "created") await prove();
      return outcome;
    },
    abort: async () => writer.abort(),
  };
}

async function assertLocked(lock: ObjectLock, url: string, key: string, until: Date): Promise<void> {
  const found = await lock.lockedUntil(key);
  if (found !== null && found.getTime() >= until.getTime() - ROUNDING_MS) return;
  throw new HoldfastError("HF-CHECK", `${url} took a lock for ${key} and did not keep it`, {
    hint: "this store does not enforce Object Lock: use another, or leave objectLock out of the inventory",
    facts: { repository: url, object: key },
  });
}
