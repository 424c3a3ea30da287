import { median } from "./median.ts";

/**
 * How long a recovery would take now, judged by those that were measured: bringing files and WAL there by their bytes together, replaying by segments, checks and all other steps by bytes where drills of several sizes show
 * that they grow. An estimate, and always shown as one:
 * what was measured on a scratch folder of another size or disk says only so much.
 */
export interface MeasuredRecovery {
  /** Of the restored cluster. */
  readonly bytes: number;
  readonly walSegments: number;
  readonly restoreSeconds: number;
  readonly recoverSeconds: number;
  readonly checkSeconds: number;
  /** Planning and starting. */
  readonly otherSeconds: number;
}

/** What would have to be brought back now. */
export interface RecoveryWork {
  readonly bytes: number;
  readonly walSegments: number;
  /** Of the source: a segment is brought there as files are, before it is replayed. */
  readonly segmentBytes: number;
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
  const bytesOf = ({ bytes, walSegments }: Pick<RecoveryWork, "bytes" | "walSegments">): number => bytes + walSegments * work.segmentBytes;
  const restore = estimatePart(
    measured.map((each) => ({ size: bytesOf(each), seconds: each.restoreSeconds })),
    bytesOf(work),
    "grows",
  );
  const recover = estimatePart(
    measured.map(({ walSegments, recoverSeconds }) => ({ size: walSegments, seconds: recoverSeconds })),
    work.walSegments,
    "grows",
  );
  const check = estimatePart(
    measured.map(({ bytes, checkSeconds }) => ({ size: bytes, seconds: checkSeconds })),
    work.bytes,
    "stays",
  );
  const other = estimatePart(
    measured.map(({ bytes, otherSeconds }) => ({ size: bytes, seconds: otherSeconds })),
    work.bytes,
    "stays",
  );
  const total = (of: keyof Part): number => restore[of] + recover[of] + check[of] + other[of];
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
/** Through two drills a line goes exactly, and nobody knows how well. */
const ENOUGH_FOR_DOUBT = 3;
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
  const grown = median(sized.map((point) => point.seconds / point.size)) * at;
  const fixed = median(sized.map(({ seconds }) => seconds));
  const line = Math.max(...sizes) < ENOUGH_SPREAD * Math.min(...sizes) ? null : fitLine(sized);
  const mid = line === null ? (usually === "grows" ? grown : fixed) : secondsAt(line, at);
  if (line === null || sized.length < ENOUGH_FOR_DOUBT) {
    const factor = factorOf(errorLog(sized.map(({ seconds }) => seconds / Math.max(fixed, TINY))));
    return { low: Math.min(grown, fixed) / factor, mid, high: Math.max(grown, fixed) * factor };
  }
  const scatter = errorLog(sized.map((point) => point.seconds / Math.max(secondsAt(line, point.size), TINY)));
  const factor = factorOf(Math.hypot(scatter, doubtLog(sized, at)));
  return { low: mid / factor, mid, high: mid * factor };
}

/** By which factor to widen, from a standard deviation of logarithms. */
function factorOf(error: number): number {
  return Math.max(LEAST_ERROR, Math.exp(FOUR_IN_FIVE * error));
}

/** How much another line would have told of a size far from those that were measured: from the lines that are put through all drills but one (the jackknife), as a standard deviation of logarithms. */
function doubtLog(points: readonly Point[], size: number): number {
  const logs = points.map((_, i) => Math.log(Math.max(secondsAt(fitLine(points.toSpliced(i, 1)), size), TINY)));
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  return Math.sqrt(((logs.length - 1) / logs.length) * logs.reduce((sum, log) => sum + (log - mean) ** 2, 0));
}

const TINY = 1e-9;
/** Of a normal distribution, four fifths lie within so many standard deviations. */
const FOUR_IN_FIVE = 1.2816;

/** How the drills scatter around what the model says of them, as a standard deviation of logarithms. */
function errorLog(ratios: readonly number[]): number {
  const logs = ratios.filter((ratio) => ratio > 0).map(Math.log);
  return Math.sqrt(logs.reduce((sum, log) => sum + log * log, 0) / Math.max(1, logs.length - 1));
}

interface Line {
  readonly fixed: number;
  readonly perUnit: number;
}

function secondsAt({ fixed, perUnit }: Line, size: number): number {
  return fixed + perUnit * size;
}

/** The median of the lines through each two points (Theil and Sen), so that one slow day does not bend it; neither part is below zero. */
function fitLine(points: readonly Point[]): Line {
  const slopes = points.flatMap((a, i) => points.slice(i + 1).flatMap((b) => (a.size === b.size ? [] : [(b.seconds - a.seconds) / (b.size - a.size)])));
  const slope = Math.max(0, median(slopes));
  const fixed = median(points.map(({ size, seconds }) => seconds - slope * size));
  return fixed >= 0 ? { fixed, perUnit: slope } : { fixed: 0, perUnit: median(points.map(({ size, seconds }) => seconds / size)) };
}
