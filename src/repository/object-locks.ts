import pMap from "p-map";
import { ObjectMissing } from "../storage/object-store.ts";
import type { LockedObject } from "../storage/object-store.ts";
import type { Repository } from "./repository.ts";

/** The locks of single objects, in a repository that has them. */

/** An object that was to go and stays, because it is locked. */
export type StayingObject = LockedObject;

const LOOKS_AT_ONCE = 16;

/** Until when objects are locked, which may be over; null: they are not locked. What is not there is left out; nothing in a store without locks. */
export async function lockTimes({ store: { lock } }: Pick<Repository, "store">, objects: readonly string[]): Promise<ReadonlyMap<string, Date | null>> {
  const times = new Map<string, Date | null>();
  if (lock === null) return times;
  await pMap(
    objects,
    async (object) => {
      try {
        times.set(object, await lock.lockedUntil(object));
      } catch (error) {
        if (!(error instanceof ObjectMissing)) throw error;
      }
    },
    { concurrency: LOOKS_AT_ONCE },
  );
  return times;
}

/** Those of the objects that may not be deleted yet, and until when. */
export async function lockedNow(repository: Pick<Repository, "store">, objects: readonly string[], now: Date): Promise<ReadonlyMap<string, Date>> {
  const times = await lockTimes(repository, objects);
  return new Map([...times].flatMap(([object, until]) => (until !== null && until > now ? [[object, until]] : [])));
}
