import { formatLsn, parseLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { spansOf } from "../../domain/timeline.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { heldSegments } from "../../domain/wal-coverage.ts";
import { parseSegmentName, segmentEnd, timelineHex } from "../../domain/wal-segment.ts";
import type { WalSegment } from "../../domain/wal-segment.ts";
import { must } from "../../errors.ts";
import { baseName, keys } from "../../repository/layout.ts";
import { ownSegments } from "../../repository/manifest.ts";
import { lockedNow } from "../../repository/object-locks.ts";
import type { StayingObject } from "../../repository/object-locks.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { recordExpired } from "../../repository/wal-expiry.ts";
import { listSummaries, summarisedSegment } from "../../repository/wal-summaries.ts";
import { CopyView } from "../copy-view.ts";

export interface WalExpiryRequest {
  readonly repository: WritableRepository;
  readonly source: string;
  /** Length of the point-in-time window; null: WAL is not expired. */
  readonly logRetentionSeconds: number | null;
  readonly dryRun: boolean;
  /** Recorded before anything of it is deleted. */
  readonly onDeletion: (facts: Record<string, unknown>) => Promise<void>;
}

interface WalExpiry {
  readonly walSegments: number;
  readonly walKeptFrom: string | null;
  readonly removedObjects: number;
  readonly removedBytes: number;
  /** Segments whose time is over, and that are locked for longer. */
  readonly walLocked: number;
  readonly refused: readonly StayingObject[];
}

/** Of one cluster. */
type ClusterExpiry = Omit<WalExpiry, "walKeptFrom">;

const NOTHING: WalExpiry = { walSegments: 0, walKeptFrom: null, removedObjects: 0, removedBytes: 0, walLocked: 0, refused: [] };

/** Removes WAL that neither the point-in-time window nor a backup that stays needs. `doomed` are backups that go, or are gone. */
export async function expireWal(request: WalExpiryRequest, doomed: ReadonlySet<string>, now: Date): Promise<WalExpiry> {
  const { repository, source, logRetentionSeconds } = request;
  if (logRetentionSeconds === null) return NOTHING;
  const view = await CopyView.open(repository, source);
  if (view === null) return NOTHING;
  const windowStart = new Date(now.getTime() - logRetentionSeconds * 1000);
  const base = windowBase(view, doomed, windowStart);
  const results =
    base === null
      ? []
      : [
          await expireOver(
            request,
            view,
            segmentsToRemove(view, (segment) => isOver(segment, base, view.place.segmentBytes), doomed),
            now,
          ),
        ];
  for (const former of await view.former()) {
    const own = base === null ? windowBase(former, doomed, windowStart) : null;
    // Once the window lies in the time of the cluster in use, of former ones only that is needed which their backups need for themselves.
    if (base === null && own === null) continue;
    const over = segmentsToRemove(former, (segment) => own === null || isOver(segment, own, former.place.segmentBytes), doomed);
    results.push(await expireOver(request, former, over, now));
  }
  return results.reduce(added, { ...NOTHING, walKeptFrom: base === null ? null : formatLsn(base.keptFrom) });
}

function added(a: WalExpiry, b: ClusterExpiry): WalExpiry {
  return {
    walSegments: a.walSegments + b.walSegments,
    walKeptFrom: a.walKeptFrom,
    removedObjects: a.removedObjects + b.removedObjects,
    removedBytes: a.removedBytes + b.removedBytes,
    walLocked: a.walLocked + b.walLocked,
    refused: [...a.refused, ...b.refused],
  };
}

async function expireOver(request: WalExpiryRequest, view: CopyView, over: readonly string[], now: Date): Promise<ClusterExpiry> {
  const { repository } = request;
  const locked = await lockedNow(
    repository,
    over.flatMap((name) => view.inventory.segments.get(name)?.objects ?? []),
    now,
  );
  const gone = over.filter((name) => !(view.inventory.segments.get(name)?.objects ?? []).some((object) => locked.has(object)));
  const result = { walSegments: gone.length, walLocked: over.length - gone.length };
  if (request.dryRun || gone.length === 0) return { ...result, removedObjects: 0, removedBytes: 0, refused: [] };
  return { ...result, ...(await removeSegments(request, view, gone)) };
}

interface WindowBase {
  readonly history: TimelineHistory;
  readonly timeline: number;
  readonly keptFrom: Lsn;
}

/**
 * The newest restorable backup that was complete before the window, on the way to the timeline in use: with it and all WAL since, the whole window can be reached.
 * Null while there is none. What lies on an abandoned timeline does not count, however far it got.
 */
function windowBase(view: CopyView, doomed: ReadonlySet<string>, windowStart: Date): WindowBase | null {
  // Without every history nobody knows which timeline is the one in use.
  for (const damage of view.damage.values()) throw damage;
  const { newestTimeline } = view;
  const history = newestTimeline === null ? undefined : view.histories.get(newestTimeline);
  if (history === undefined) return null;
  const bases = view.backupsOn(history).filter(({ manifest }) => !doomed.has(manifest.id) && manifest.state === "complete" && new Date(manifest.stop.at) <= windowStart);
  const manifest = bases.at(-1)?.manifest;
  return manifest === undefined ? null : { history, timeline: manifest.postgres.timeline, keptFrom: parseLsn(manifest.start.lsn) };
}

/** What a backup that stays needs is kept on every timeline: where the source was promoted meanwhile, the segment of the fork is there twice, and its end may be parts only. */
function segmentsToRemove(view: CopyView, isPast: (segment: WalSegment) => boolean, doomed: ReadonlySet<string>): string[] {
  const kept = view.listing.backups.filter(({ manifest }) => !doomed.has(manifest.id)).flatMap(({ manifest }) => ownSegments(manifest) ?? []);
  return [...heldSegments(view.inventory)].filter((name) => {
    const segment = parseSegmentName(name, view.place.segmentBytes);
    return segment !== null && isPast(segment) && !kept.some(({ first, last }) => first.number <= segment.number && segment.number <= last.number);
  });
}

/** On the way to the timeline in use: before the base. On another: the base was taken on a later timeline, so what was left is older than the window. */
function isOver(segment: WalSegment, { history, timeline, keptFrom }: WindowBase, segmentBytes: number): boolean {
  const span = spansOf(history).find((candidate) => candidate.timeline === segment.timeline);
  const end = segmentEnd(segment, segmentBytes);
  const isOnTheWay = span !== undefined && (span.end === null || end <= span.end);
  return isOnTheWay ? end <= keptFrom : segment.timeline < timeline && end <= keptFrom;
}

async function removeSegments(request: WalExpiryRequest, view: CopyView, names: readonly string[]): Promise<Pick<WalExpiry, "removedObjects" | "removedBytes" | "refused">> {
  const { repository, source } = request;
  const byTimeline = Map.groupBy(names, (name) => must(parseSegmentName(name, view.place.segmentBytes), "a segment").timeline);
  let [removedObjects, removedBytes] = [0, 0];
  const refused: StayingObject[] = [];
  for (const [timeline, gone] of byTimeline) {
    const numbers = gone.map((name) => must(parseSegmentName(name, view.place.segmentBytes), "a segment").number);
    const sorted = gone.toSorted();
    await request.onDeletion({
      source,
      repositoryId: repository.repositoryId,
      repository: repository.name,
      wal: { systemIdentifier: view.place.systemIdentifier, timeline, segments: gone.length, first: sorted[0], last: sorted.at(-1) },
      reason: "older than the point-in-time window",
    });
    await recordExpired(repository, view.place, timeline, numbers);
    const going = new Set(gone);
    const summaries = (await listSummaries(repository, view.place, timelineHex(timeline))).filter((object) => going.has(summarisedSegment(object) ?? ""));
    // Summaries first: one without its segment would be found by nobody.
    const objects = [...summaries, ...gone.flatMap((name) => [...(view.inventory.segments.get(name)?.objects ?? []), ...(view.inventory.parts.get(name)?.objects ?? [])])];
    for (const object of objects) removedBytes += (await repository.store.size(object)) ?? 0;
    refused.push(...(await repository.store.remove([...objects, ...(await indexesOf(view, timeline, going))])));
    removedObjects += objects.length;
  }
  return { removedObjects, removedBytes, refused };
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
