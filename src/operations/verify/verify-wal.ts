import pMap from "p-map";
import { formatLsn, parseLsn } from "../../domain/lsn.ts";
import { reaches } from "../../domain/verify-tier.ts";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import type { WalSegment } from "../../domain/wal-segment.ts";
import { parseSegmentName, segmentBefore, segmentEnd, segmentName, segmentStart, timelineHex } from "../../domain/wal-segment.ts";
import { DamageError } from "../../errors.ts";
import { FrameReader } from "../../repository/container-reader.ts";
import { openContainer } from "../../repository/open-container.ts";
import { keys } from "../../repository/layout.ts";
import { isCluster, ownSegments } from "../../repository/manifest.ts";
import type { Manifest } from "../../repository/manifest.ts";
import { fitsName, ledgerSchema, readParts, readTimelineHistory } from "../../repository/wal-archive.ts";
import { readIndexes } from "../../repository/wal-index.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { pieceOfSegment } from "./verify-pieces.ts";
import type { PieceWork } from "./verify-pieces.ts";
import type { DamageReport, VerifyTotals } from "./verify-report.ts";
import { verifySummary } from "./verify-summary.ts";
import { free } from "../../spare-memory.ts";

export interface WalVerification {
  readonly view: CopyView;
  /** Whether the log of the source goes here; null where nobody says. */
  readonly hasLog: boolean | null;
  readonly tier: VerifyTier;
  readonly report: DamageReport;
  readonly totals: VerifyTotals;
  readonly nameKey: Buffer | null;
}

export interface WalContentVerification extends WalVerification {
  readonly pieces: PieceWork;
}

/** Of segments that are opened side by side, each of which is looked at whole. */
const OPENED_BYTES = 32 << 20;

/** Verifies what WAL objects of one source hold, to the tier: all of them, or those that are `needed`. */
export async function verifyWalContent(work: WalContentVerification, needed: ((name: string) => boolean) | null, context: OperationContext): Promise<void> {
  const { view } = work;
  await pMap(
    [...view.inventory.segments].filter(([name]) => needed === null || needed(name)),
    async ([name, { objects }]) => {
      context.signal.throwIfAborted();
      const piece = pieceOfSegment(view, name);
      if (piece === null || !work.pieces.isWanted(piece)) return;
      for (const object of objects) {
        const summarised = await collecting(work, name, () => verifySegment(work, name, object));
        // A summary is a cache: losing it hurts no backup.
        await collecting(work, null, () => verifySummary(work, object, summarised === true));
      }
      if (objects.length > 1 && reaches(work.tier, "decoded")) await collecting(work, name, () => view.read(name));
      for (const object of objects) work.pieces.verified(piece, object);
      await work.pieces.pace(piece);
      context.onProgress({ phase: `verify WAL of ${view.source}`, doneBytes: work.totals.bytes, totalBytes: null });
    },
    { concurrency: Math.max(1, Math.min(work.pieces.atOnce, Math.floor(OPENED_BYTES / view.place.segmentBytes))) },
  );
}

/** Verifies that nothing is missing between WAL objects, whatever the tier, and what tells of them: histories, indexes, lists of what expired. */
export async function verifyWalStructure(work: WalVerification): Promise<void> {
  const { view, report } = work;
  for (const damage of view.damage.values()) report.add(damage, { backups: view.listing.backups.map(({ manifest }) => manifest.id) });
  for (const timeline of view.histories.keys()) if (timeline > 1) await collecting(work, null, () => readTimelineHistory(view.repository, view.place, timeline));
  for (const name of view.inventory.parts.keys()) await verifyParts(work, name);
  await verifyIndexes(work);
  reportMissing(work);
}

async function collecting<T>(work: WalVerification, segment: string | null, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    work.report.add(error, segment === null ? {} : hurtBy(work, segment));
    return null;
  }
}

/** Whether the segment says that a summary was stored with it. */
async function verifySegment(work: WalVerification, name: string, object: string): Promise<boolean> {
  const { view, totals } = work;
  const container = await openContainer(view.repository, {
    objectKey: object,
    boundKey: keys.walSegment(view.source, view.place.systemIdentifier, name),
    source: view.source,
    kind: "wal",
  });
  totals.objects++;
  totals.bytes += container.bytes;
  const ledger = ledgerSchema.safeParse(container.meta["ledger"]);
  const segment = parseSegmentName(name, view.place.segmentBytes);
  if (!ledger.success || segment === null || ledger.data.segment !== name || ledger.data.startLsn !== formatLsn(segmentStart(segment, view.place.segmentBytes)))
    throw new DamageError(object, "its ledger is not that of the segment");
  if (ledger.data.follows) reportIfMissing(work, segmentName({ ...segment, number: segment.number - 1n }, view.place.segmentBytes), "the segment after it was stored behind it");
  const reader = new FrameReader(view.repository, container);
  const { summarised } = ledger.data;
  if (!reaches(work.tier, "stored")) return summarised;
  if (!reaches(work.tier, "decoded")) {
    await reader.checkStored();
    return summarised;
  }
  const bytes = await reader.readAll(view.place.segmentBytes);
  try {
    checkSegment(work, bytes, { object, segment });
  } finally {
    free(bytes);
  }
  return summarised;
}

