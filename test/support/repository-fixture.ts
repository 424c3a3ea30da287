import { join } from "node:path";
import { systemClock } from "../../src/clock.ts";
import { openHostState } from "../../src/repository/host-state.ts";
import { createRepository } from "../../src/repository/create-repository.ts";
import { openForWriting } from "../../src/repository/repository.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { openLocalStore, prepareLocalStore } from "../../src/storage/local-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { openScratchFolder } from "./scratch-folder.ts";

/** In the form that needs no stretching, so that a test does not wait for it. */
export const PASSPHRASE = "abcde-fghij-klmno-pqrst-uvwxy-z2345";

/** A repository in a temporary folder, and hosts that may write in it. */
export interface RepositoryFixture extends AsyncDisposable {
  readonly folder: string;
  readonly store: ObjectStore;
  /** Opens it for writing as a host of that name, which keeps what it knows between calls; through another store, if one is given. */
  open(host?: string, store?: ObjectStore): Promise<WritableRepository>;
}

export async function openRepositoryFixture(): Promise<RepositoryFixture> {
  const scratch = await openScratchFolder();
  const folder = join(scratch.path, "repository");
  await prepareLocalStore(folder);
  const store = openLocalStore(folder);
  await createRepository({ name: "test", store, passphrase: PASSPHRASE, now: systemClock.now() });
  return {
    folder,
    store,
    open: async (host = "one", through = store) =>
      openForWriting({
        name: "test",
        store: through,
        secret: PASSPHRASE,
        host: await openHostState(join(scratch.path, `state-${host}`)),
        hostName: host,
        now: systemClock.now(),
      }),
    [Symbol.asyncDispose]: async () => scratch[Symbol.asyncDispose](),
  };
}
