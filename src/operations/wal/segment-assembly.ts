import { addBytes, formatLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { formatMicros } from "../../domain/timestamp.ts";
import type { LeveledPart } from "../../domain/part-levels.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { segmentAt, segmentName } from "../../domain/wal-segment.ts";
import type { WalSummary } from "../../domain/wal-summary.ts";
import { HoldfastError } from "../../errors.ts";
import { markOf, WalWalker } from "../../postgres/wal-records.ts";
import { WalSummarizer } from "../../postgres/wal-summarizer.ts";
import type { SegmentFacts, SegmentLedger, WalPlace } from "../../repository/wal-archive.ts";

/** What the records that end in one segment say about transactions. */
export interface CommitFacts {
  commits: number;
  minCommitAt: Micros | null;
  maxCommitAt: Micros | null;
  /** Every record that ends in the segment was read. Where not, it may hold transactions that are not counted. */
  whole: boolean;
}

/** Reads commit facts and changes from WAL as it passes, segment by segment. A record counts in the segment where it ends: only there is it known. */
export class CommitScanner {
  readonly #segmentBytes: number;
  #walker: WalWalker;
  #facts = noCommits();
  readonly #summarizer = new WalSummarizer();
  #summary: WalSummary | null = null;

  /** `start`: the beginning of a segment. */
  constructor(start: Lsn, segmentBytes: number) {
    this.#segmentBytes = segmentBytes;
    this.#walker = this.#walkFrom(start);
  }

  /** True where a record does not follow the one before: the WAL is of another history than what was pushed before. */
  get isOtherHistory(): boolean {
    return this.#walker.stopped === "other-history";
  }

  /** What the records that end in the segment last taken changed. Null where none does, or one could not be read. */
  get summary(): WalSummary | null {
    return this.#summary;
  }

  /** Bytes of one segment; the next one's only after `take`. */
  push(bytes: Buffer): void {
    this.#walker.push(bytes);
  }

  /** The facts of the segment that begins at `start`, all of which was pushed. */
  take(start: Lsn): CommitFacts {
    const end = addBytes(start, this.#segmentBytes);
    const { stopped, passedOver } = this.#walker;
    const facts = { ...this.#facts, whole: stopped === null && (passedOver === null || (passedOver.end !== null && passedOver.end <= start)) };
    this.#facts = noCommits();
    const summary = this.#summarizer.take();
    this.#summary = stopped === null ? summary : null;
    // What cannot be read here says nothing about what comes after.
    if (stopped !== null) this.#walker = this.#walkFrom(end);
    return facts;
  }

  #walkFrom(start: Lsn): WalWalker {
    return new WalWalker(start, {
      segmentBytes: this.#segmentBytes,
      checkCrc: true,
      visit: (record) => {
        this.#summarizer.add(record);
        const mark = markOf(record);
        if (mark === null || mark.kind === "restore-point") return;
        const facts = this.#facts;
        facts.commits++;
        if (facts.minCommitAt === null || mark.at < facts.minCommitAt) facts.minCommitAt = mark.at;
        if (facts.maxCommitAt === null || mark.at > facts.maxCommitAt) facts.maxCommitAt = mark.at;
      },
    });
  }
}

function noCommits(): CommitFacts {
  return { commits: 0, minCommitAt: null, maxCommitAt: null, whole: false };
}

export function ledgerOf(place: WalPlace, timeline: number, start: Lsn, facts: CommitFacts, via: SegmentLedger["via"]): SegmentFacts {
  return {
    timeline,
    systemIdentifier: place.systemIdentifier,
    segment: segmentName(segmentAt(timeline, start, place.segmentBytes), place.segmentBytes),
    startLsn: formatLsn(start),
    endLsn: formatLsn(addBytes(start, place.segmentBytes)),
    commits: facts.commits,
    minCommitAt: facts.minCommitAt === null ? null : formatMicros(facts.minCommitAt),
    maxCommitAt: facts.maxCommitAt === null ? null : formatMicros(facts.maxCommitAt),
    whole: facts.whole,
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
  /** The parts that were made of what was received here, in order and without overlap. */
  parts: readonly LeveledPart[] = [];
  /** Parts of them that a longer one holds too, and since when. */
  replaced: readonly { readonly object: string; readonly sinceMs: number }[] = [];
  /** Parts that were there before. */
  partsBefore: readonly string[];
  /** Bytes that parts held when we began: what comes again must be the same. */
  readonly #known: Buffer;

  constructor(timeline: number, start: Lsn, segmentBytes: number, known: Buffer, partsBefore: readonly string[] = []) {
    this.timeline = timeline;
    this.start = start;
    this.name = segmentName(segmentAt(timeline, start, segmentBytes), segmentBytes);
    this.bytes = Buffer.allocUnsafe(segmentBytes);
    this.#known = known;
    this.partsBefore = partsBefore;
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
