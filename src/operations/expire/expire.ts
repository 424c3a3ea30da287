import { crashPoint } from "../../crash-points.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import { retained, stateOf } from "../../domain/hold.ts";
import type { SourceHolds } from "../../domain/hold.ts";
import { planExpiry } from "../../domain/retention.ts";
import type { ExpiryDecision, RetentionRule } from "../../domain/retention.ts";
import { readIntents, removeBackupObjects } from "../../repository/attempts.ts";
import type { RemovedObjects } from "../../repository/attempts.ts";
import { writeDocument } from "../../repository/document.ts";
import { readHolds } from "../../repository/holds.ts";
import { baseName, keys } from "../../repository/layout.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { Lease } from "../../repository/lease.ts";
import { listManifests, toRetain } from "../../repository/manifest.ts";
import type { ManifestListing } from "../../repository/manifest.ts";
import { lockedNow } from "../../repository/object-locks.ts";
import type { StayingObject } from "../../repository/object-locks.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { expireWal } from "./expire-wal.ts";
import type { WalExpiryRequest } from "./expire-wal.ts";
import { backupLocks, extendLocks, planLockWork } from "./locks.ts";
import type { Locking, LockWork } from "./locks.ts";
import { leaseScopes } from "../source-target.ts";
import { sweepAttempts } from "../backup/sweep-attempts.ts";

export interface ExpireRequest extends WalExpiryRequest {
  readonly rules: ReadonlyMap<BackupType, RetentionRule>;
  readonly runId: string;
  /** Whether a run of this host is known to have ended. */
  readonly hasEnded?: (runId: string) => boolean;
  /** Null, or left out: nothing in this repository is locked. */
  readonly locking?: Locking | null;
}

export interface ExpireResult {
  readonly repository: string;
  readonly decisions: readonly ExpiryDecision[];
  /** Segments whose time is over, by timeline. */
  readonly walSegments: number;
  /** WAL is kept from here on without a break; null where all of it is kept. */
  readonly walKeptFrom: string | null;
  readonly removedBackups: readonly string[];
  readonly removedObjects: number;
  readonly removedBytes: number;
  /** Segments whose time is over, and that are locked for longer. */
  readonly walLocked: number;
  /** Locks that were made longer, or would be. */
  readonly lockWork: readonly LockWork[];
  /** What was to go and was not let go by the store: it goes later. */
  readonly refused: readonly StayingObject[];
}

const UNFINISHED_MS = 24 * 3_600_000;

/** Removes what retention no longer wants: backups with a tombstone first, then WAL that no kept backup and no point-in-time window needs. */
export async function expire(request: ExpireRequest, context: OperationContext): Promise<ExpireResult> {
  const { repository, source } = request;
  await using lease = await acquireLease(repository, { scope: leaseScopes.backup(source), runId: request.runId, clock: context.clock, wait: "own", signal: context.signal });
  const listing = await listManifests(repository, source);
  refuseDamaged(listing);
  const now = context.clock.now();
  const ids = listing.backups.map(({ manifest }) => manifest.id);
  const locks = await backupLocks(repository, source, ids);
  // What people want kept must be known: a row that cannot be read may have been about any of them.
  const holds = await readHolds(repository, source);
  const decisions = decide(listing, { rules: request.rules, locks, holds, now });
  const doomed = decisions.filter((decision) => !decision.keep);
  const { locking = null } = request;
  const lockWork = locking === null ? [] : await planLockWork({ repository, source, backups: listing.backups, locks, decisions, marginSeconds: locking.marginSeconds, now });
  const removed: string[] = [];
  const refused: StayingObject[] = [];
  let [objects, bytes] = [0, 0];
  if (!request.dryRun) {
    // First of all: a lock that ends leaves what is needed to whoever comes first.
    if (locking !== null) await extendLocks(repository, source, lockWork, locking);
    await sweepAttempts(repository, source, listing, context, request.hasEnded);
    await finishDeletions(request, now);
    // Half-written objects of writers that died, of WAL, leases and evidence too: no single one takes a day to write.
    await repository.store.sweep("", new Date(context.clock.now().getTime() - UNFINISHED_MS));
    // Newest first: a child goes before what it was made from.
    for (const { id, reasons } of doomed.toReversed()) {
      context.signal.throwIfAborted();
      const gone = await deleteBackup(request, lease, id, reasons);
      if (gone === null) continue;
      refused.push(...gone.locked);
      if (gone.locked.length === 0) removed.push(id);
      objects += gone.objects;
      bytes += gone.bytes;
    }
  }
  // One that turned out to be wanted after all, or is locked, stays, and its own WAL with it.
  const going = request.dryRun ? doomed.map(({ id }) => id) : removed;
  const wal = await expireWal(holds.all.held === null ? request : { ...request, logRetentionSeconds: null }, new Set(going), context.clock.now());
  refused.push(...wal.refused);
  return {
    repository: repository.name,
    decisions,
    ...wal,
    lockWork,
    refused,
    removedBackups: removed,
    removedObjects: objects + wal.removedObjects,
    removedBytes: bytes + wal.removedBytes,
  };
}