function checkSegment(work: WalVerification, bytes: Buffer, { object, segment }: { object: string; segment: WalSegment }): void {
  const { view } = work;
  if (bytes.length !== view.place.segmentBytes) throw new DamageError(object, `the segment has ${bytes.length} bytes`);
  checkFirstPage(object, bytes, work, segment);
  // A name under another name key is not known to be wrong.
  const { hosts, chain } = view.repository;
  if (fitsName(work.nameKey, object, bytes) === false && hosts.length === 1 && chain.links.length === 1) throw new DamageError(object, "its name is not that of its content");
}

/** The long header of a segment's first page: address, system identifier, segment size. */
function checkFirstPage(object: string, bytes: Buffer, { view }: WalVerification, segment: { timeline: number; number: bigint }): void {
  const address = bytes.readBigUInt64LE(8);
  const system = bytes.readBigUInt64LE(24).toString();
  if (address !== segmentStart(segment, view.place.segmentBytes))
    throw new DamageError(object, `the WAL in it begins at ${formatLsn(parseLsn(`${(address >> 32n).toString(16)}/${(address & 0xffffffffn).toString(16)}`))}`);
  if (system !== view.place.systemIdentifier) throw new DamageError(object, `the WAL in it is of cluster ${system}`);
}

/** Verifies the parts of an unfinished segment: each is whole, and together they reach as far as the furthest of them. */
async function verifyParts(work: WalVerification, name: string): Promise<void> {
  const { view, totals } = work;
  const objects = view.inventory.parts.get(name)?.objects ?? [];
  totals.objects += objects.length;
  if (view.inventory.segments.has(name)) return;
  if (!reaches(work.tier, "decoded")) return verifyStoredParts(work, name, objects);
  await collecting(work, name, async () => {
    const bytes = await readParts(view.repository, view.place, name, objects);
    totals.bytes += bytes.length;
    const furthest = Math.max(...objects.map((object) => Number.parseInt(object.slice(-17, -9), 16)));
    if (bytes.length < furthest)
      throw new DamageError(
        `${keys.segmentParts(view.source, view.place.systemIdentifier, name)}${bytes.length.toString(16).padStart(8, "0")}`,
        `the parts reach ${bytes.length}, and there is one that ends at ${furthest}`,
        "missing",
      );
  });
}

/** Without opening them: each part is what its writer signed, and they leave no hole before the furthest. */
async function verifyStoredParts(work: WalVerification, name: string, objects: readonly string[]): Promise<void> {
  const { view, totals, tier } = work;
  for (const object of objects)
    await collecting(work, name, async () => {
      const container = await openContainer(view.repository, { objectKey: object, boundKey: object.slice(0, object.lastIndexOf("-")), source: view.source, kind: "part" });
      totals.bytes += container.bytes;
      if (reaches(tier, "stored")) await new FrameReader(view.repository, container).checkStored();
    });
  const parts = view.inventory.parts.get(name);
  if (parts === undefined || parts.contiguousBytes >= parts.furthestBytes) return;
  const hole = `${keys.segmentParts(view.source, view.place.systemIdentifier, name)}${parts.contiguousBytes.toString(16).padStart(8, "0")}`;
  work.report.add(new DamageError(hole, `the parts reach ${parts.contiguousBytes}, and there is one that ends at ${parts.furthestBytes}`, "missing"), hurtBy(work, name));
}

async function verifyIndexes(work: WalVerification): Promise<void> {
  const { view } = work;
  for (const timeline of view.histories.keys()) {
    const { ledgers, damage } = await readIndexes(view.repository, view.place, timelineHex(timeline));
    for (const error of damage) work.report.add(error);
    for (const name of ledgers.keys()) reportIfMissing(work, name, "an index names it");
    reportMissingIndexes(work, timeline, new Set(ledgers.keys()), damage.length > 0);
  }
}

/** A complete group without its index: a cache was lost. It hurts nobody; the next WAL writes it again. */
function reportMissingIndexes(work: WalVerification, timeline: number, indexed: ReadonlySet<string>, damaged: boolean): void {
  const { view } = work;
  const { segmentBytes } = view.place;
  const numbers = [...view.inventory.segments.keys()].map((name) => parseSegmentName(name, segmentBytes)).filter((segment) => segment?.timeline === timeline);
  const groups = Map.groupBy(numbers, (segment) => (segment?.number ?? 0n) / 256n);
  for (const [group, members] of groups) {
    const [first, last] = [group * 256n, group * 256n + 255n].map((number) => segmentName({ timeline, number }, segmentBytes)) as [string, string];
    if (members.length === 256 && !indexed.has(first) && !damaged)
      work.report.add(
        new DamageError(
          keys.walIndex(view.source, view.place.systemIdentifier, first, last),
          "the index of a complete group is not there; it is written again with the next WAL",
          "missing",
        ),
      );
  }
}

