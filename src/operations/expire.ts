import { crashPoint } from "../crash-points.ts";
import type { BackupType } from "../domain/backup-id.ts";
import { formatLsn, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { planExpiry } from "../domain/retention.ts";
import type { ExpiryDecision, RetentionRule } from "../domain/retention.ts";
import { parseSegmentName, segmentEnd, timelineHex } from "../domain/wal-segment.ts";
import { must } from "../errors.ts";
import { readIntents, removeBackupObjects } from "../repository/attempts.ts";
import { writeDocument } from "../repository/document.ts";
import { baseName, keys } from "../repository/layout.ts";
import { acquireLease } from "../repository/lease.ts";
import type { Lease } from "../repository/lease.ts";
import { listManifests } from "../repository/manifest.ts";
import type { ManifestListing } from "../repository/manifest.ts";
import type { WritableRepository } from "../repository/repository.ts";
import { recordExpired } from "../repository/wal-expiry.ts";
import { listSummaries, summarisedSegment } from "../repository/wal-summaries.ts";
import type { OperationContext } from "./context.ts";
import { CopyView } from "./copy-view.ts";
import { leaseScopes } from "./source-target.ts";
import { sweepAttempts } from "./sweep-attempts.ts";

export interface ExpireRequest {
  readonly repository: WritableRepository;
  readonly source: string;
  readonly rules: ReadonlyMap<BackupType, RetentionRule>;
  /** Length of the point-in-time window; null: WAL is not expired. */
  readonly logRetentionSeconds: number | null;
  readonly runId: string;
  readonly dryRun: boolean;
  /** Recorded before anything of it is deleted. */
  readonly onDeletion: (facts: Record<string, unknown>) => Promise<void>;
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
}

/** Removes what retention no longer wants: backups with a tombstone first, then WAL that no kept backup and no point-in-time window needs. */
export async function expire(request: ExpireRequest, context: OperationContext): Promise<ExpireResult> {
  const { repository, source } = request;
  await using lease = await acquireLease(repository, { scope: leaseScopes.backup(source), runId: request.runId, clock: context.clock, signal: context.signal });
  const listing = await listManifests(repository, source);
  const decisions = decide(listing, request, context.clock.now());
  const doomed = decisions.filter((decision) => !decision.keep);
  const removed: string[] = [];
  let [objects, bytes] = [0, 0];
  if (!request.dryRun) {
    await sweepAttempts(repository, source, listing, context);
    await finishDeletions(request);
    // Newest first: a child goes before what it was made from.
    for (const { id, reasons } of doomed.toReversed()) {
      context.signal.throwIfAborted();
      const gone = await deleteBackup(request, lease, id, reasons);
      if (gone === null) continue;
      removed.push(id);
      objects += gone.objects;
      bytes += gone.bytes;
    }
  }
  const wal = await expireWal(request, new Set(doomed.map(({ id }) => id)), context);
  return { repository: repository.name, decisions, ...wal, removedBackups: removed, removedObjects: objects + wal.removedObjects, removedBytes: bytes + wal.removedBytes };
}

function decide(listing: ManifestListing, { rules }: ExpireRequest, now: Date): ExpiryDecision[] {
  const backups = listing.backups.map(({ manifest }) => ({
    id: manifest.id,
    type: manifest.type,
    at: new Date(manifest.stop.at),
    ancestors: manifest.ancestors.map(({ id }) => id),
    state: manifest.state,
  }));
  return planExpiry({ backups, rules, now });
}

/** Deletes one backup, unless a new one turns out to refer to it. Null: it stays. */
async function deleteBackup(request: ExpireRequest, lease: Lease, id: string, reasons: readonly string[]): Promise<{ objects: number; bytes: number } | null> {
  const { repository, source } = request;
  await lease.assertHeld();
  await writeDocument(repository, keys.tombstone(source, id), "tombstone", { backup: id, reason: reasons.join("; ") }, repository.signer);
  crashPoint("expire.after-tombstone");
  // The second look, after the tombstone: a backup that began meanwhile either sees the tombstone or is seen here.
  const intents = await readIntents(repository, source);
  const listing = await listManifests(repository, source);
  const wanted = intents.some((intent) => intent.ancestors.includes(id)) || listing.backups.some(({ manifest }) => manifest.ancestors.some((ancestor) => ancestor.id === id));
  if (wanted) {
    await repository.store.remove([keys.tombstone(source, id)]);
    return null;
  }
  await request.onDeletion({ source, repositoryId: repository.repositoryId, repository: repository.name, backup: id, reason: reasons.join("; ") });
  await repository.store.remove([keys.manifest(source, id)]);
  crashPoint("expire.after-manifest");
  const gone = await removeBackupObjects(repository, source, id);
  await repository.store.remove([keys.tombstone(source, id)]);
  return gone;
}

/** Deletions that a process began and did not finish. It may have died before it put them on record: twice on record is better than never. */
async function finishDeletions({ repository, source, onDeletion }: ExpireRequest): Promise<void> {
  for (const name of await repository.store.listNames(keys.tombstones(source))) {
    const id = baseName(name);
    await onDeletion({ source, repositoryId: repository.repositoryId, repository: repository.name, backup: id, reason: "its deletion had begun before" });
    await repository.store.remove([keys.manifest(source, id)]);
    await removeBackupObjects(repository, source, id);
    await repository.store.remove([keys.tombstones(source) + name]);
  }
}

interface WalExpiry {
  readonly walSegments: number;
  readonly walKeptFrom: string | null;
  readonly removedObjects: number;
  readonly removedBytes: number;
}

async function expireWal(request: ExpireRequest, doomed: ReadonlySet<string>, context: OperationContext): Promise<WalExpiry> {
  const { repository, source, logRetentionSeconds } = request;
  const view = logRetentionSeconds === null ? null : await CopyView.open(repository, source);
  const keptFrom = view === null ? null : walKeptFrom(view, doomed, logRetentionSeconds, context.clock.now());
  if (view === null || keptFrom === null) return { walSegments: 0, walKeptFrom: null, removedObjects: 0, removedBytes: 0 };
  const pinned = pinnedSegments(view, doomed);
  const gone = [...view.inventory.segments.keys(), ...view.inventory.parts.keys()].filter((name) => {
    const segment = parseSegmentName(name, view.place.segmentBytes);
    return segment !== null && segmentEnd(segment, view.place.segmentBytes) <= keptFrom && !pinned.has(name);
  });
  const result = { walSegments: gone.length, walKeptFrom: formatLsn(keptFrom) };
  if (request.dryRun || gone.length === 0) return { ...result, removedObjects: 0, removedBytes: 0 };
  return { ...result, ...(await removeSegments(request, view, [...new Set(gone)])) };
}

/** The start of the newest restorable backup that was complete before the window: with it the whole window can be reached. Null while there is none. */
function walKeptFrom(view: CopyView, doomed: ReadonlySet<string>, logRetentionSeconds: number | null, now: Date): Lsn | null {
  const windowStart = now.getTime() - (logRetentionSeconds ?? 0) * 1000;
  const bases = view.listing.backups.filter(({ manifest }) => !doomed.has(manifest.id) && manifest.state === "complete" && new Date(manifest.stop.at).getTime() <= windowStart);
  const newest = bases.at(-1);
  return newest === undefined ? null : parseLsn(newest.manifest.start.lsn);
}

/** Older backups that stay keep the WAL from their own start to stop: they are single recovery points. */
function pinnedSegments(view: CopyView, doomed: ReadonlySet<string>): Set<string> {
  const pinned = new Set<string>();
  for (const name of view.inventory.segments.keys())
    if (
      view.listing.backups.some(
        ({ manifest }) => !doomed.has(manifest.id) && manifest.wal.first.slice(0, 8) === name.slice(0, 8) && manifest.wal.first <= name && name <= manifest.wal.last,
      )
    )
      pinned.add(name);
  return pinned;
}

async function removeSegments(request: ExpireRequest, view: CopyView, names: readonly string[]): Promise<{ removedObjects: number; removedBytes: number }> {
  const { repository, source } = request;
  const byTimeline = Map.groupBy(names, (name) => must(parseSegmentName(name, view.place.segmentBytes), "a segment").timeline);
  let [removedObjects, removedBytes] = [0, 0];
  for (const [timeline, gone] of byTimeline) {
    const numbers = gone.map((name) => must(parseSegmentName(name, view.place.segmentBytes), "a segment").number);
    const sorted = gone.toSorted();
    await request.onDeletion({
      source,
      repositoryId: repository.repositoryId,
      repository: repository.name,
      wal: { timeline, segments: gone.length, first: sorted[0], last: sorted.at(-1) },
      reason: "older than the point-in-time window",
    });
    await recordExpired(repository, view.place, timeline, numbers);
    const summaries = (await listSummaries(repository, view.place, timelineHex(timeline))).filter((object) => gone.includes(summarisedSegment(object) ?? ""));
    // Summaries first: one without its segment would be found by nobody.
    const objects = [...summaries, ...gone.flatMap((name) => [...(view.inventory.segments.get(name)?.objects ?? []), ...(view.inventory.parts.get(name)?.objects ?? [])])];
    for (const object of objects) removedBytes += (await repository.store.size(object)) ?? 0;
    await repository.store.remove([...objects, ...(await indexesOf(view, timeline, new Set(gone)))]);
    removedObjects += objects.length;
  }
  return { removedObjects, removedBytes };
}

/** Indexes all of whose segments go now or went before. */
async function indexesOf(view: CopyView, timeline: number, gone: ReadonlySet<string>): Promise<string[]> {
  const folder = keys.walIndexes(view.source, view.place.systemIdentifier, timelineHex(timeline));
  const names = await view.repository.store.listNames(folder);
  const remaining = [...view.inventory.segments.keys()].filter((name) => !gone.has(name));
  return names
    .filter((name) => {
      const [first = "", last = ""] = baseName(name).split("-");
      return !remaining.some((segment) => first <= segment && segment <= last);
    })
    .map((name) => folder + name);
}
