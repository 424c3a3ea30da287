/** How full a repository was at one moment. Null: the place it is in does not say (buckets have no end that they tell). */
export interface CapacityReading {
  readonly at: string;
  readonly usedBytes: number | null;
  readonly freeBytes: number | null;
}

/** Readings closer together than this say nothing about a trend. */
const SHORTEST_SPAN_MS = 3_600_000;
const FEWEST_READINGS = 3;

/**
 * When nothing will be free any more, if it goes on as it did over these readings: the straight line that fits them best (least squares). Null: it does not shrink, or too little is known.
 * Whatever else is written beside the repository counts too: what is free is free for all.
 */
export function projectFull(readings: readonly CapacityReading[]): Date | null {
  const points = readings.flatMap(({ at, freeBytes }) => (freeBytes === null ? [] : [{ ms: Date.parse(at), free: freeBytes }]));
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || points.length < FEWEST_READINGS || last.ms - first.ms < SHORTEST_SPAN_MS) return null;
  const mean = (of: (point: { ms: number; free: number }) => number): number => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [meanMs, meanFree] = [mean(({ ms }) => ms), mean(({ free }) => free)];
  const slope = mean(({ ms, free }) => (ms - meanMs) * (free - meanFree)) / mean(({ ms }) => (ms - meanMs) ** 2);
  if (!(slope < 0)) return null;
  const fullMs = last.ms - last.free / slope;
  return fullMs < FURTHEST_MS ? new Date(fullMs) : null;
}

/** The year 2200: what lies beyond is no projection. */
const FURTHEST_MS = 7_258_118_400_000;