/** Holes between segments, WAL that backups need, and WAL that was reported durable. */
function reportMissing(work: WalVerification): void {
  const { view } = work;
  const { segmentBytes } = view.place;
  for (const gap of view.gaps(work.hasLog)) {
    const [first, last] = [parseSegmentName(gap.firstSegment, segmentBytes), parseSegmentName(gap.lastSegment, segmentBytes)];
    if (first === null || last === null) continue;
    reportMissingBetween(work, first, last, "a gap: there is WAL before and after it");
  }
  for (const { manifest } of view.listing.backups) {
    const own = ownSegments(manifest);
    if (own !== null) reportMissingBetween(work, own.first, own.last, `${manifest.id} needs it to become consistent`);
  }
  for (const timeline of view.histories.keys()) reportLostEnd(work, timeline);
}

const MOST_NAMED_MISSING = 1000;

/** Each segment that is missing; but of a stretch without an end (whoever leaves one name far away makes one) only the first thousand. */
function reportMissingBetween(work: WalVerification, first: WalSegment, last: WalSegment, reason: string): void {
  let named = 0;
  for (let { number } = first; number <= last.number; number++) {
    const name = segmentName({ timeline: first.timeline, number }, work.view.place.segmentBytes);
    if (!reportIfMissing(work, name, named < MOST_NAMED_MISSING ? reason : `${reason}; and so on for ${last.number - number} more`)) continue;
    if (++named > MOST_NAMED_MISSING) return;
  }
}

/** WAL of a timeline that was reported durable, and that ends before. */
function reportLostEnd(work: WalVerification, timeline: number): void {
  const { view } = work;
  const { segmentBytes } = view.place;
  const history = view.histories.get(timeline);
  const reported = history === undefined ? null : view.lostEnd(history);
  if (reported === null || history === undefined) return;
  const end = view.endOfWal(history);
  // A stream that began at the start of a segment reports it before it has stored anything. Without a backup there is nothing to lose yet.
  const hasNotBegun = end === 0n && view.listing.backups.length === 0;
  if (hasNotBegun) return;
  const lost = segmentName(segmentBefore(timeline, reported, segmentBytes), segmentBytes);
  const { source, place, inventory } = view;
  const isWhole = inventory.segments.has(lost) || reported % BigInt(segmentBytes) === 0n;
  const object = isWhole ? keys.walSegment(source, place.systemIdentifier, lost) : keys.segmentParts(source, place.systemIdentifier, lost);
  work.report.add(new DamageError(object, `the stream reported ${formatLsn(reported)} durable, and WAL ends at ${formatLsn(end)}`, "missing"), hurtBy(work, lost));
}

/** Whether a backup cannot become consistent without the segment. */
export function pins(manifest: Manifest, name: string): boolean {
  if (manifest.kind !== "postgres") return false;
  const own = ownSegments(manifest);
  const segment = parseSegmentName(name, manifest.postgres.walSegmentBytes);
  return own !== null && segment?.timeline === own.first.timeline && own.first.number <= segment.number && segment.number <= own.last.number;
}

/** True if it is. */
function reportIfMissing(work: WalVerification, name: string, reason: string): boolean {
  const { view } = work;
  if (view.inventory.segments.has(name) || view.inventory.parts.has(name) || view.wasExpired(name)) return false;
  work.report.add(new DamageError(keys.walSegment(view.source, view.place.systemIdentifier, name), `the object is not there; ${reason}`, "missing"), hurtBy(work, name));
  return true;
}

/** Backups that need the segment to become consistent, and the time travel that is lost with it. */
function hurtBy({ view }: WalVerification, name: string): { backups: string[]; windowsLost: string[] } {
  const segment = parseSegmentName(name, view.place.segmentBytes);
  if (segment === null) return { backups: [], windowsLost: [] };
  const backups = view.listing.backups.filter(({ manifest }) => pins(manifest, name)).map(({ manifest }) => manifest.id);
  const start = segmentStart(segment, view.place.segmentBytes);
  const crossed = view.listing.backups.filter(isCluster).some(({ manifest }) => parseLsn(manifest.stop.lsn) < segmentEnd(segment, view.place.segmentBytes));
  return { backups, windowsLost: crossed ? [`timeline ${segment.timeline} from ${formatLsn(start)}`] : [] };
}
