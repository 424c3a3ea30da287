import { addBytes, maxLsn, minLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { spansOf } from "./timeline.ts";
import type { TimelineHistory } from "./timeline.ts";
import { parseSegmentName, segmentAt, segmentName, segmentStart } from "./wal-segment.ts";

/** What one copy holds of the WAL of one cluster, by segment name: names only, nothing was opened. */
export interface WalInventory {
  readonly segmentBytes: number;
  /** Complete segments. More than one object for a name is a divergence until their content is compared. */
  readonly segments: ReadonlyMap<string, { readonly objects: readonly string[] }>;
  /** For unfinished segments: how many bytes from their start are there without a hole, and where the furthest part ends. */
  readonly parts: ReadonlyMap<string, { readonly objects: readonly string[]; readonly contiguousBytes: number; readonly furthestBytes: number }>;
}

/** Segments of which anything is held: whole, or as far as parts reach. */
export function heldSegments({ segments, parts }: WalInventory): Set<string> {
  return new Set([...segments.keys(), ...parts.keys()]);
}

/** A stretch of WAL that a copy holds without a hole, on one history. */
interface WalRange {
  readonly start: Lsn;
  readonly end: Lsn;
}

export interface WalGap extends WalRange {
  readonly timeline: number;
  readonly firstSegment: string;
  readonly lastSegment: string;
}

/** How far the WAL from `from` reaches without a hole along a history, and the segments (and at the end parts) it is made of. */
export function contiguousFrom(inventory: WalInventory, history: TimelineHistory, from: Lsn): { end: Lsn; names: string[]; timeline: number } {
  const { segmentBytes } = inventory;
  const names: string[] = [];
  let [at, timeline] = [from, history.timeline];
  for (const span of spansOf(history)) {
    if (span.end !== null && span.end <= at) continue;
    timeline = span.timeline;
    for (;;) {
      // The segment in which a fork lies is read on the newer timeline: it holds the same bytes before the fork.
      const segment = segmentAt(span.timeline, at, segmentBytes);
      const start = segmentStart(segment, segmentBytes);
      if (span.end !== null && segmentAt(span.timeline, span.end, segmentBytes).number <= segment.number) break;
      const name = segmentName(segment, segmentBytes);
      if (inventory.segments.has(name)) {
        names.push(name);
        at = addBytes(start, segmentBytes);
        continue;
      }
      const part = inventory.parts.get(name);
      if (part === undefined || addBytes(start, part.contiguousBytes) <= at) return { end: at, names, timeline };
      return { end: addBytes(start, part.contiguousBytes), names: [...names, name], timeline };
    }
  }
  return { end: at, names, timeline };
}

/**
 * As above, for who reads: where the newer timeline's file of the segment in which a timeline was left is not there (yet), or ends sooner, the older one's counts, up to the fork. What it holds behind that
 * is not of this history.
 */
export function readableFrom(inventory: WalInventory, history: TimelineHistory, from: Lsn): ReturnType<typeof contiguousFrom> {
  const { segmentBytes } = inventory;
  const reached = contiguousFrom(inventory, history, from);
  let furthest = reached;
  for (const { timeline, end: fork } of spansOf(history)) {
    if (fork === null || fork <= furthest.end) continue;
    const segment = segmentAt(timeline, reached.end, segmentBytes);
    if (segmentAt(timeline, fork, segmentBytes).number !== segment.number) continue;
    const name = segmentName(segment, segmentBytes);
    const held = inventory.segments.has(name) ? segmentBytes : (inventory.parts.get(name)?.contiguousBytes ?? 0);
    const end = minLsn(fork, addBytes(segmentStart(segment, segmentBytes), held));
    if (end <= furthest.end) continue;
    furthest = { ...reached, end, names: [...reached.names.filter((other) => parseSegmentName(other, segmentBytes)?.number !== segment.number), name] };
  }
  return furthest;
}

/** Where all WAL on a history ends, gaps or not. */
export function endOfWal(inventory: WalInventory, history: TimelineHistory): Lsn {
  const { segmentBytes } = inventory;
  const spans = new Map(spansOf(history).map((span) => [span.timeline, span]));
  let end = 0n as Lsn;
  const consider = (name: string, bytes: number): void => {
    const segment = parseSegmentName(name, segmentBytes);
    const span = segment === null ? undefined : spans.get(segment.timeline);
    if (segment === null || span === undefined) return;
    const reaches = addBytes(segmentStart(segment, segmentBytes), bytes);
    // What lies behind the fork is another history.
    end = maxLsn(end, span.end === null ? reaches : minLsn(span.end, reaches));
  };
  for (const name of inventory.segments.keys()) consider(name, segmentBytes);
  for (const [name, part] of inventory.parts) consider(name, part.furthestBytes);
  return end;
}

/** Consecutive segments of one timeline, by number. */
export interface SegmentRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** The holes between what is there on one timeline: segments that are missing between others, and were not removed on purpose. */
export function gapsOn(inventory: Pick<WalInventory, "segmentBytes">, timeline: number, numbers: readonly bigint[], expired: readonly SegmentRange[]): WalGap[] {
  const holes = numbers.flatMap((number, i): SegmentRange[] => {
    const before = numbers[i - 1];
    return before === undefined || number === before + 1n ? [] : [{ first: before + 1n, last: number - 1n }];
  });
  return holes.flatMap((hole) => subtract(hole, expired)).map((hole) => describeGap(inventory.segmentBytes, timeline, hole));
}

function subtract(hole: SegmentRange, expired: readonly SegmentRange[]): SegmentRange[] {
  let rest: SegmentRange[] = [hole];
  for (const gone of expired)
    rest = rest.flatMap((piece) => {
      if (gone.last < piece.first || gone.first > piece.last) return [piece];
      const before = gone.first > piece.first ? [{ first: piece.first, last: gone.first - 1n }] : [];
      return gone.last < piece.last ? [...before, { first: gone.last + 1n, last: piece.last }] : before;
    });
  return rest;
}

function describeGap(segmentBytes: number, timeline: number, { first, last }: SegmentRange): WalGap {
  return {
    timeline,
    start: segmentStart({ timeline, number: first }, segmentBytes),
    end: segmentStart({ timeline, number: last + 1n }, segmentBytes),
    firstSegment: segmentName({ timeline, number: first }, segmentBytes),
    lastSegment: segmentName({ timeline, number: last }, segmentBytes),
  };
}
