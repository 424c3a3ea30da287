import { parseSegmentName } from "./wal-segment.ts";
import type { SegmentRange, WalInventory } from "./wal-coverage.ts";

/** The WAL of two copies, and what each removed on purpose, by timeline. */
export interface WalFillInput {
  readonly from: WalInventory;
  readonly fromExpired: ReadonlyMap<number, readonly SegmentRange[]>;
  readonly to: WalInventory;
  readonly toExpired: ReadonlyMap<number, readonly SegmentRange[]>;
}

export interface WalFill {
  /** Complete segments to copy, in the order of timelines and numbers. */
  readonly segments: readonly string[];
  /** Unfinished segments of which the other holds more. */
  readonly unfinished: readonly string[];
}

/**
 * What one copy of a log lacks that another holds. What lies before anything that the other removed on purpose is there for single backups only, and comes with them; what was removed
 * on purpose here is not brought again.
 */
export function planWalFill({ from, fromExpired, to, toExpired }: WalFillInput): WalFill {
  const isWanted = (name: string): boolean => {
    const segment = parseSegmentName(name, from.segmentBytes);
    if (segment === null || to.segments.has(name)) return false;
    const { timeline, number } = segment;
    const isBehind = (fromExpired.get(timeline) ?? []).some(({ last }) => number <= last);
    return !isBehind && !(toExpired.get(timeline) ?? []).some(({ first, last }) => first <= number && number <= last);
  };
  return {
    segments: [...from.segments.keys()].filter(isWanted).toSorted(),
    unfinished: [...from.parts]
      .filter(([name, { contiguousBytes }]) => isWanted(name) && !from.segments.has(name) && contiguousBytes > (to.parts.get(name)?.contiguousBytes ?? 0))
      .map(([name]) => name)
      .toSorted(),
  };
}
