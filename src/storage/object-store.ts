/**
 * Bytes by key: what a repository needs of a place to keep them, and no more. Nothing here knows what the bytes mean.
 * One contract suite (`test/contract/object-store.ts`) runs against every implementation and every wrapper.
 */
export interface ObjectStore {
  /** Where this is, for messages: never with credentials. */
  readonly url: string;
  /** How long to wait between small objects of one row (parts of the WAL being written): longer where each is a request that is paid for. */
  readonly smallWritesEveryMs: number;
  /** How many pieces of an object to ask for before they are needed: some where each is a way to go, none where it is next door. */
  readonly readsAhead: number;
  /**
   * Opens an object for writing under a key that must be free when it is committed. Nothing is visible before `commit`.
   */
  create(key: string, options?: CreateOptions): Promise<ObjectWriter>;
  /** The whole object. For small ones. Rejects with `ObjectMissing`. */
  read(key: string): Promise<Buffer>;
  /** Exactly `length` bytes from `offset`, in memory that is the caller's; rejects with `ObjectMissing`, or `ObjectTruncated` where the object ends before. */
  readRange(key: string, offset: number, length: number): Promise<Buffer>;
  /** The last `length` bytes (fewer if the object is shorter) and the size of the object. Rejects with `ObjectMissing`. */
  readTail(key: string, length: number): Promise<{ bytes: Buffer; size: number }>;
  /** Size of the object, or null where there is none. */
  size(key: string): Promise<number | null>;
  /** Every object whose key begins with `prefix`, in bytewise order of keys. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /**
   * The next path segments below `prefix` (which is empty or ends in `/`): names of objects, and of folders with a trailing `/`. In order. `after`: only those behind this name, so that what
   * is new in a long row is found without all of the row.
   */
  listNames(prefix: string, after?: string): Promise<string[]>;
  /** Removes objects, with everything that was put over them. One that is not there is no error; one that is locked stays, and is named in the answer. */
  remove(keys: readonly string[]): Promise<readonly LockedObject[]>;
  /** Free bytes where the store can say, else null. */
  freeBytes(): Promise<number | null>;
  /** Removes unfinished writes below `prefix` (empty, or ending in `/`) last touched before `before`, which nobody will finish, and folders left empty. Returns how many writes. */
  sweep(prefix: string, before: Date): Promise<number>;
  /** Locks, where the store has them and the inventory asks for them: what is locked can be deleted by nobody before its time, whatever credentials he has. Else null. */
  readonly lock: ObjectLock | null;
  /** What lies under and over objects, where the store may keep versions of one key; null: it never does. */
  readonly versions: ObjectVersions | null;
}

interface CreateOptions {
  /** Until when nobody may delete it. Null, or left out: it is not locked. Only where the store has locks. */
  readonly lockUntil?: Date | null;
}

export interface LockedObject {
  readonly key: string;
  /** Null: for as long as somebody's hold on it lasts. */
  readonly until: Date | null;
}

/** Governance: a few may delete it all the same, if they say so in as many words. We never do. Compliance: nobody may. */
export type LockMode = "governance" | "compliance";

export interface ObjectLock {
  readonly mode: LockMode;
  /** Until when an object is locked, which may be over; null: it never was. Rejects with `ObjectMissing`. */
  lockedUntil(key: string): Promise<Date | null>;
  /** Locks objects at least until then. One that is locked for longer stays so: no lock is ever shortened. Those that are not there are passed over. */
  extend(keys: readonly string[], until: Date): Promise<void>;
  /** Refuses (`HF-CHECK`) a place that does not enforce locks, or locks what nobody asked it to. */
  assertEnforced(): Promise<void>;
}

/** One version of a key, or a marker that hides those below it. */
export interface ObjectVersion {
  readonly key: string;
  readonly version: string;
  readonly size: number;
  readonly isLatest: boolean;
  readonly isMarker: boolean;
}

/** Reading without the rest. */
export type ObjectReads = Pick<ObjectStore, "readRange" | "readTail">;

interface ObjectVersions {
  /** Every version and marker of keys that begin with `prefix`, in order of keys, the newest of a key first. Nothing where the place keeps none. */
  list(prefix: string): AsyncIterable<ObjectVersion>;
  /** Reads one version of each key it is asked for. */
  at(version: string): ObjectReads;
}

export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
}

export type CreateOutcome = "created" | "exists";

/** One object being written. Exactly one of `commit` and `abort` ends it; `abort` after either does nothing. */
export interface ObjectWriter {
  /** Appends bytes, whose memory is the caller's again when it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the object visible and durable, whole. "exists": the key was taken, and what is there was left as it is. */
  commit(): Promise<CreateOutcome>;
  abort(): Promise<void>;
}

export class ObjectMissing extends Error {
  override readonly name = "ObjectMissing";
  readonly key: string;
  constructor(key: string) {
    super(`no object ${key}`);
    this.key = key;
  }
}

export class ObjectTruncated extends Error {
  override readonly name = "ObjectTruncated";
  readonly key: string;
  constructor(key: string) {
    super(`object ${key} is shorter than expected`);
    this.key = key;
  }
}

const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$/;

/** Every key from outside passes here before it becomes a path or a URL. */
export function isValidKey(key: string): boolean {
  return key.length <= 900 && key.split("/").every((segment) => SEGMENT.test(segment));
}

/** Writes a small object in one go. */
export async function putIfAbsent(store: ObjectStore, key: string, bytes: Uint8Array): Promise<CreateOutcome> {
  const writer = await store.create(key);
  try {
    await writer.write(bytes);
    return await writer.commit();
  } finally {
    await writer.abort();
  }
}
