import { systemClock } from "../../src/clock.ts";
import { addBytes, formatLsn, lsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";
import { segmentAt, segmentBefore, segmentName, segmentStart, timelineHex } from "../../src/domain/wal-segment.ts";
import { CopyView } from "../../src/operations/copy-view.ts";
import { CommitScanner, ledgerOf } from "../../src/operations/wal/segment-assembly.ts";
import { bindCluster, ensureBound } from "../../src/repository/binding.ts";
import { writeDocument } from "../../src/repository/document.ts";
import { keys } from "../../src/repository/layout.ts";
import { acquireLease } from "../../src/repository/lease.ts";
import type { ClusterManifest } from "../../src/repository/manifest.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { storeHistory, storePart, storeSegment } from "../../src/repository/wal-archive.ts";
import type { StoreOutcome, WalPlace } from "../../src/repository/wal-archive.ts";
import { SEGMENT_BYTES, SYSTEM_IDENTIFIER } from "./wal-builder.ts";
import type { WalBuilder } from "./wal-builder.ts";

const SOURCE = "db";
/** Puts WAL and heads of backups into a repository as the program does, without a server: for questions about what can be reached. */
export class WalFixture {
  readonly repository: WritableRepository;
  place: WalPlace = { source: SOURCE, systemIdentifier: SYSTEM_IDENTIFIER, segmentBytes: SEGMENT_BYTES };

  private constructor(repository: WritableRepository) {
    this.repository = repository;
  }

  static async open(repository: WritableRepository): Promise<WalFixture> {
    await ensureBound(repository, SOURCE, { kind: "postgres", systemIdentifier: SYSTEM_IDENTIFIER, version: 150_020, walSegmentBytes: SEGMENT_BYTES }, systemClock.now());
    return new WalFixture(repository);
  }

  /** From now on the source is another cluster. WAL is as the builder makes it, whose first page names the first one: nothing here reads that. */
  async bindTo(systemIdentifier: string, now: Date): Promise<void> {
    await bindCluster(this.repository, SOURCE, { kind: "postgres", systemIdentifier, version: 170_006, walSegmentBytes: SEGMENT_BYTES }, now);
    this.place = { ...this.place, systemIdentifier };
  }

  async view(): Promise<CopyView> {
    const view = await CopyView.open(this.repository, SOURCE);
    if (view === null) throw new Error("the source is not bound");
    return view;
  }

  /** Stores complete segments. `alone`: each as if nothing were known of the one before it. `summaries`: with what they changed. */
  async segments(wal: WalBuilder, numbers: readonly number[], { timeline = 1, alone = false, summaries = false } = {}): Promise<StoreOutcome[]> {
    const outcomes: StoreOutcome[] = [];
    let scanner: CommitScanner | null = null;
    for (const number of numbers) {
      const start = lsn(BigInt(number * SEGMENT_BYTES));
      scanner = scanner === null || alone ? new CommitScanner(start, SEGMENT_BYTES) : scanner;
      scanner.push(wal.segment(number));
      const ledger = ledgerOf(this.place, timeline, start, scanner.take(start), alone ? "push" : "stream");
      const options = { ...(await this.#options()), summary: summaries ? scanner.summary : null };
      outcomes.push(await storeSegment(this.repository, this.place, nameOf(timeline, number), wal.segment(number), ledger, options));
    }
    return outcomes;
  }

  /** Stores bytes of a segment that is being written. */
  async part(wal: WalBuilder, number: number, from: number, to: number, { timeline = 1, random = "00000000" } = {}): Promise<string> {
    return storePart(this.repository, this.place, nameOf(timeline, number), from, wal.segment(number).subarray(from, to), { ...(await this.#options()), random });
  }

  async history(timeline: number, content: string): Promise<StoreOutcome> {
    return storeHistory(this.repository, this.place, timeline, Buffer.from(content), await this.#options());
  }

  /** What the lease of the stream says is durable. */
  async streamPosition(position: { timeline: number; lsn: Lsn; coveredUntil: string | null }): Promise<void> {
    const lease = await acquireLease(this.repository, { scope: `${SOURCE}.wal`, runId: "stream", clock: systemClock });
    await lease.note({ ...position, systemIdentifier: this.place.systemIdentifier, lsn: formatLsn(position.lsn) });
    await lease.release();
  }

  /** The head of a backup that ran from one position to another. Nothing but its head exists. */
  async backup(id: string, start: Lsn, stop: Lsn, { timeline = 1, stopAt = "2026-01-01T12:00:00.000Z" } = {}): Promise<ClusterManifest> {
    const { systemIdentifier } = this.place;
    const manifest = manifestOf(id, { systemIdentifier, timeline, start, stop, stopAt, writer: this.repository.signer.fingerprint });
    await writeDocument(this.repository, keys.manifest(SOURCE, id), "manifest", manifest, this.repository.signer);
    return manifest;
  }

  async #options(): Promise<Parameters<typeof storeSegment>[5]> {
    return { dataKey: await this.repository.keyRing.sealNew(), now: systemClock.now() };
  }
}

export function nameOf(timeline: number, number: number): string {
  return segmentName({ timeline, number: BigInt(number) }, SEGMENT_BYTES);
}

export function startOf(number: number): Lsn {
  return segmentStart({ timeline: 1, number: BigInt(number) }, SEGMENT_BYTES);
}

/** A history file of one fork. */
export function historyFile(parent: number, fork: Lsn): string {
  return `${parent}\t${formatLsn(fork)}\tno recovery target specified\n`;
}

export function manifestOf(id: string, facts: { systemIdentifier?: string; timeline: number; start: Lsn; stop: Lsn; stopAt: string; writer: string }): ClusterManifest {
  const { systemIdentifier = SYSTEM_IDENTIFIER, timeline, start, stop, stopAt, writer } = facts;
  return {
    kind: "postgres",
    source: SOURCE,
    id,
    type: "full",
    sequence: 1,
    previous: null,
    parent: null,
    ancestors: [],
    postgres: {
      systemIdentifier,
      version: 150_020,
      catalogVersion: 202_209_061,
      blockSize: 8192,
      segmentBlocks: 131_072,
      walSegmentBytes: SEGMENT_BYTES,
      dataChecksums: true,
      timeline,
      inRecovery: false,
      bootstrapRole: "postgres",
    },
    start: { lsn: formatLsn(start), at: stopAt, checkpoint: formatLsn(addBytes(start, 56)) },
    stop: { lsn: formatLsn(stop), at: stopAt },
    wal: {
      timeline,
      first: segmentName(segmentAt(timeline, start, SEGMENT_BYTES), SEGMENT_BYTES),
      last: segmentName(segmentBefore(timeline, stop, SEGMENT_BYTES), SEGMENT_BYTES),
    },
    changeSource: "everything",
    changeSourceReason: `on timeline ${timelineHex(timeline)}`,
    state: "complete",
    corruptPages: 0,
    sizes: { sourceBytes: 0, readBytes: 0, storedBytes: 0, files: 0, extents: 0, changedBlocks: 0 },
    contents: { bytes: 0, sha256: "0".repeat(64) },
    root: { pack: 0, frame: 0, frames: 1 },
    dataKey: { keyId: "0".repeat(32), sealed: "" },
    mapKey: { id: "0".repeat(16), keyId: "0".repeat(32), sealed: "" },
    startedAt: stopAt,
    finishedAt: stopAt,
    durationSeconds: 1,
    writer,
    reader: "remote",
    program: "holdfast test",
  };
}
