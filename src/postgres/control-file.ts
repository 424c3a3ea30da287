import { crc32c } from "@node-rs/crc32";
import { lsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";

/** What we read of `global/pg_control` (PostgreSQL 13 to 18; catalog/pg_control.h). */
export interface ControlFile {
  readonly systemIdentifier: string;
  readonly controlVersion: number;
  readonly catalogVersion: number;
  readonly state: ClusterState;
  readonly checkpoint: Lsn;
  readonly redo: Lsn;
  readonly timeline: number;
  readonly minRecoveryPoint: Lsn;
  readonly minRecoveryTimeline: number;
  readonly maxConnections: number;
  readonly maxWorkerProcesses: number;
  readonly maxWalSenders: number;
  readonly maxPreparedTransactions: number;
  readonly maxLocksPerTransaction: number;
  readonly walLevel: "minimal" | "replica" | "logical";
  readonly walLogHints: boolean;
  readonly trackCommitTimestamp: boolean;
  readonly blockSize: number;
  /** Blocks in one segment file of a relation. */
  readonly segmentBlocks: number;
  readonly walSegmentBytes: number;
  readonly dataChecksums: boolean;
}

const STATES = ["starting up", "shut down", "shut down in recovery", "shutting down", "in crash recovery", "in archive recovery", "in production"] as const;
type ClusterState = (typeof STATES)[number];

/** The CRC comes last; 18 has one more field before it. Wherever it fits, the layout before it is the same. */
const CRC_OFFSETS = [288, 292];

/** Null if the checksum does not fit: torn while being written (read it again), or damaged. */
export function parseControlFile(bytes: Buffer): ControlFile | null {
  if (bytes.length < 296 || !CRC_OFFSETS.some((at) => crc32c(bytes.subarray(0, at)) === bytes.readUInt32LE(at))) return null;
  const position = (at: number): Lsn => lsn(bytes.readBigUInt64LE(at));
  const state = STATES[bytes.readUInt32LE(16)];
  const walLevel = (["minimal", "replica", "logical"] as const)[bytes.readInt32LE(172)];
  if (state === undefined || walLevel === undefined) return null;
  return {
    systemIdentifier: bytes.readBigUInt64LE(0).toString(),
    controlVersion: bytes.readUInt32LE(8),
    catalogVersion: bytes.readUInt32LE(12),
    state,
    checkpoint: position(32),
    redo: position(40),
    timeline: bytes.readUInt32LE(48),
    minRecoveryPoint: position(136),
    minRecoveryTimeline: bytes.readUInt32LE(144),
    walLevel,
    walLogHints: bytes.readUInt8(176) !== 0,
    maxConnections: bytes.readInt32LE(180),
    maxWorkerProcesses: bytes.readInt32LE(184),
    maxWalSenders: bytes.readInt32LE(188),
    maxPreparedTransactions: bytes.readInt32LE(192),
    maxLocksPerTransaction: bytes.readInt32LE(196),
    trackCommitTimestamp: bytes.readUInt8(200) !== 0,
    blockSize: bytes.readUInt32LE(216),
    segmentBlocks: bytes.readUInt32LE(220),
    walSegmentBytes: bytes.readUInt32LE(228),
    dataChecksums: bytes.readUInt32LE(252) !== 0,
  };
}
