import { readFile } from "node:fs/promises";
import path from "node:path";
import { addBytes, formatLsn, lsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { parseSegmentName, segmentName, segmentStart } from "../../domain/wal-segment.ts";
import type { WalSegment } from "../../domain/wal-segment.ts";
import type { WalSummary } from "../../domain/wal-summary.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { CommitScanner } from "./segment-assembly.ts";
import type { CommitFacts } from "./segment-assembly.ts";

/** A segment (or the beginning of one) as PostgreSQL hands it over: whose WAL it is, by its name and by its first page, which agree. */
export interface SegmentFile {
  readonly segment: string;
  readonly parsed: WalSegment;
  readonly start: Lsn;
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
}

export interface ScannedSegment {
  readonly file: SegmentFile;
  readonly bytes: Buffer;
  readonly facts: CommitFacts;
  readonly summary: WalSummary | null;
}

export async function readWalFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new HoldfastError("HF-WAL", `cannot read ${file}: ${messageOf(cause)}`, { hint: "archive_command must pass %p, and run in the data directory", cause });
  }
}

/** Rejects where the name and the long header of the first page are of different WAL. */
export function checkSegment(name: string, bytes: Buffer): SegmentFile {
  const segment = name.slice(0, 24);
  const { timeline, address, systemIdentifier, segmentBytes } = readSegmentHeader(bytes, name);
  const parsed = parseSegmentName(segment, segmentBytes);
  if (parsed === null || segmentStart(parsed, segmentBytes) !== address || parsed.timeline < timeline)
    throw new HoldfastError("HF-OTHER-CLUSTER", `${name} holds WAL of ${formatLsn(lsn(address))} on timeline ${timeline}: its name and content differ`, {
      hint: "it was renamed, or is damaged; it was not stored",
    });
  return { segment, parsed, start: segmentStart(parsed, segmentBytes), systemIdentifier, segmentBytes };
}

function readSegmentHeader(bytes: Buffer, name: string): { timeline: number; address: bigint; systemIdentifier: string; segmentBytes: number } {
  if (bytes.length < 40 || (bytes.readUInt16LE(2) & 0x2) === 0)
    throw new HoldfastError("HF-WAL", `${name} does not begin as a WAL segment does`, { hint: "it is damaged or empty; it was not stored" });
  return { timeline: bytes.readUInt32LE(4), address: bytes.readBigUInt64LE(8), systemIdentifier: bytes.readBigUInt64LE(24).toString(), segmentBytes: bytes.readUInt32LE(32) };
}

/** The transactions and changes of segments, one after the other. Where they follow each other each is read once; else the one before is read again, if it is still there. */
export class SegmentScanner {
  #scanner: CommitScanner | null = null;
  /** What the scanner has come to. */
  #at: { systemIdentifier: string; timeline: number; next: Lsn } | null = null;

  /** `path`: where the segment lies. Never called before the one before has ended. */
  async scan(filePath: string, file: SegmentFile, bytes: Buffer): Promise<{ facts: CommitFacts; summary: WalSummary | null }> {
    const { systemIdentifier, parsed, start, segmentBytes } = file;
    const at = this.#at;
    const follows = at?.systemIdentifier === systemIdentifier && at.timeline === parsed.timeline && at.next === start;
    const scanner = this.#scanner !== null && follows ? this.#scanner : await beginBefore(filePath, file);
    [this.#scanner, this.#at] = [null, null];
    scanner.push(bytes);
    const facts = scanner.take(start);
    [this.#scanner, this.#at] = [scanner, { systemIdentifier, timeline: parsed.timeline, next: addBytes(start, segmentBytes) }];
    return { facts, summary: scanner.summary };
  }
}

/** The record that a segment begins in the middle of is known only with the segment before, which usually still lies beside it. */
async function beginBefore(filePath: string, { systemIdentifier, parsed, start, segmentBytes }: SegmentFile): Promise<CommitScanner> {
  const before = lsn(start === 0n ? 0n : start - BigInt(segmentBytes));
  const name = segmentName({ timeline: parsed.timeline, number: before / BigInt(segmentBytes) }, segmentBytes);
  const previous = await readFile(path.join(path.dirname(filePath), name)).catch(() => null);
  // It may be recycled already, and hold something else under this name.
  const isPrevious = previous?.length === segmentBytes && previous.readBigUInt64LE(8) === before && previous.readBigUInt64LE(24).toString() === systemIdentifier && before < start;
  const scanner = new CommitScanner(isPrevious ? before : start, segmentBytes);
  if (!isPrevious) return scanner;
  scanner.push(previous);
  scanner.take(before);
  return scanner;
}
