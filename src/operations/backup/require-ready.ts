import type { BackupType } from "../../domain/backup-id.ts";
import { HoldfastError } from "../../errors.ts";
import type { ManifestListing } from "../../repository/manifest.ts";
import type { Repository } from "../../repository/repository.ts";

/** Nothing that a database holds shrinks more. */
const BEST_COMPRESSION = 20;

export interface ReadyRequest {
  readonly type: BackupType;
  readonly listing: ManifestListing;
  /** All databases of the source together, as the server counts them; null where it does not tell. Asked only where room seems to be short: to count takes the server a while. */
  readonly sourceBytes: () => Promise<number | null>;
}

/**
 * Rejects where it is known already that a copy cannot be made, before the server is told of a backup: a place that does not enforce the locks that were asked for, or one without the room. Room is
 * only refused where it cannot be enough; that it will be, nobody knows. (That it can be written to, and that there is a key to write with, is known by the lease and the intent.)
 */
export async function requireReady({ store, name }: Pick<Repository, "store" | "name">, request: ReadyRequest): Promise<void> {
  await requireLocks({ store, name });
  const free = await store.freeBytes();
  const before = request.listing.backups.findLast(({ manifest }) => manifest.type === "full")?.manifest.sizes.storedBytes ?? null;
  // Of what changed since, nothing is known.
  if (request.type !== "full" || free === null || (before !== null && free >= before)) return;
  const sourceBytes = await request.sourceBytes();
  const least = sourceBytes === null ? 0 : leastBytes(before, sourceBytes);
  if (free >= least) return;
  throw new HoldfastError("HF-SPACE", `${name} has ${free} bytes left, and a full backup takes ${least} at the very least`, {
    hint: "make room, or let 'holdfast expire' do it; the backup was not begun",
    facts: { repository: name, freeBytes: free, neededBytes: least },
  });
}

/** Half of the full before, or what the best compression leaves of the databases, if that is less: they may have been emptied since. */
export function leastBytes(storedBefore: number | null, sourceBytes: number): number {
  return Math.floor(Math.min(storedBefore === null ? Number.POSITIVE_INFINITY : storedBefore / 2, sourceBytes / BEST_COMPRESSION));
}

async function requireLocks({ store, name }: Pick<Repository, "store" | "name">): Promise<void> {
  try {
    await store.lock?.assertEnforced();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    // Of this copy only: the others can be made.
    throw new HoldfastError("HF-STORAGE", `${name}: ${error.message}`, { cause: error, ...(error.hint === null ? {} : { hint: error.hint }), facts: error.facts });
  }
}