function decide(
  listing: ManifestListing,
  { rules, locks, holds, now }: { rules: ExpireRequest["rules"]; locks: ReadonlyMap<string, Date | null>; holds: SourceHolds; now: Date },
): ExpiryDecision[] {
  const backups = listing.backups.map(({ manifest }) => retained({ ...toRetain(manifest), lockedUntil: locks.get(manifest.id) ?? null }, holds));
  return planExpiry({ backups, rules, now });
}

/** Deletes one backup, unless a new one turns out to refer to it. Null: it stays. */
async function deleteBackup(request: ExpireRequest, lease: Lease, id: string, reasons: readonly string[]): Promise<RemovedObjects | null> {
  const { repository, source } = request;
  await lease.assertHeld();
  await writeDocument(repository, keys.tombstone(source, id), "tombstone", { backup: id, reason: reasons.join("; ") }, repository.signer);
  crashPoint("expire.after-tombstone");
  if (await isWanted(request, id)) {
    await repository.store.remove([keys.tombstone(source, id)]);
    return null;
  }
  await request.onDeletion({ source, repositoryId: repository.repositoryId, repository: repository.name, backup: id, reason: reasons.join("; ") });
  const locked = await repository.store.remove([keys.manifest(source, id)]);
  if (locked.length > 0) {
    // Somebody locked it since we looked. It is a whole backup still, and goes later.
    await repository.store.remove([keys.tombstone(source, id)]);
    return { objects: 0, bytes: 0, locked };
  }
  crashPoint("expire.after-manifest");
  const gone = await removeBackupObjects(repository, source, id);
  // With the tombstone it is known to be half gone, and the next expiry takes the rest.
  if (gone.locked.length === 0) await repository.store.remove([keys.tombstone(source, id)]);
  return gone;
}

/** The second look, after the tombstone: a backup that began meanwhile, and somebody who wants this one kept, either see the tombstone or are seen here. */
async function isWanted({ repository, source }: ExpireRequest, id: string): Promise<boolean> {
  const intents = await readIntents(repository, source);
  const listing = await listManifests(repository, source);
  refuseDamaged(listing);
  const { pinned, held } = stateOf(await readHolds(repository, source), id);
  return (
    pinned !== null ||
    held !== null ||
    intents.some((intent) => intent.ancestors.includes(id)) ||
    listing.backups.some(({ manifest }) => manifest.ancestors.some((ancestor) => ancestor.id === id))
  );
}

/** A manifest that cannot be read may need any of the others: nobody knows which, so nothing is deleted. */
function refuseDamaged({ damaged }: ManifestListing): void {
  const [first] = damaged;
  if (first !== undefined) throw first;
}

/**
 * Deletions that a process began and did not finish. It may have died before its second look, so that is taken now; and before it put them on record: twice on record is better than never.
 */
async function finishDeletions(request: ExpireRequest, now: Date): Promise<void> {
  const { repository, source, onDeletion } = request;
  for (const name of await repository.store.listNames(keys.tombstones(source))) {
    const id = baseName(name);
    // Without its manifest it is beyond help, whoever wants it.
    if ((await repository.store.size(keys.manifest(source, id))) !== null && (await isWanted(request, id))) {
      await repository.store.remove([keys.tombstones(source) + name]);
      continue;
    }
    // What is locked stays for now, and is not put on record at every turn.
    if ((await lockedNow(repository, await objectsOf(repository, source, id), now)).size > 0) continue;
    await onDeletion({ source, repositoryId: repository.repositoryId, repository: repository.name, backup: id, reason: "its deletion had begun before" });
    const locked = await repository.store.remove([keys.manifest(source, id)]);
    const gone = await removeBackupObjects(repository, source, id);
    if (locked.length + gone.locked.length === 0) await repository.store.remove([keys.tombstones(source) + name]);
  }
}

async function objectsOf({ store }: WritableRepository, source: string, id: string): Promise<string[]> {
  const objects = [keys.manifest(source, id)];
  for await (const { key } of store.list(keys.backup(source, id))) objects.push(key);
  return objects;
}
