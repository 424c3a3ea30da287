import { recordCapacity } from "../catalog/capacity.ts";
import { HoldfastError } from "../errors.ts";
import type { Installation } from "./installation.ts";

/** How often each repository is measured: all its objects are listed, which in a bucket is paid for. */
const MEASURE_EVERY_MS = 3_600_000;

/** Lists everything in a repository and puts on record how much it is, and how much room is left where the place says so. */
async function measureCapacity(installation: Installation, name: string, signal: AbortSignal): Promise<void> {
  const { catalog, clock } = installation;
  const { store } = await installation.repository(name);
  let usedBytes = 0;
  for await (const { size } of store.list("")) {
    usedBytes += size;
    signal.throwIfAborted();
  }
  recordCapacity(catalog, name, { at: clock.now().toISOString(), usedBytes, freeBytes: await store.freeBytes() });
}

/** Measures every repository of the inventory now and then, until stopped. One that cannot be reached is tried again the next time. */
export async function measureRegularly(installation: Installation, signal: AbortSignal, onTrouble: (repository: string, error: unknown) => void): Promise<void> {
  while (!signal.aborted) {
    for (const name of installation.inventory.repositories.keys())
      await measureCapacity(installation, name, signal).catch((error: unknown) => {
        if (!signal.aborted) onTrouble(name, error instanceof HoldfastError ? error.message : error);
      });
    await installation.clock.sleep(MEASURE_EVERY_MS, signal).catch(() => undefined);
  }
}
