import { reaches } from "./verify-tier.ts";
import type { VerifyTier } from "./verify-tier.ts";

/**
 * What is verified piece by piece, and remembered piece by piece: a container of a backup (`unit` is the backup's id), or a segment of WAL (`unit` is its timeline, eight hex digits; of a cluster that the source was bound to before, behind its system identifier and a slash). `number` counts
 * within both.
 */
export interface LedgerObject {
  readonly unit: string;
  readonly kind: "data" | "map" | "wal";
  readonly number: number;
}

/** One that is there, and its size: of a container as it is stored, of WAL as the server wrote it. */
export interface StoredObject extends LedgerObject {
  readonly bytes: number;
}

/** When it was verified last, and how deep. Never: all three are null. */
export type LedgerLine = StoredObject & ({ readonly tier: VerifyTier; readonly ok: boolean; readonly at: string } | { readonly tier: null; readonly ok: null; readonly at: null });

/** Unique, and in the order of numbers. */
export function ledgerKey({ unit, kind, number }: LedgerObject): string {
  return `${unit}/${kind}/${number.toString().padStart(12, "0")}`;
}

/** Never verified first, then longest ago; what was verified together in its own order. */
export function oldestFirst(lines: readonly LedgerLine[]): LedgerLine[] {
  const rank = ({ at }: LedgerLine): string => at ?? "";
  return lines.toSorted((a, b) => (rank(a) === rank(b) ? (ledgerKey(a) < ledgerKey(b) ? -1 : 1) : rank(a) < rank(b) ? -1 : 1));
}

/** The oldest that fit into `bytes`; at least one, for whatever the budget, it goes on. */
export function withinBudget(lines: readonly LedgerLine[], bytes: number): LedgerLine[] {
  const chosen: LedgerLine[] = [];
  let left = bytes;
  for (const line of oldestFirst(lines)) {
    if (chosen.length > 0 && line.bytes > left) break;
    chosen.push(line);
    left -= line.bytes;
  }
  return chosen;
}

/** How far verification is, piece by piece. */
export interface LedgerSummary {
  readonly objects: number;
  readonly bytes: number;
  readonly verifiedObjects: number;
  readonly verifiedBytes: number;
  readonly damagedObjects: number;
  /** When what was verified longest ago was: all of it is younger. Null while something never was. */
  readonly oldestVerifiedAt: string | null;
  readonly walSegments: number;
  readonly verifiedWalSegments: number;
}

/** A backup all of which was verified piece by piece: as deep as the shallowest, as long ago as the oldest of them. Null where a piece never was, or is damaged, or was looked at by name only. */
export function wholeUnit(lines: readonly LedgerLine[]): { readonly tier: VerifyTier; readonly at: string } | null {
  const good = lines.flatMap(({ tier, ok, at }) => (at !== null && ok && reaches(tier, "stored") ? [{ tier, at }] : []));
  const [first] = good;
  if (first === undefined || good.length < lines.length) return null;
  return good.reduce((whole, { tier, at }) => ({ tier: reaches(tier, whole.tier) ? whole.tier : tier, at: at < whole.at ? at : whole.at }), first);
}

/** Numbers in ascending order, as stretches: `[[0, 3], [7, 7]]`. */
export function toRanges(numbers: readonly number[]): [number, number][] {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges;
}

/** Each value with how often it comes one after the other: `[[16, 3], [7, 1]]`. */
export function toRuns(values: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last?.[0] === value) last[1]++;
    else runs.push([value, 1]);
  }
  return runs;
}

/** The values that `toRuns` was given, one by one: of what somebody wrote, no more than are asked for are made. */
export function* sizesOf(runs: readonly (readonly [number, number])[]): Generator<number, undefined> {
  for (const [value, count] of runs) for (let i = 0; i < count; i++) yield value;
  return undefined;
}
