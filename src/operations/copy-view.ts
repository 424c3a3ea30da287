import type { SourceKind } from "../domain/source-kind.ts";
import pMap from "p-map";
import { bytesBetween, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { isOnHistory } from "../domain/timeline.ts";
import type { TimelineHistory } from "../domain/timeline.ts";
import { parseMicros } from "../domain/timestamp.ts";
import type { Micros } from "../domain/timestamp.ts";
import { endOfWal, gapsOn, heldSegments, readableFrom } from "../domain/wal-coverage.ts";
import type { WalGap, WalInventory } from "../domain/wal-coverage.ts";
import { parseSegmentName, segmentBefore, segmentName, segmentStart, timelineHex } from "../domain/wal-segment.ts";
import type { Fallback } from "../domain/fallback.ts";
import { DamageError, messageOf } from "../errors.ts";
import { formerClusters, isOfCluster, readBindings, readNewestBinding, systemIdentifierOf, walPlaceOf } from "../repository/binding.ts";
import type { Binding, FormerCluster } from "../repository/binding.ts";
import type { LeaseState } from "../repository/lease.ts";
import { readListedWal } from "../repository/listed-wal.ts";
import { readLease } from "../repository/lease.ts";
import { reportedDurable, streamedTimelines } from "../repository/stream-position.ts";
import { isCluster, listManifests, ownSegments } from "../repository/manifest.ts";
import type { ClusterManifest, ManifestListing, StoredManifest } from "../repository/manifest.ts";
import { isOfThisCopy } from "../repository/map-reader.ts";
import type { Repository } from "../repository/repository.ts";
import { listTimelines, listWal, readLedger, readTimelineHistory } from "../repository/wal-archive.ts";
import type { SegmentLedger, WalPlace } from "../repository/wal-archive.ts";
import { readExpired } from "../repository/wal-expiry.ts";
import type { ExpiredRange } from "../repository/wal-expiry.ts";
import { readIndexes } from "../repository/wal-index.ts";
import { leaseScopes } from "./source-target.ts";

const TIMELINES_AT_ONCE = 8;
/** Larger segments are not kept at hand. */
const KEPT_SEGMENT_BYTES = 64 << 20;

function nothingOfThisCopy(error: unknown): null {
  if (!isOfThisCopy(error)) throw error;
  return null;
}

/** Timelines that backups are on and the stream has been on: the history of each was stored here before, whatever is left of its WAL. */
function toldTimelines({ systemIdentifier }: WalPlace, { backups }: ManifestListing, stream: LeaseState | null): number[] {
  const backedUp = backups.filter(isCluster).map(({ manifest: { postgres } }) => postgres.timeline);
  return [...streamedTimelines(stream?.position ?? null, systemIdentifier), ...backedUp];
}

/** Those of one cluster. Which cluster one was of that cannot be read is not known: it counts for the one in use. */
function ofCluster(listing: ManifestListing, binding: Binding, isFormer: boolean): ManifestListing {
  const backups = listing.backups.filter(({ manifest }) => isOfCluster(manifest, binding));
  return { ...listing, backups, damaged: isFormer ? [] : listing.damaged };
}

/** What is not of one cluster: how often the source was bound here, and the backups of all its clusters. */
interface WholeSource {
  readonly bindings: number;
  readonly listing: ManifestListing;
}

/** What one copy holds of one cluster of a source: its backups, its WAL, and how far each reaches. Names and small documents only; content is read on demand. */
export class CopyView {
  readonly repository: Repository;
  readonly source: string;
  readonly kind: SourceKind;
  /** Null: of what has none, or does not tell. */
  readonly systemIdentifier: string | null;
  readonly place: WalPlace;
  readonly listing: ManifestListing;
  readonly inventory: WalInventory;
  readonly histories: ReadonlyMap<number, TimelineHistory>;
  /** Position of the WAL stream as its lease last said. */
  readonly stream: LeaseState | null;
  /** Timelines whose history (or list of expired WAL) cannot be read. */
  readonly damage: ReadonlyMap<number, DamageError>;
  readonly expired: ReadonlyMap<number, readonly ExpiredRange[]>;
  /** The cluster that this is of, if the source is bound to another one by now. */
  readonly formerCluster: FormerCluster | null;
  readonly #whole: WholeSource;
  /** Other copies of the source, in the order in which they are asked for what this one cannot give. */
  readonly others: readonly CopyView[];
  readonly #fallbacks: Fallback[] = [];
  #indexed: Map<string, SegmentLedger> | null = null;
  /** What was read last: a target is found by looking at one segment again and again. */
  #lastRead: { readonly name: string; readonly bytes: Buffer } | null = null;

  private constructor(
    fields: Pick<
      CopyView,
      "repository" | "source" | "kind" | "systemIdentifier" | "place" | "listing" | "inventory" | "histories" | "stream" | "damage" | "expired" | "formerCluster"
    >,
    whole: WholeSource,
    others: readonly CopyView[] = [],
  ) {
    this.repository = fields.repository;
    this.source = fields.source;
    this.kind = fields.kind;
    this.systemIdentifier = fields.systemIdentifier;
    this.place = fields.place;
    this.listing = fields.listing;
    this.inventory = fields.inventory;
    this.histories = fields.histories;
    this.stream = fields.stream;
    this.damage = fields.damage;
    this.expired = fields.expired;
    this.formerCluster = fields.formerCluster;
    this.#whole = whole;
    this.others = others;
  }

  /** The same copy, where what it cannot give is taken from others: it is on record then. */
  withOthers(others: readonly CopyView[]): CopyView {
    return new CopyView(
      this,
      this.#whole,
      others.filter(
        ({ repository, kind, systemIdentifier }) => repository.repositoryId !== this.repository.repositoryId && kind === this.kind && systemIdentifier === this.systemIdentifier,
      ),
    );
  }

  /** What others gave in the place of this copy, each thing once. */
  get fallbacks(): readonly Fallback[] {
    return this.#fallbacks;
  }

  noteFallback(object: string, reason: string, servedBy: string): void {
    if (!this.#fallbacks.some((noted) => noted.object === object)) this.#fallbacks.push({ repository: this.repository.name, object, reason, servedBy });
  }

  /** What is there of the cluster that the source is bound to. Null where the repository holds nothing of this source. */
  static async open(repository: Repository, source: string): Promise<CopyView | null> {
    const [newest, stream] = await Promise.all([readNewestBinding(repository, source), readLease(repository, leaseScopes.wal(source))]);
    return newest === null ? null : CopyView.#openBound(repository, source, { ...newest, stream, formerCluster: null, listing: null });
  }

  /** What is there of clusters that the source was bound to before, newest first: they are kept, and restored from, as long as retention says. */
  async former(): Promise<CopyView[]> {
    if (this.#whole.bindings < 2 || this.formerCluster !== null) return [];
    const { repository, source, stream } = this;
    const { bindings, listing } = this.#whole;
    const views: CopyView[] = [];
    for (const cluster of formerClusters(await readBindings(repository, source)))
      views.push(await CopyView.#openBound(repository, source, { binding: cluster, count: bindings, stream, formerCluster: cluster, listing }));
    return views;
  }

  /** The order matters, for work goes on: what the stream said is there when it is looked for, a backup's WAL is there when its manifest is, and what expired is known to be gone when it is missed. */
  static async #openBound(
    repository: Repository,
    source: string,
    { binding, count, stream, formerCluster, listing: known }: { binding: Binding; count: number; listing: ManifestListing | null } & Pick<CopyView, "stream" | "formerCluster">,
  ): Promise<CopyView> {
    const place = walPlaceOf(source, binding);
    const damage = new Map<number, DamageError>();
    const histories = new Map<number, TimelineHistory>();
    const expired = new Map<number, readonly ExpiredRange[]>();
    const collect = async (timeline: number, act: () => Promise<void>): Promise<void> => {
      try {
        await act();
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
        damage.set(timeline, error);
      }
    };
    const all = known ?? (await listManifests(repository, source));
    const listing = ofCluster(all, binding, formerCluster !== null);
    const inventory = await listWal(repository, place);
    const readTimeline = async (timeline: number): Promise<unknown> =>
      Promise.all([
        collect(timeline, async () => void histories.set(timeline, await readTimelineHistory(repository, place, timeline))),
        collect(timeline, async () => void expired.set(timeline, await readExpired(repository, place, timeline))),
      ]);
    const timelines = new Set([...(await listTimelines(repository, place)), ...toldTimelines(place, listing, stream)]);
    await pMap(timelines, readTimeline, { concurrency: TIMELINES_AT_ONCE });
    const { kind } = binding;
    const fields = { repository, source, kind, systemIdentifier: systemIdentifierOf(binding), place, listing, inventory, histories, stream, damage, expired, formerCluster };
    return new CopyView(fields, { bindings: count, listing: all });
  }

  /** The newest timeline that can be followed; null where there is no WAL at all. One beyond it that cannot be read is in `damage`, and must not be passed over in silence. */
  get newestTimeline(): number | null {
    return [...this.histories.keys()].toSorted((a, b) => a - b).at(-1) ?? null;
  }

  /** Usable backups on a history, oldest first by where they end. */
  backupsOn(history: TimelineHistory): StoredManifest<ClusterManifest>[] {
    return this.listing.backups
      .filter(isCluster)
      .filter(({ manifest }) => isOnHistory(history, manifest.postgres.timeline, parseLsn(manifest.stop.lsn)))
      .toSorted((a, b) => bytesBetween(parseLsn(b.manifest.stop.lsn), parseLsn(a.manifest.stop.lsn)));
  }

  reach(history: TimelineHistory, from: Lsn): ReturnType<typeof readableFrom> {
    return readableFrom(this.inventory, history, from);
  }

  /** Where all WAL on this history ends, gaps or not. */
  endOfWal(history: TimelineHistory): Lsn {
    return endOfWal(this.inventory, history);
  }

  /** True if the segment was removed by expiry. */
  wasExpired(name: string): boolean {
    const segment = parseSegmentName(name, this.place.segmentBytes);
    return segment !== null && (this.expired.get(segment.timeline) ?? []).some(({ first, last }) => first <= segment.number && segment.number <= last);
  }

  /**
   * Holes between segments on any timeline. What expiry removed on purpose is no hole, and there are none in a copy that the log does not go to: it holds the WAL of each backup, and nothing
   * between. `hasLog`: whether the log goes here; null, where no policy is at hand: what is there tells.
   */
  gaps(hasLog: boolean | null = null): WalGap[] {
    if (!(hasLog ?? this.#holdsMoreThanBackupsNeed())) return [];
    const byTimeline = new Map<number, bigint[]>();
    for (const name of heldSegments(this.inventory)) {
      const segment = parseSegmentName(name, this.place.segmentBytes);
      if (segment === null) continue;
      const numbers = byTimeline.get(segment.timeline) ?? [];
      numbers.push(segment.number);
      byTimeline.set(segment.timeline, numbers);
    }
    return [...byTimeline].flatMap(([timeline, numbers]) =>
      gapsOn(
        this.inventory,
        timeline,
        numbers.toSorted((a, b) => (a < b ? -1 : 1)),
        this.expired.get(timeline) ?? [],
      ),
    );
  }

  /** Whether there is a whole segment that no backup needs to become consistent. */
  #holdsMoreThanBackupsNeed(): boolean {
    const own = this.listing.backups.flatMap(({ manifest }) => ownSegments(manifest) ?? []);
    return [...this.inventory.segments.keys()].some((name) => {
      const segment = parseSegmentName(name, this.place.segmentBytes);
      return segment !== null && !own.some(({ first, last }) => first.timeline === segment.timeline && first.number <= segment.number && segment.number <= last.number);
    });
  }

  /** The bytes of a segment as far as `end`: what lies behind that is not of the history that it was found on. */
  async readUntil(name: string, end: Lsn): Promise<Buffer> {
    const bytes = await this.read(name);
    const segment = parseSegmentName(name, this.place.segmentBytes);
    const most = segment === null ? bytes.length : bytesBetween(segmentStart(segment, this.place.segmentBytes), end);
    return most < bytes.length ? bytes.subarray(0, Math.max(0, most)) : bytes;
  }

  /** The bytes of a segment, or of the beginning that is there of an unfinished one; of one that is hurt here, those of another copy that holds all of it. */
  async read(name: string): Promise<Buffer> {
    if (this.#lastRead?.name === name) return this.#lastRead.bytes;
    const bytes = await this.#read(name);
    // An unfinished one grows.
    if (bytes.length === this.place.segmentBytes && bytes.length <= KEPT_SEGMENT_BYTES) this.#lastRead = { name, bytes };
    return bytes;
  }

  async #read(name: string): Promise<Buffer> {
    try {
      return await this.#readHere(name);
    } catch (error) {
      if (!isOfThisCopy(error)) throw error;
      for (const other of this.others) {
        const bytes = other.inventory.segments.has(name) ? await other.#readHere(name).catch(nothingOfThisCopy) : null;
        if (bytes === null) continue;
        this.noteFallback(name, messageOf(error), other.repository.name);
        return bytes;
      }
      throw error;
    }
  }

  #readHere(name: string): Promise<Buffer> {
    return readListedWal(this.repository, this.place, this.inventory, name);
  }

  /** Commit times of a complete segment; null for an unfinished one. */
  async ledger(name: string): Promise<SegmentLedger | null> {
    const [object] = this.inventory.segments.get(name)?.objects ?? [];
    if (object === undefined) return null;
    this.#indexed ??= await this.#readIndexes();
    return this.#indexed.get(name) ?? readLedger(this.repository, this.place, name, object);
  }

  async #readIndexes(): Promise<Map<string, SegmentLedger>> {
    const all = new Map<string, SegmentLedger>();
    for (const timeline of this.histories.keys())
      for (const [name, ledger] of (await readIndexes(this.repository, this.place, timelineHex(timeline))).ledgers) all.set(name, ledger);
    return all;
  }

  /** The furthest position on a timeline that the stream ever reported durable: WAL that ends before it was lost here. */
  reportedOn(timeline: number): Lsn | null {
    const reported = reportedDurable(this.stream?.position ?? null, { systemIdentifier: this.place.systemIdentifier, timeline });
    return reported === null ? null : parseLsn(reported);
  }

  /** Up to where WAL on a history was reported durable, if it ends before and did not expire: the server let it go, and nobody else may have it. Null: nothing is lost. */
  lostEnd(history: TimelineHistory): Lsn | null {
    const { timeline } = history;
    const { segmentBytes } = this.place;
    const reported = this.reportedOn(timeline);
    if (reported === null || this.endOfWal(history) >= reported) return null;
    return this.wasExpired(segmentName(segmentBefore(timeline, reported, segmentBytes), segmentBytes)) ? null : reported;
  }

  /** Until when the server's own clock says that nothing after `end` had been written on a history: known where the stream stood at `end`, on the way of that history. */
  coveredUntil(history: TimelineHistory, end: Lsn): Micros | null {
    const position = this.stream?.position ?? null;
    if (position === null || position.systemIdentifier !== this.place.systemIdentifier) return null;
    const at = parseLsn(position.lsn);
    return position.coveredUntil === null || at > end || !isOnHistory(history, position.timeline, at) ? null : parseMicros(position.coveredUntil);
  }
}
