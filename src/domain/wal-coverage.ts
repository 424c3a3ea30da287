import { addBytes } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { spansOf } from "./timeline.ts";
import type { TimelineHistory } from "./timeline.ts";
import { segmentAt, segmentName, segmentStart } from "./wal-segment.ts";

/** What one copy holds of the WAL of one cluster, by segment name: names only, nothing was opened. */
export interface WalInventory {
  readonly segmentBytes: number;
  /** Complete segments. More than one object for a name is a divergence until their content is compared. */
  readonly segments: ReadonlyMap<string, { readonly objects: readonly string[] }>;
  /** For unfinished segments: how many bytes from their start are there without a hole. */
  readonly parts: ReadonlyMap<string, { readonly objects: readonly string[]; readonly contiguousBytes: number }>;
}

/** A stretch of WAL that a copy holds without a hole, on one history. */
export interface WalRange {
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

/** The holes between what is there on one timeline: missing segments with a complete segment or parts on both sides. */
export function gapsOn(inventory: WalInventory, timeline: number, numbers: readonly bigint[]): WalGap[] {
  const { segmentBytes } = inventory;
  const gaps: WalGap[] = [];
  numbers.forEach((number, i) => {
    const before = numbers[i - 1];
    if (before === undefined || number === before + 1n) return;
    const [first, last] = [
      { timeline, number: before + 1n },
      { timeline, number: number - 1n },
    ];
    gaps.push({
      timeline,
      start: segmentStart(first, segmentBytes),
      end: segmentStart({ timeline, number }, segmentBytes),
      firstSegment: segmentName(first, segmentBytes),
      lastSegment: segmentName(last, segmentBytes),
    });
  });
  return gaps;
}
