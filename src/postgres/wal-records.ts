import { lsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { micros } from "../domain/timestamp.ts";
import type { Micros } from "../domain/timestamp.ts";
import { recordCrc } from "./record-crc.ts";

/**
 * Walks the records in WAL as it comes: pages in, records out (access/xlogrecord.h, access/xlog_internal.h; PostgreSQL 13 to 18). A record that lies in one page is
 * looked at in place; only one that crosses pages is put together.
 */
export const WAL_PAGE_BYTES = 8192;
const SHORT_HEADER = 24;
const LONG_HEADER = 40;
const RECORD_HEADER = 24;
const FLAG_CONTINUED = 0x1;
const FLAG_LONG = 0x2;
const FLAG_OVERWRITE = 0x8;
/** Larger than any record the server makes; a length beyond it is not one. */
const MAX_RECORD_BYTES = 1 << 30;

/** Page magic by major version: the structures below hold for these and are not assumed for others. */
const MAGIC_MAJORS = new Map([
  [0xd106, 13],
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
]);

const RMGR = { xlog: 0, xact: 1 } as const;
const XLOG_SWITCH = 0x40;
const XLOG_RESTORE_POINT = 0x70;
const XACT_KINDS: Record<number, "commit" | "abort"> = { 0x00: "commit", 0x20: "abort", 0x30: "commit", 0x40: "abort" };

/** A record as it lies in WAL. `bytes` is only valid during the call. */
export interface WalRecord {
  readonly start: Lsn;
  /** First byte after it, before alignment. */
  readonly end: Lsn;
  readonly rmgr: number;
  readonly info: number;
  readonly xid: number;
  readonly prev: Lsn;
  readonly bytes: Buffer;
  /** Major version of the server that wrote it. */
  readonly major: number;
}

export type WalVisitor = (record: WalRecord) => void;

/** Why walking stopped: the WAL ends here, or what follows is not WAL. */
export type WalStop = "zeros" | "bad-page" | "bad-record" | "other-history" | null;

export class WalWalker {
  readonly #visit: WalVisitor;
  readonly #segmentBytes: number;
  readonly #checkCrc: boolean;
  /** Position of the next byte to come. */
  #at: bigint;
  readonly #page = Buffer.alloc(WAL_PAGE_BYTES);
  #pageFill = 0;
  /** How much of the current page was walked. */
  #walked = 0;
  #pageReady = false;
  #started = false;
  /** The record being put together across pages. */
  #partial: Buffer | null = null;
  #partialFill = 0;
  #partialStart = 0n;
  /** Bytes of a record that began before we did. */
  #skip = 0;
  #skipToSegmentEnd = false;
  #major = 0;
  stopped: WalStop = null;
  /** Where the rest of a record that began before `start` ends: it was passed over. Null where there is none. */
  passedOver: { end: Lsn | null } | null = null;
  lastEnd: Lsn | null = null;
  lastStart: Lsn | null = null;

  /** `start` must be the beginning of a page. */
  constructor(start: Lsn, options: { segmentBytes: number; checkCrc: boolean; visit: WalVisitor }) {
    this.#at = start;
    this.#segmentBytes = options.segmentBytes;
    this.#checkCrc = options.checkCrc;
    this.#visit = options.visit;
  }

  /** Feeds bytes that follow the ones before. */
  push(bytes: Buffer): void {
    for (let offset = 0; offset < bytes.length && this.stopped === null;) {
      const take = Math.min(WAL_PAGE_BYTES - this.#pageFill, bytes.length - offset);
      // Whole pages are walked where they lie.
      if (this.#pageFill === 0 && take === WAL_PAGE_BYTES) this.#walk(bytes.subarray(offset, offset + WAL_PAGE_BYTES));
      else {
        bytes.copy(this.#page, this.#pageFill, offset, offset + take);
        this.#pageFill += take;
        this.#walk(this.#page.subarray(0, this.#pageFill));
        if (this.#pageFill === WAL_PAGE_BYTES) this.#pageFill = 0;
      }
      offset += take;
    }
  }

  /** Walks a page as far as it is there; called again with more of the same page. */
  #walk(page: Buffer): void {
    if (!this.#pageReady) {
      if (page.length < LONG_HEADER) return;
      this.#beginPage(page);
      if (this.stopped !== null) return;
    }
    const pageStart = this.#at;
    while (this.#walked < page.length && this.stopped === null) {
      const before = this.#walked;
      if (this.#skipToSegmentEnd) this.#walked = page.length;
      else if (this.#skip > 0) this.#skipRest(page);
      else if (this.#partial !== null) this.#continuePartial(page);
      else this.#nextRecord(page, pageStart);
      if (this.#walked === before) break;
    }
    if (page.length < WAL_PAGE_BYTES) return;
    this.#at = pageStart + BigInt(WAL_PAGE_BYTES);
    this.#walked = 0;
    this.#pageReady = false;
    if (this.#skipToSegmentEnd && this.#at % BigInt(this.#segmentBytes) === 0n) this.#skipToSegmentEnd = false;
  }

  #beginPage(page: Buffer): void {
    if (this.#skipToSegmentEnd) {
      this.#pageReady = true;
      return;
    }
    const [magic, flags] = [page.readUInt16LE(0), page.readUInt16LE(2)];
    if (magic === 0) return this.#stop("zeros");
    const major = MAGIC_MAJORS.get(magic);
    if (major === undefined || page.readBigUInt64LE(8) !== this.#at) return this.#stop("bad-page");
    this.#major = major;
    const rest = page.readUInt32LE(16);
    this.#walked = (flags & FLAG_LONG) === 0 ? SHORT_HEADER : LONG_HEADER;
    this.#pageReady = true;
    if ((flags & FLAG_OVERWRITE) !== 0) {
      // After a crash the server writes over a record whose rest was lost: what we hold of it counts for nothing.
      this.#partial = null;
      if (this.#skip > 0) this.passedOver = { end: lsn(this.#at) };
      this.#skip = 0;
    } else if (!this.#started && (flags & FLAG_CONTINUED) !== 0) {
      this.#skip = rest;
      this.passedOver = { end: null };
    } else if (this.#partial !== null && ((flags & FLAG_CONTINUED) === 0 || rest !== this.#partial.length - this.#partialFill)) this.#stop("bad-page");
    this.#started = true;
  }

  #skipRest(page: Buffer): void {
    const take = Math.min(this.#skip, page.length - this.#walked);
    this.#skip -= take;
    this.#walked += take;
    if (this.#skip > 0) return;
    this.passedOver = { end: lsn(this.#at + BigInt(this.#walked)) };
    this.#align();
  }

  #nextRecord(page: Buffer, pageStart: bigint): void {
    if (page.length - this.#walked < 8) {
      if (page.length === WAL_PAGE_BYTES) this.#walked = page.length;
      return;
    }
    const length = page.readUInt32LE(this.#walked);
    if (length === 0) return this.#stop("zeros");
    if (length < RECORD_HEADER || length > MAX_RECORD_BYTES) return this.#stop("bad-record");
    const start = pageStart + BigInt(this.#walked);
    if (this.#walked + length <= page.length) {
      this.#emit(page.subarray(this.#walked, this.#walked + length), start, start + BigInt(length));
      this.#walked += length;
      this.#align();
      return;
    }
    // Put together only once the page is complete: a partial page is looked at again when more of it comes.
    if (page.length < WAL_PAGE_BYTES) return;
    this.#partial = Buffer.allocUnsafe(length);
    this.#partialStart = start;
    this.#partialFill = page.copy(this.#partial, 0, this.#walked);
    this.#walked = page.length;
  }

  #continuePartial(page: Buffer): void {
    const record = this.#partial as Buffer;
    const take = Math.min(record.length - this.#partialFill, page.length - this.#walked);
    page.copy(record, this.#partialFill, this.#walked, this.#walked + take);
    this.#partialFill += take;
    this.#walked += take;
    if (this.#partialFill < record.length) return;
    this.#partial = null;
    this.#emit(record, this.#partialStart, this.#at + BigInt(this.#walked));
    this.#align();
  }

  #align(): void {
    this.#walked = (this.#walked + 7) & ~7;
  }

  #emit(bytes: Buffer, start: bigint, end: bigint): void {
    // Each record names the one before it: where it does not, what follows is of another history, or left over from an older use of the file.
    if (this.lastStart !== null && bytes.readBigUInt64LE(8) !== this.lastStart) return this.#stop("other-history");
    if (this.#checkCrc && recordCrc(bytes) !== bytes.readUInt32LE(20)) return this.#stop("bad-record");
    const record = {
      start: lsn(start),
      end: lsn(end),
      rmgr: bytes.readUInt8(17),
      info: bytes.readUInt8(16),
      xid: bytes.readUInt32LE(4),
      prev: lsn(bytes.readBigUInt64LE(8)),
      bytes,
      major: this.#major,
    };
    this.lastStart = record.start;
    this.lastEnd = record.end;
    this.#visit(record);
    // After a switch the rest of the segment is empty.
    if (record.rmgr === RMGR.xlog && (record.info & 0xf0) === XLOG_SWITCH) this.#skipToSegmentEnd = true;
  }

  #stop(why: WalStop): void {
    this.stopped = why;
  }
}

/** What recovery can be aimed at: the end of a transaction, or a named point. */
export type WalMark =
  | { readonly kind: "commit" | "abort"; readonly at: Micros; readonly xid: number; readonly start: Lsn; readonly end: Lsn; readonly prev: Lsn }
  | { readonly kind: "restore-point"; readonly at: Micros; readonly name: string; readonly start: Lsn; readonly end: Lsn; readonly prev: Lsn };

/** The mark in a record, or null for all others. */
export function markOf(record: WalRecord): WalMark | null {
  const { rmgr, info, start, end, prev } = record;
  if (rmgr === RMGR.xact) {
    const kind = XACT_KINDS[info & 0x70];
    if (kind === undefined) return null;
    const data = mainData(record.bytes);
    return data.length < 8 ? null : { kind, at: timestampOf(data), xid: transactionOf(record, data), start, end, prev };
  }
  if (rmgr !== RMGR.xlog || (info & 0xf0) !== XLOG_RESTORE_POINT) return null;
  const data = mainData(record.bytes);
  if (data.length < 72) return null;
  const name = data.subarray(8, 72).toString("utf8");
  return { kind: "restore-point", at: timestampOf(data), name: name.slice(0, name.indexOf("\0")), start, end, prev };
}

/** COMMIT PREPARED and ROLLBACK PREPARED carry the transaction in their data (xl_xact_parsed: xinfo, optional parts, then the two-phase xid); the record's own is 0. */
function transactionOf(record: WalRecord, data: Buffer): number {
  if (record.xid !== 0 || (record.info & 0x80) === 0 || data.length < 12) return record.xid;
  return twoPhaseXid(data, record) ?? 0;
}

const XINFO = { dbInfo: 1 << 0, subxacts: 1 << 1, relfilenodes: 1 << 2, invals: 1 << 3, twophase: 1 << 4, stats: 1 << 8 } as const;

function twoPhaseXid(data: Buffer, record: WalRecord): number | null {
  const xinfo = data.readUInt32LE(8);
  if ((xinfo & XINFO.twophase) === 0) return null;
  let at = 12;
  if ((xinfo & XINFO.dbInfo) !== 0) at += 8;
  if ((xinfo & XINFO.subxacts) !== 0) at += 4 + data.readInt32LE(at) * 4;
  if ((xinfo & XINFO.relfilenodes) !== 0) at += 4 + data.readInt32LE(at) * 12;
  if ((xinfo & XINFO.stats) !== 0) at += 4 + data.readInt32LE(at) * (record.major >= 18 ? 16 : 12);
  if ((record.info & 0x70) === 0x30 && (xinfo & XINFO.invals) !== 0) at += 4 + data.readInt32LE(at) * 16;
  return at + 4 <= data.length ? data.readUInt32LE(at) : null;
}

/** The main data of a record without block references: the last bytes, after headers by id (access/xlogrecord.h). */
export function mainData(bytes: Buffer): Buffer {
  let at = RECORD_HEADER;
  while (at < bytes.length) {
    const id = bytes.readUInt8(at);
    if (id === 255) return bytes.subarray(bytes.length - bytes.readUInt8(at + 1));
    if (id === 254) return bytes.subarray(bytes.length - bytes.readUInt32LE(at + 1));
    if (id === 253) at += 3;
    else if (id === 252) at += 5;
    else break;
  }
  return bytes.subarray(bytes.length);
}

const POSTGRES_EPOCH_MICROS = BigInt(Date.UTC(2000, 0, 1)) * 1000n;

function timestampOf(data: Buffer): Micros {
  return fromPostgresTime(data.readBigInt64LE(0));
}

/** PostgreSQL counts microseconds from the year 2000. */
export function fromPostgresTime(value: bigint): Micros {
  return micros(POSTGRES_EPOCH_MICROS + value);
}
