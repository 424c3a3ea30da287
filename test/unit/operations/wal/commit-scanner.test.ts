import { describe, expect, test } from "vitest";
import { formatLsn, lsn } from "../../../../src/domain/lsn.ts";
import { fromDate } from "../../../../src/domain/timestamp.ts";
import { CommitScanner, SegmentAssembly } from "../../../../src/operations/wal/segment-assembly.ts";
import { SEGMENT_BYTES, WalBuilder } from "../../../support/wal-builder.ts";

const START = lsn(BigInt(SEGMENT_BYTES));
const SECOND = lsn(2n * BigInt(SEGMENT_BYTES));
const at = (minute: number): Date => new Date(Date.UTC(2026, 0, 1, 12, minute));

describe("what is known of the transactions in a segment", () => {
  test("is the number, the earliest and the latest, by their own times and not by their order", () => {
    const wal = new WalBuilder({ segments: 1 });
    for (const minute of [5, 2, 9]) wal.commit(100 + minute, at(minute));
    wal.fillToEnd(0);
    const scanner = new CommitScanner(START, SEGMENT_BYTES);
    scanner.push(wal.segment(1));
    expect(scanner.take(START)).toEqual({ commits: 3, minCommitAt: fromDate(at(2)), maxCommitAt: fromDate(at(9)), whole: true });
  });

  test("counts a transaction in the segment where its record ends", () => {
    const wal = new WalBuilder({ segments: 2 });
    wal.commit(1, at(1));
    wal.fillToEnd(16);
    wal.commit(2, at(2));
    wal.commit(3, at(3));
    wal.fillToEnd(0);
    const scanner = new CommitScanner(START, SEGMENT_BYTES);
    scanner.push(wal.segment(1));
    expect(scanner.take(START)).toMatchObject({ commits: 1, maxCommitAt: fromDate(at(1)), whole: true });
    scanner.push(wal.segment(2));
    expect(scanner.take(SECOND)).toMatchObject({ commits: 2, minCommitAt: fromDate(at(2)), whole: true });
  });

  test("is said to be incomplete where the segment begins inside a record that was not seen from its beginning", () => {
    const wal = new WalBuilder({ segments: 2 });
    wal.fillToEnd(16);
    wal.commit(2, at(2));
    wal.fillToEnd(0);
    const scanner = new CommitScanner(SECOND, SEGMENT_BYTES);
    scanner.push(wal.segment(2));
    expect(scanner.take(SECOND)).toEqual({ commits: 0, minCommitAt: null, maxCommitAt: null, whole: false });
  });

  test("is incomplete as long as a record that was not seen from its beginning goes on, and not longer", () => {
    const wal = new WalBuilder({ segments: 4 });
    wal.fillToEnd(64);
    wal.filler(SEGMENT_BYTES + 100_000);
    wal.commit(7, at(7));
    wal.fillToEnd(0);
    wal.commit(8, at(8));
    wal.fillToEnd(0);
    const scanner = new CommitScanner(SECOND, SEGMENT_BYTES);
    const facts = [2, 3, 4].map((number) => {
      scanner.push(wal.segment(number));
      return scanner.take(lsn(BigInt(number * SEGMENT_BYTES)));
    });
    expect(facts.map(({ commits, whole }) => ({ commits, whole }))).toEqual([
      { commits: 0, whole: false },
      { commits: 1, whole: false },
      { commits: 1, whole: true },
    ]);
  });

  test("is incomplete where a segment cannot be read, and known again in the next", () => {
    const wal = new WalBuilder({ segments: 3 });
    wal.commit(1, at(1));
    wal.fillToEnd(0);
    wal.commit(2, at(2));
    wal.fillToEnd(0);
    wal.commit(3, at(3));
    wal.fillToEnd(0);
    wal.segment(2).writeUInt16LE(0xeeee, 8192);
    const scanner = new CommitScanner(START, SEGMENT_BYTES);
    const facts = [1, 2, 3].map((number) => {
      scanner.push(wal.segment(number));
      return scanner.take(lsn(BigInt(number * SEGMENT_BYTES)));
    });
    expect(facts.map(({ whole }) => whole)).toEqual([true, false, true]);
    expect(facts[2]?.maxCommitAt).toBe(fromDate(at(3)));
  });

  test("tells WAL of another history from WAL that follows", () => {
    const wal = new WalBuilder({ segments: 2 });
    wal.fillToEnd(0);
    const next = new WalBuilder({ segments: 1, firstSegment: 2, after: lsn(BigInt(SEGMENT_BYTES) + 40n) });
    next.commit(2, at(2));
    const scanner = new CommitScanner(START, SEGMENT_BYTES);
    scanner.push(wal.segment(1));
    scanner.take(START);
    expect(scanner.isOtherHistory).toBe(false);
    scanner.push(next.segment(2));
    expect(scanner.isOtherHistory).toBe(true);
  });
});

describe("a segment that is being received", () => {
  const known = (): Buffer => new WalBuilder({ segments: 1 }).segment(1).subarray(0, 5000);

  test("takes what fits, in any pieces, and hands back the rest", () => {
    const content = new WalBuilder({ segments: 1 }).segment(1);
    const segment = new SegmentAssembly(1, START, SEGMENT_BYTES, Buffer.alloc(0));
    expect(segment.name).toBe("000000010000000000000001");
    expect(segment.take(content.subarray(0, 1000))).toHaveLength(0);
    expect(formatLsn(segment.position)).toBe("0/1003E8");
    expect(segment.take(Buffer.concat([content.subarray(1000), Buffer.from("next")])).toString()).toBe("next");
    expect(segment.isComplete).toBe(true);
    expect(segment.bytes.equals(content)).toBe(true);
  });

  test("counts as durable what parts held, and compares it when it comes again", () => {
    const segment = new SegmentAssembly(1, START, SEGMENT_BYTES, known());
    expect(segment.durable).toBe(5000);
    segment.take(known().subarray(0, 4999));
    segment.take(Buffer.concat([known().subarray(4999), Buffer.alloc(100)]));
    expect(segment.filled).toBe(5100);
  });

  for (const wrongAt of [0, 2500, 4999])
    test(`refuses other bytes than parts hold (at ${wrongAt}), and takes none of them`, () => {
      const segment = new SegmentAssembly(1, START, SEGMENT_BYTES, known());
      segment.take(known().subarray(0, Math.min(wrongAt, 100)));
      const before = segment.filled;
      const other = Buffer.from(known());
      other[wrongAt] = (other[wrongAt] ?? 0) ^ 1;
      expect(() => segment.take(other.subarray(before))).toThrow(/sends other WAL/);
      expect(segment.filled).toBe(before);
    });
});
