/** A stored part of the segment being written: bytes `[from, to)`, made of `level` rounds of joining. */
export interface LeveledPart {
  readonly object: string;
  readonly from: number;
  readonly to: number;
  readonly level: number;
}

const JOINED_AT_ONCE = 16;

/**
 * The newest parts, when so many of one level are together: they become one of the next. A segment of n parts so keeps some dozens of objects, and each byte is written again log₁₆ n times, however
 * often commits ask for a part of their own. Empty where there is nothing to join.
 */
export function partsToJoin(parts: readonly LeveledPart[]): readonly LeveledPart[] {
  const newest = parts.slice(-JOINED_AT_ONCE);
  const level = newest.at(-1)?.level;
  return newest.length === JOINED_AT_ONCE && newest.every((part) => part.level === level) ? newest : [];
}
