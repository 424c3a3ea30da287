import { median } from "./median.ts";

/**
 * How long a recovery would take now, judged by those that were measured: files by bytes, WAL by segments, all other steps by bytes where drills of several sizes show that they grow. An estimate, and always shown as one:
 * what was measured on a scratch folder of another size or disk says only so much.
 */
export interface MeasuredRecovery {
  /** Of the restored cluster. */
  readonly bytes: number;
  readonly walSegments: number;
  readonly restoreSeconds: number;
  readonly recoverSeconds: number;
  /** Planning, starting, checking. */
  readonly otherSeconds: number;
}

/** What would have to be brought back now. */
export interface RecoveryWork {
  readonly bytes: number;
  readonly walSegments: number;
}

export interface RecoveryEstimate {
  readonly seconds: number;
  /** It should lie between these four times in five: by how far the drills were from what the model says of them, and by what they cannot tell apart. */
  readonly lowSeconds: number;
  readonly highSeconds: number;
  /** How many measured recoveries it is made from. */
  readonly drills: number;
}

/** Null where nothing was measured. */
export function estimateRecovery(measured: readonly MeasuredRecovery[], work: RecoveryWork): RecoveryEstimate | null {
  if (measured.length === 0) return null;
  const restore = estimatePart(
    measured.map(({ bytes, restoreSeconds }) => ({ size: bytes, seconds: restoreSeconds })),
    work.bytes,
    "grows",
  );
  const recover = estimatePart(
    measured.map(({ walSegments, recoverSeconds }) => ({ size: walSegments, seconds: recoverSeconds })),
    work.walSegments,
    "grows",
  );
  const other = estimatePart(
    measured.map(({ bytes, otherSeconds }) => ({ size: bytes, seconds: otherSeconds })),
    work.bytes,
    "stays",
  );
  const total = (of: keyof Part): number => restore[of] + recover[of] + other[of];
  return { seconds: total("mid"), lowSeconds: total("low"), highSeconds: total("high"), drills: measured.length };
}

interface Point {
  readonly size: number;
  readonly seconds: number;
}

interface Part {
  readonly low: number;
  readonly mid: number;
  readonly high: number;
}

/** Drills of one size cannot tell what is fixed from what grows: from this ratio of sizes on a line is put through them. */
const ENOUGH_SPREAD = 1.5;
/** Nobody knows it better than this. */
const LEAST_ERROR = 1.15;

/**
 * One part of a recovery, of which a share is fixed and the rest grows with a size. `usually`: what is taken to be so where the drills cannot tell; the other bound of the interval is then the opposite.
 * Medians there, so that one slow day does not tell for all.
 */
function estimatePart(points: readonly Point[], size: number, usually: "grows" | "stays"): Part {
  const sized = points.map((point) => ({ ...point, size: Math.max(1, point.size) }));
  const at = Math.max(1, size);
  const sizes = sized.map((point) => point.size);
  if (Math.max(...sizes) < ENOUGH_SPREAD * Math.min(...sizes)) {
    const grown = median(sized.map((point) => point.seconds / point.size)) * at;
    const fixed = median(sized.map(({ seconds }) => seconds));
    const error = errorOf(sized.map(({ seconds }) => seconds / Math.max(fixed, TINY)));
    return { low: Math.min(grown, fixed) / error, mid: usually === "grows" ? grown : fixed, high: Math.max(grown, fixed) * error };
  }
  const { fixed, perUnit } = fitLine(sized);
  const error = errorOf(sized.map((point) => point.seconds / Math.max(fixed + perUnit * point.size, TINY)));
  const mid = fixed + perUnit * at;
  return { low: mid / error, mid, high: mid * error };
}

const TINY = 1e-9;
/** Of a normal distribution, four fifths lie within so many standard deviations. */
const FOUR_IN_FIVE = 1.2816;

/** By which factor to widen: from how the drills scatter around what the model says of them. */
function errorOf(ratios: readonly number[]): number {
  const logs = ratios.filter((ratio) => ratio > 0).map(Math.log);
  const spread = Math.sqrt(logs.reduce((sum, log) => sum + log * log, 0) / Math.max(1, logs.length - 1));
  return Math.max(LEAST_ERROR, Math.exp(FOUR_IN_FIVE * spread));
}

/** The median of the lines through each two points (Theil and Sen), so that one slow day does not bend it; neither part is below zero. */
function fitLine(points: readonly Point[]): { fixed: number; perUnit: number } {
  const slopes = points.flatMap((a, i) => points.slice(i + 1).flatMap((b) => (a.size === b.size ? [] : [(b.seconds - a.seconds) / (b.size - a.size)])));
  const slope = Math.max(0, median(slopes));
  const fixed = median(points.map(({ size, seconds }) => seconds - slope * size));
  return fixed >= 0 ? { fixed, perUnit: slope } : { fixed: 0, perUnit: median(points.map(({ size, seconds }) => seconds / size)) };
}
