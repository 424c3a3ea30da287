/** How full a repository was at one moment. Null: the place it is in does not say (buckets have no end that they tell), and the inventory neither. */
export interface CapacityReading {
  readonly at: string;
  readonly usedBytes: number | null;
  readonly freeBytes: number | null;
}

/**
 * The same readings of a repository that may grow to `maxBytes`; null: to what its place holds. Of all readings, whatever was said when they were made: a limit that is changed is no room that came or
 * went.
 */
export function withinLimit(readings: readonly CapacityReading[], maxBytes: number | null): CapacityReading[] {
  if (maxBytes === null) return [...readings];
  return readings.map((reading) => {
    const left = reading.usedBytes === null ? null : Math.max(0, maxBytes - reading.usedBytes);
    return { ...reading, freeBytes: left === null || reading.freeBytes === null ? (left ?? reading.freeBytes) : Math.min(left, reading.freeBytes) };
  });
}

/** When nothing will be free any more: an estimate, and no promise. `unknown`: nobody can say yet, which is not the same as that there is no end in sight. */
export type FullProjection = { readonly kind: "unknown"; readonly reason: string } | { readonly kind: "not_in_sight" } | { readonly kind: "full"; readonly at: Date };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How far back readings are of use for it: two of the weeks in which most policies repeat themselves. */
export const TREND_MS = 14 * DAY_MS;

/** What began to grow faster shows in the newest days long before it does in two weeks; believed where it says that the end is near. */
const NEWEST = { trendMs: 4 * DAY_MS, nearMs: 7 * DAY_MS } as const;

/** Readings closer together than this say nothing about a trend. */
const SHORTEST_SPAN_MS = HOUR_MS;
const FEWEST_READINGS = 3;

/** So many times as far as one looked back one can look ahead: a day of a first backup says nothing of next month. */
const REACH = 10;

/** The year 2200: what lies beyond is no projection. */
const FURTHEST_MS = 7_258_118_400_000;

/**
 * When nothing will be free any more, if it goes on as it did over these readings of the last two weeks: the straight line that fits them best (least squares). Whatever else is written beside the repository
 * counts too: what is free is free for all.
 */
export function projectFull(readings: readonly CapacityReading[]): FullProjection {
  const points = readings.flatMap(({ at, freeBytes }) => (freeBytes === null ? [] : [{ ms: Date.parse(at), free: freeBytes }]));
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined)
    return { kind: "unknown", reason: readings.length === 0 ? "it was never measured" : "the place does not say how much is free, and no maxBytes does" };
  if (last.free <= 0) return { kind: "full", at: new Date(last.ms) };
  const spanMs = last.ms - first.ms;
  if (points.length < FEWEST_READINGS || spanMs < SHORTEST_SPAN_MS) return { kind: "unknown", reason: "it was measured for too short a time" };
  const all = endOfLine(points);
  const newest = endOfLine(points.filter(({ ms }) => last.ms - ms <= NEWEST.trendMs));
  const fullMs = Math.min(all, newest - last.ms <= NEWEST.nearMs ? newest : Number.POSITIVE_INFINITY);
  if (fullMs - last.ms <= REACH * spanMs && fullMs < FURTHEST_MS) return { kind: "full", at: new Date(fullMs) };
  return REACH * spanMs < TREND_MS ? { kind: "unknown", reason: "it was measured for too short a time" } : { kind: "not_in_sight" };
}

interface Point {
  readonly ms: number;
  readonly free: number;
}

/** When the line through these points, from the last of them on, comes to nothing; infinite: never. */
function endOfLine(points: readonly Point[]): number {
  const last = points.at(-1);
  if (last === undefined || points.length < FEWEST_READINGS) return Number.POSITIVE_INFINITY;
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [meanMs, meanFree] = [mean(({ ms }) => ms), mean(({ free }) => free)];
  const slope = mean(({ ms, free }) => (ms - meanMs) * (free - meanFree)) / mean(({ ms }) => (ms - meanMs) ** 2);
  return slope < 0 ? last.ms - last.free / slope : Number.POSITIVE_INFINITY;
}
