/**
 * How long a recovery would take now, judged by those that were measured: fixed steps as long as they took, files by bytes, WAL by segments. An estimate, and always shown as one:
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
  /** How many measured recoveries it is made from. */
  readonly drills: number;
}

/** Null where nothing was measured. The medians, so that one slow day does not tell for all. */
export function estimateRecovery(measured: readonly MeasuredRecovery[], work: RecoveryWork): RecoveryEstimate | null {
  if (measured.length === 0) return null;
  const perByte = median(measured.map(({ restoreSeconds, bytes }) => restoreSeconds / Math.max(1, bytes)));
  const perSegment = median(measured.map(({ recoverSeconds, walSegments }) => recoverSeconds / Math.max(1, walSegments)));
  const fixed = median(measured.map(({ otherSeconds }) => otherSeconds));
  return { seconds: fixed + perByte * work.bytes + perSegment * Math.max(1, work.walSegments), drills: measured.length };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = 0, high = 0] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return (low + high) / 2;
}
