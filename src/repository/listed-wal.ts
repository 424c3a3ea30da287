import type { WalInventory } from "../domain/wal-coverage.ts";
import { DamageError } from "../errors.ts";
import type { Repository } from "./repository.ts";
import { listWal, readParts, readSegment } from "./wal-archive.ts";
import type { WalPlace } from "./wal-archive.ts";

/** The bytes of a segment that was listed, or of the beginning that is there of an unfinished one. Rejects with `DamageError`. */
export async function readListedWal(repository: Repository, place: WalPlace, inventory: WalInventory, name: string): Promise<Buffer> {
  try {
    return await readFrom(repository, place, inventory, name);
  } catch (error) {
    // The stream has made a segment of its parts, or one part of many, since we listed them.
    if (!(error instanceof DamageError) || error.kind !== "missing" || inventory.segments.has(name)) throw error;
    const now = await listWal(repository, place);
    if (!now.segments.has(name) && !now.parts.has(name)) throw error;
    return readFrom(repository, place, now, name);
  }
}

async function readFrom(repository: Repository, place: WalPlace, { segments, parts }: WalInventory, name: string): Promise<Buffer> {
  const segment = segments.get(name);
  return segment === undefined ? readParts(repository, place, name, parts.get(name)?.objects ?? []) : readSegment(repository, place, name, segment.objects);
}
