import { lsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { mainData } from "./wal-records.ts";
import type { WalRecord } from "./wal-records.ts";

const XLOG_RMGR = 0;
const SHUTDOWN = 0x00;
const ONLINE = 0x10;
/** In CheckPoint (catalog/pg_control.h), the same in 13 to 18. */
const NEXT_XID_AT = 24;

/** What recovery from a checkpoint begins with. */
export interface CheckpointRecord {
  readonly redo: Lsn;
  /** The first transaction that had not begun at `redo`, with its epoch. */
  readonly nextXid: bigint;
}

/** The checkpoint that a record tells of, or null for all others. */
export function checkpointOf(record: WalRecord): CheckpointRecord | null {
  const kind = record.info & 0xf0;
  if (record.rmgr !== XLOG_RMGR || (kind !== SHUTDOWN && kind !== ONLINE)) return null;
  const data = mainData(record.bytes);
  if (data.length < NEXT_XID_AT + 8) return null;
  return { redo: lsn(data.readBigUInt64LE(0)), nextXid: data.readBigUInt64LE(NEXT_XID_AT) };
}
