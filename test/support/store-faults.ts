import type { ObjectStore, ObjectWriter } from "../../src/storage/object-store.ts";

/** Where a fault can be put: a method of the store, or of a writer it made. */
type FaultPoint = Exclude<keyof ObjectStore, "url" | "smallWritesEveryMs" | "readsAhead" | "lock" | "versions"> | "write" | "commit" | "abort";

/** What happens instead: an error before anything was done; or an error after it was done (a lost reply); or something of the test's own before it is done. */
type Fault = { readonly before: Error } | { readonly after: Error } | { readonly meanwhile: () => Promise<void> };

export interface FaultyStore extends Disposable {
  readonly store: ObjectStore;
  /** Queues a fault: it hits the next call whose key (or prefix) fits, once. */
  queue(point: FaultPoint, fault: Fault, fits?: (key: string) => boolean): void;
  /** Queues a fault that hits one call, whatever it is: the `nth` of all from the beginning, counted from 1. */
  queueNth(nth: number, fault: Fault): void;
  /** How often a method was called. */
  calls(point: FaultPoint): number;
  /** How many calls there were of any. */
  allCalls(): number;
}

interface Queued {
  readonly point: FaultPoint | null;
  readonly fault: Fault;
  readonly fits: (key: string) => boolean;
}

/** A store that fails where it is told to. Disposing of it fails the test if a fault was never hit: a fault that did not happen proves nothing. */
export function withFaults(inner: ObjectStore): FaultyStore {
  const queued: Queued[] = [];
  const counts = new Map<FaultPoint, number>();
  let all = 0;
  const through = async <T>(point: FaultPoint, key: string, act: () => Promise<T>): Promise<T> => {
    counts.set(point, (counts.get(point) ?? 0) + 1);
    all++;
    const index = queued.findIndex((candidate) => (candidate.point ?? point) === point && candidate.fits(key));
    const [hit] = index === -1 ? [] : queued.splice(index, 1);
    if (hit === undefined) return act();
    if ("before" in hit.fault) throw hit.fault.before;
    if ("meanwhile" in hit.fault) await hit.fault.meanwhile();
    const result = await act();
    if ("after" in hit.fault) throw hit.fault.after;
    return result;
  };
  const faultyWriter = (key: string, writer: ObjectWriter): ObjectWriter => ({
    write: (bytes) => through("write", key, () => writer.write(bytes)),
    commit: () => through("commit", key, () => writer.commit()),
    // Whatever is said of it, it happens: nothing else would close the file.
    abort: async () => {
      try {
        await through("abort", key, async () => undefined);
      } finally {
        await writer.abort();
      }
    },
  });
  const store: ObjectStore = {
    url: inner.url,
    smallWritesEveryMs: inner.smallWritesEveryMs,
    readsAhead: inner.readsAhead,
    create: async (key, options) => {
      const made: ObjectWriter[] = [];
      try {
        return faultyWriter(key, await through("create", key, async () => (made[0] = await inner.create(key, options))));
      } catch (error) {
        // Nobody was told of it, so nobody else can close it.
        await made[0]?.abort();
        throw error;
      }
    },
    read: (key) => through("read", key, () => inner.read(key)),
    readRange: (key, offset, length) => through("readRange", key, () => inner.readRange(key, offset, length)),
    readTail: (key, length) => through("readTail", key, () => inner.readTail(key, length)),
    size: (key) => through("size", key, () => inner.size(key)),
    async *list(prefix) {
      await through("list", prefix, async () => undefined);
      yield* inner.list(prefix);
    },
    listNames: (prefix, after) => through("listNames", prefix, () => inner.listNames(prefix, after)),
    remove: (keys) => through("remove", keys[0] ?? "", () => inner.remove(keys)),
    freeBytes: () => through("freeBytes", "", () => inner.freeBytes()),
    sweep: (prefix, before) => through("sweep", prefix, () => inner.sweep(prefix, before)),
    lock: inner.lock,
    versions: inner.versions,
  };
  return {
    store,
    queue: (point, fault, fits = () => true) => void queued.push({ point, fault, fits }),
    queueNth: (nth, fault) => void queued.push({ point: null, fault, fits: () => all === nth }),
    allCalls: () => all,
    calls: (point) => counts.get(point) ?? 0,
    [Symbol.dispose]: () => {
      if (queued.length > 0) throw new Error(`faults that were never hit: ${queued.map(({ point }) => point ?? "any call").join(", ")}`);
    },
  };
}
