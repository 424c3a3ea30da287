import { expect, test } from "vitest";
import { planWalFill } from "../../../src/domain/wal-fill.ts";
import type { SegmentRange, WalInventory } from "../../../src/domain/wal-coverage.ts";
import { segmentName } from "../../../src/domain/wal-segment.ts";

const MIB = 1 << 20;
const name = (number: number, timeline = 1): string => segmentName({ timeline, number: BigInt(number) }, MIB);
const holds = (numbers: readonly number[], parts: Readonly<Record<number, number>> = {}): WalInventory => ({
  segmentBytes: MIB,
  segments: new Map(numbers.map((number) => [name(number), { objects: [] }])),
  parts: new Map(Object.entries(parts).map(([number, bytes]) => [name(Number(number)), { objects: [], contiguousBytes: bytes, furthestBytes: bytes }])),
});
const expired = (...ranges: [number, number][]): Map<number, SegmentRange[]> => new Map([[1, ranges.map(([first, last]) => ({ first: BigInt(first), last: BigInt(last) }))]]);

test("a copy lacks what another holds and it does not, in order", () => {
  const plan = planWalFill({ from: holds([7, 5, 6, 9]), fromExpired: new Map(), to: holds([6]), toExpired: new Map() });
  expect(plan.segments).toEqual([5, 7, 9].map((number) => name(number)));
});

test("what lies before WAL that was removed on purpose there is of single backups, and is not brought; nor what was removed on purpose here", () => {
  const plan = planWalFill({ from: holds([2, 3, 10, 11, 12]), fromExpired: expired([1, 1], [4, 9]), to: holds([]), toExpired: expired([1, 10]) });
  expect(plan.segments).toEqual([name(11), name(12)]);
});

test("of an unfinished segment the longer beginning is brought, unless it is there whole", () => {
  const from = holds([4], { 4: 100, 5: 300, 6: 300 });
  const plan = planWalFill({ from, fromExpired: new Map(), to: holds([4], { 5: 300, 6: 200 }), toExpired: new Map() });
  expect(plan).toEqual({ segments: [], unfinished: [name(6)] });
});
