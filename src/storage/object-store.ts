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
  create(key: string): Promise<ObjectWriter>;
  /** The whole object. For small ones. Rejects with `ObjectMissing`. */
  read(key: string): Promise<Buffer>;
  /** Exactly `length` bytes from `offset`; rejects with `ObjectMissing`, or `ObjectTruncated` where the object ends before. */
  readRange(key: string, offset: number, length: number): Promise<Buffer>;
  /** The last `length` bytes (fewer if the object is shorter) and the size of the object. Rejects with `ObjectMissing`. */
  readTail(key: string, length: number): Promise<{ bytes: Buffer; size: number }>;
  /** Size of the object, or null where there is none. */
  size(key: string): Promise<number | null>;
  /** Every object whose key begins with `prefix`, in bytewise order of keys. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** The next path segments below `prefix` (which is empty or ends in `/`): names of objects, and of folders with a trailing `/`. In order. */
  listNames(prefix: string): Promise<string[]>;
  /** Removes objects. One that is not there is no error. */
  remove(keys: readonly string[]): Promise<void>;
  /** Free bytes where the store can say, else null. */
  freeBytes(): Promise<number | null>;
  /** Removes unfinished writes below `prefix` (empty, or ending in `/`) last touched before `before`, which nobody will finish, and folders left empty. Returns how many writes. */
  sweep(prefix: string, before: Date): Promise<number>;
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
