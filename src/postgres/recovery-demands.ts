import type { ControlFile } from "./control-file.ts";
import type { WalRecord } from "./wal-records.ts";

/**
 * Settings that must be at least as large where WAL is replayed as they were where it was written (RecoveryRequiresIntParameter). The source may have been restarted
 * with larger ones after the backup: replay with the backup's would pause for ever at that place (14 and newer) or end (13).
 */
export type RecoveryDemands = Pick<ControlFile, "maxConnections" | "maxWorkerProcesses" | "maxWalSenders" | "maxPreparedTransactions" | "maxLocksPerTransaction">;

export const NO_DEMANDS: RecoveryDemands = { maxConnections: 0, maxWorkerProcesses: 0, maxWalSenders: 0, maxPreparedTransactions: 0, maxLocksPerTransaction: 0 };

const XLOG_RMGR = 0;
const PARAMETER_CHANGE = 0x60;
/** A record without block references: header, one byte that says so, one for the length, then the data (access/xlogrecord.h). */
const DATA_AT = 26;
const SHORT_DATA = 255;
const FIELDS_BYTES = 20;

/** What a record says the source was restarted with (xl_parameter_change, the same in 13 to 18); null for all other records. */
export function demandsOf({ rmgr, info, bytes }: WalRecord): RecoveryDemands | null {
  if (rmgr !== XLOG_RMGR || (info & 0xf0) !== PARAMETER_CHANGE || bytes.length < DATA_AT + FIELDS_BYTES || bytes.readUInt8(DATA_AT - 2) !== SHORT_DATA) return null;
  const field = (n: number): number => bytes.readInt32LE(DATA_AT + n * 4);
  return { maxConnections: field(0), maxWorkerProcesses: field(1), maxWalSenders: field(2), maxPreparedTransactions: field(3), maxLocksPerTransaction: field(4) };
}

/** What satisfies both. */
export function higherDemands(a: RecoveryDemands, b: RecoveryDemands): RecoveryDemands {
  return {
    maxConnections: Math.max(a.maxConnections, b.maxConnections),
    maxWorkerProcesses: Math.max(a.maxWorkerProcesses, b.maxWorkerProcesses),
    maxWalSenders: Math.max(a.maxWalSenders, b.maxWalSenders),
    maxPreparedTransactions: Math.max(a.maxPreparedTransactions, b.maxPreparedTransactions),
    maxLocksPerTransaction: Math.max(a.maxLocksPerTransaction, b.maxLocksPerTransaction),
  };
}
