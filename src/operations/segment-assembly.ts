import { addBytes, formatLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { formatMicros } from "../domain/timestamp.ts";
import type { Micros } from "../domain/timestamp.ts";
import { segmentAt, segmentName } from "../domain/wal-segment.ts";
import { HoldfastError } from "../errors.ts";
import { markOf, WalWalker } from "../postgres/wal-records.ts";
import type { SegmentLedger, WalPlace } from "../repository/wal-archive.ts";

/** What the records that end in one segment say about transactions. */
export interface CommitFacts {
  commits: number;
  minCommitAt: Micros | null;
  maxCommitAt: Micros | null;
}

/** Reads commit facts from WAL as it passes, segment by segment. A record counts in the segment where it ends: only there is it known. */
export class CommitScanner {
  readonly #walker: WalWalker;
  readonly #segmentBytes: number;
  readonly #facts = new Map<bigint, CommitFacts>();

  constructor(start: Lsn, segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
    this.#walker = new WalWalker(start, {
      segmentBytes,
      checkCrc: false,
      visit: (record) => {
        const mark = markOf(record);
        if (mark === null || mark.kind === "restore-point") return;
        const facts = this.#of((record.end - 1n) / BigInt(segmentBytes));
        facts.commits++;
        if (facts.minCommitAt === null || mark.at < facts.minCommitAt) facts.minCommitAt = mark.at;
        if (facts.maxCommitAt === null || mark.at > facts.maxCommitAt) facts.maxCommitAt = mark.at;
      },
    });
  }

  push(bytes: Buffer): void {
    this.#walker.push(bytes);
  }

  /** The facts of a segment that is complete; forgets it. */
  take(start: Lsn): CommitFacts {
    const number = start / BigInt(this.#segmentBytes);
    const facts = this.#of(number);
    this.#facts.delete(number);
    return facts;
  }

  #of(number: bigint): CommitFacts {
    let facts = this.#facts.get(number);
    if (facts === undefined) this.#facts.set(number, (facts = { commits: 0, minCommitAt: null, maxCommitAt: null }));
    return facts;
  }
}

export function ledgerOf(place: WalPlace, timeline: number, start: Lsn, facts: CommitFacts, via: SegmentLedger["via"]): Omit<SegmentLedger, "follows"> {
  return {
    timeline,
    systemIdentifier: place.systemIdentifier,
    segment: segmentName(segmentAt(timeline, start, place.segmentBytes), place.segmentBytes),
    startLsn: formatLsn(start),
    endLsn: formatLsn(addBytes(start, place.segmentBytes)),
    commits: facts.commits,
    minCommitAt: facts.minCommitAt === null ? null : formatMicros(facts.minCommitAt),
    maxCommitAt: facts.maxCommitAt === null ? null : formatMicros(facts.maxCommitAt),
    coveredUntil: null,
    via,
  };
}

/** The segment that is being received. */
export class SegmentAssembly {
  readonly timeline: number;
  readonly start: Lsn;
  readonly name: string;
  readonly bytes: Buffer;
  /** Bytes received. */
  filled = 0;
  /** Bytes that are durable as parts, from the start. */
  durable: number;
  /** Bytes that parts held when we began: what comes again must be the same. */
  readonly #known: Buffer;

  constructor(timeline: number, start: Lsn, segmentBytes: number, known: Buffer) {
    this.timeline = timeline;
    this.start = start;
    this.name = segmentName(segmentAt(timeline, start, segmentBytes), segmentBytes);
    this.bytes = Buffer.allocUnsafe(segmentBytes);
    this.#known = known;
    this.durable = known.length;
  }

  get position(): Lsn {
    return addBytes(this.start, this.filled);
  }

  get isComplete(): boolean {
    return this.filled === this.bytes.length;
  }

  /** Takes as much as fits; returns what is left. */
  take(bytes: Buffer): Buffer {
    const count = Math.min(bytes.length, this.bytes.length - this.filled);
    bytes.copy(this.bytes, this.filled, 0, count);
    const compared = Math.min(this.#known.length, this.filled + count);
    if (compared > this.filled && !this.bytes.subarray(this.filled, compared).equals(this.#known.subarray(this.filled, compared)))
      throw new HoldfastError("HF-DIVERGED", `the server sends other WAL for ${this.name} than it did before`, {
        hint: "two servers may believe to be the primary; what was stored is kept. Find out which one is right, then take a full backup of it",
        facts: { segment: this.name },
      });
    this.filled += count;
    return bytes.subarray(count);
  }
}
