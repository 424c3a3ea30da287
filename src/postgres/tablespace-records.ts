import { mainData } from "./wal-records.ts";
import type { WalRecord } from "./wal-records.ts";

const RMGR_TABLESPACE = 5;
const CREATE = 0x00;

/** A tablespace that replaying a record makes, at the very place it had on the source. */
export interface MadeTablespace {
  readonly oid: number;
  /** Absolute; relative where it is in place, inside the data directory. */
  readonly location: string;
}

/** The tablespace made by a record (commands/tablespace.h: its OID, then its path), or null for all others. */
export function tablespaceMadeBy(record: WalRecord): MadeTablespace | null {
  if (record.rmgr !== RMGR_TABLESPACE || (record.info & 0xf0) !== CREATE) return null;
  const data = mainData(record.bytes);
  if (data.length < 5) return null;
  const path = data.subarray(4);
  const end = path.indexOf(0);
  return { oid: data.readUInt32LE(0), location: path.subarray(0, end === -1 ? path.length : end).toString("utf8") };
}
