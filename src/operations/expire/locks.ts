import { lockedOnly, lockNeed, planLocks } from "../../domain/lock-plan.ts";
import type { ExpiryDecision } from "../../domain/retention.ts";
import { parseSegmentName } from "../../domain/wal-segment.ts";
import { DESCRIPTOR_KEY, keys, lifeOf } from "../../repository/layout.ts";
import { ENVELOPE_SECONDS } from "../../repository/lock-terms.ts";
import { ownSegments } from "../../repository/manifest.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import { lockTimes } from "../../repository/object-locks.ts";
import type { Repository, WritableRepository } from "../../repository/repository.ts";
import { CopyView } from "../copy-view.ts";

/** How the objects of a repository are locked. */
export interface Locking {
  readonly marginSeconds: number;
  /** Recorded before any lock is made longer. */
  readonly onExtension: (facts: Record<string, unknown>) => Promise<void>;
}

/** Locks that are to be made longer, together. */
export interface LockWork {
  readonly what: "backup" | "wal" | "foundation" | "envelope";
  /** The backup it is for; null: for all of them. */
  readonly backup: string | null;
  readonly until: Date;
  readonly reason: string;
  /** In this order; of a backup they are found when it is done. */
  readonly objects: readonly string[];
}

/** Until when backups are locked: as their manifests say, whose locks are made longer last. */
export async function backupLocks(repository: Pick<Repository, "store">, source: string, ids: readonly string[]): Promise<ReadonlyMap<string, Date | null>> {
  const times = await lockTimes(
    repository,
    ids.map((id) => keys.manifest(source, id)),
  );
  return new Map(ids.map((id) => [id, times.get(keys.manifest(source, id)) ?? null]));
}

export interface LockWorkRequest {
  readonly repository: WritableRepository;
  readonly source: string;
  readonly backups: readonly StoredManifest[];
  readonly locks: ReadonlyMap<string, Date | null>;
  readonly decisions: readonly ExpiryDecision[];
  readonly marginSeconds: number;
  readonly now: Date;
}

/** Everything whose lock would end too soon: of backups that stay, of the WAL that they and the window need, and of what all of it rests on. */
export async function planLockWork(request: LockWorkRequest): Promise<LockWork[]> {
  if (request.repository.store.lock === null) return [];
  const { backups, locks, decisions, marginSeconds, now } = request;
  const locked = backups.map(({ manifest }) => ({ id: manifest.id, at: new Date(manifest.stop.at), lockedUntil: locks.get(manifest.id) ?? null }));
  const ofBackups = planLocks({ backups: locked, decisions, marginSeconds, now }).map(({ id, until, reason }): LockWork => ({
    what: "backup",
    backup: id,
    until,
    reason,
    objects: [],
  }));
  const last = [...locked.map(({ lockedUntil }) => lockedUntil ?? now), ...ofBackups.map(({ until }) => until)].reduce((a, b) => (a > b ? a : b), now);
  return [...ofBackups, ...(await planWal(request)), ...(await planFoundation(request, last))];
}

/** Of each backup that stays its own WAL, as long as it; of all other WAL that is there, until it will have been looked at again. */
async function planWal(request: LockWorkRequest): Promise<LockWork[]> {
  const view = await CopyView.open(request.repository, request.source);
  const work: LockWork[] = [];
  for (const each of view === null ? [] : [view, ...(await view.former())]) work.push(...(await planWalOf(each, request)));
  return work;
}

async function planWalOf(view: CopyView, { repository, decisions, marginSeconds, now }: LockWorkRequest): Promise<LockWork[]> {
  const { backups } = view.listing;
  const times = await lockTimes(
    repository,
    [...view.inventory.segments.values()].flatMap(({ objects }) => objects),
  );
  const work: LockWork[] = [];
  const own = new Set<string>();
  const only = lockedOnly(decisions);
  for (const decision of decisions) {
    const stored = backups.find(({ manifest }) => manifest.id === decision.id);
    const range = stored === undefined || !decision.keep ? null : ownSegments(stored.manifest);
    if (stored === undefined || range === null) continue;
    const objects = objectsBetween(view, range.first.number, range.last.number);
    for (const object of objects) own.add(object);
    const { needed, until } = lockNeed(decision.expiresAt, { since: new Date(stored.manifest.stop.at), marginSeconds: only.has(decision.id) ? 0 : marginSeconds, now });
    const short = objects.filter((object) => endsBefore(times.get(object), needed));
    if (short.length > 0) work.push({ what: "wal", backup: decision.id, until, reason: "the WAL from its start to its stop", objects: short });
  }
  const needed = new Date(now.getTime() + marginSeconds * 1000);
  const short = [...times.keys()].filter((object) => !own.has(object) && endsBefore(times.get(object), needed));
  const until = new Date(needed.getTime() + marginSeconds * 1000);
  return short.length === 0 ? work : [...work, { what: "wal", backup: null, until, reason: "the point-in-time window", objects: short }];
}

function objectsBetween(view: CopyView, first: bigint, last: bigint): string[] {
  return [...view.inventory.segments].flatMap(([name, { objects }]) => {
    const number = parseSegmentName(name, view.place.segmentBytes)?.number ?? -1n;
    return first <= number && number <= last ? objects : [];
  });
}

/** What everything rests on is locked as long as the last of it; who may open it, no longer than it takes to change that. */
async function planFoundation({ repository, source, marginSeconds, now }: LockWorkRequest, last: Date): Promise<LockWork[]> {
  const found: string[] = [DESCRIPTOR_KEY];
  for (const prefix of ["keys/", "hosts/", "rotations/", "expelled/", keys.bindings(source), keys.wal(source)])
    for await (const { key } of repository.store.list(prefix)) if (["foundation", "envelope"].includes(lifeOf(key).kind)) found.push(key);
  const times = await lockTimes(repository, found);
  const shorterThan = (kind: "foundation" | "envelope", needed: Date): string[] =>
    [...times.keys()].filter((key) => lifeOf(key).kind === kind && endsBefore(times.get(key), needed));
  const envelopesUntil = new Date(now.getTime() + ENVELOPE_SECONDS * 1000);
  const work: LockWork[] = [
    {
      what: "foundation",
      backup: null,
      until: new Date(last.getTime() + marginSeconds * 1000),
      reason: "nothing can be read without it",
      objects: shorterThan("foundation", last),
    },
    {
      what: "envelope",
      backup: null,
      until: envelopesUntil,
      reason: "nobody can open the repository without one",
      objects: shorterThan("envelope", new Date((now.getTime() + envelopesUntil.getTime()) / 2)),
    },
  ];
  return work.filter(({ objects }) => objects.length > 0);
}

function endsBefore(until: Date | null | undefined, needed: Date): boolean {
  return until === undefined || until === null || until < needed;
}

/** Makes the locks longer, each on record before. Of a backup the manifest comes last: what it says is then true of all of it. */
export async function extendLocks(repository: WritableRepository, source: string, work: readonly LockWork[], { onExtension }: Locking): Promise<void> {
  const { lock } = repository.store;
  if (lock === null) return;
  for (const { what, backup, until, reason, objects } of work) {
    await onExtension({ source, repositoryId: repository.repositoryId, repository: repository.name, what, backup, until: until.toISOString(), reason });
    if (what !== "backup" || backup === null) {
      await lock.extend(objects, until);
      continue;
    }
    const parts: string[] = [];
    for await (const { key } of repository.store.list(keys.backup(source, backup))) parts.push(key);
    await lock.extend(parts, until);
    await lock.extend([keys.manifest(source, backup)], until);
  }
}
