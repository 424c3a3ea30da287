import type { ObjectStore } from "../../src/storage/object-store.ts";

/** A store to be tried, and a way to look at what lies in its place beside objects. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: ObjectStore;
  /** Everything that is there, objects or not (unfinished writes, empty folders): nothing may be left behind. */
  leftovers(): Promise<string[]>;
  /** How much of an unfinished write leaves something in the place: what is held back in memory until then, no sweep can find. */
  readonly unfinishedBytes: number;
  /** What somebody else with credentials can do, where the place keeps versions: write over an object, and delete it as anybody would. */
  readonly stranger?: { overwrite(key: string, bytes: Buffer): Promise<void>; hide(key: string): Promise<void> };
}
