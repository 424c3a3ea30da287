import { settledWithin } from "../clock.ts";
import type { Clock } from "../clock.ts";
import type { SourceInfo } from "../domain/source-info.ts";
import { HoldfastError } from "../errors.ts";
import type { CopyView } from "./copy-view.ts";
import { backupLocks } from "./expire/locks.ts";

/** Until when each copy of a backup is locked; null: it is not. One that nobody asked for is not in it. */
type CopyLocks = ReadonlyMap<string, Date | null>;

export interface SeenLocks {
  readonly of: ReadonlyMap<CopyView, CopyLocks>;
  /** When all of them were asked for last. */
  readonly askedAt: Date;
}

/** Asks every store that has locks: a request for each backup in it. */
export async function askLocks(views: readonly CopyView[], now: Date): Promise<SeenLocks> {
  const asked = views.map(async (view) => [view, await asking(view, idsOf(view))] as const);
  return { of: new Map(await Promise.all(asked)), askedAt: now };
}

/** Locks are made longer about once a day, and never shorter by us. */
const HOLD_MS = 3_600_000;
/** A store that does not answer must not keep a look from ending. */
const WITHIN_MS = 10_000;

/**
 * For looks that come every few seconds: what was seen before holds for an hour, and stores are asked for backups that are new since. What a store does not tell now is as it was seen before, or
 * not known.
 */
export async function keepLocks(views: readonly CopyView[], before: SourceInfo | null, clock: Clock): Promise<SeenLocks> {
  const now = clock.now();
  const lastAskedAt = before?.locksAskedAt === undefined ? null : new Date(before.locksAskedAt);
  const ageMs = lastAskedAt === null ? null : now.getTime() - lastAskedAt.getTime();
  // A clock that was set back says nothing of how long ago it was.
  const holds = ageMs !== null && ageMs >= 0 && ageMs < HOLD_MS;
  const looks = views.map(async (view): Promise<readonly [CopyView, CopyLocks]> => {
    const known = knownOf(view, before);
    const asked = asking(view, holds ? idsOf(view).filter((id) => !known.has(id)) : idsOf(view)).catch(nothingOfACopy);
    const isAnswered = await settledWithin(clock, WITHIN_MS, [asked]);
    return [view, new Map([...known, ...(isAnswered ? await asked : [])])];
  });
  return { of: new Map(await Promise.all(looks)), askedAt: holds && lastAskedAt !== null ? lastAskedAt : now };
}

function idsOf({ listing }: CopyView): string[] {
  return listing.backups.map(({ manifest }) => manifest.id);
}

async function asking({ repository, source }: CopyView, ids: readonly string[]): Promise<CopyLocks> {
  return backupLocks(repository, source, ids);
}

function knownOf({ repository: { name } }: CopyView, before: SourceInfo | null): Map<string, Date | null> {
  const known = new Map<string, Date | null>();
  for (const { id, copies } of before?.backups ?? [])
    for (const { repository, lockedUntil } of copies) if (repository === name && lockedUntil !== undefined) known.set(id, lockedUntil === null ? null : new Date(lockedUntil));
  return known;
}

function nothingOfACopy(error: unknown): CopyLocks {
  if (!(error instanceof HoldfastError)) throw error;
  return new Map();
}
