import { crc32c } from "@node-rs/crc32";
import { lsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";

/** The smallest segments a server can have, so that a test of many is quick. */
export const SEGMENT_BYTES = 1 << 20;
export const SYSTEM_IDENTIFIER = "7300000000000000001";
const PAGE_BYTES = 8192;
const MAGIC_OF_15 = 0xd110;
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);

/**
 * WAL as PostgreSQL 15 writes it, made to measure: a record can be put where a test wants it, across a page or a segment. That it is what the server writes is tested where
 * real WAL is read; this is for cases a real server makes once in a thousand times.
 */
export class WalBuilder {
  readonly #bytes: Buffer;
  readonly #start: bigint;
  readonly #timeline: number;
  #at: bigint;
  #previous: bigint;

  /** `after`: where the last record before began. */
  constructor(options: { segments: number; firstSegment?: number; timeline?: number; after?: Lsn }) {
    this.#start = BigInt(options.firstSegment ?? 1) * BigInt(SEGMENT_BYTES);
    this.#bytes = Buffer.alloc(options.segments * SEGMENT_BYTES);
    this.#timeline = options.timeline ?? 1;
    this.#at = this.#start;
    this.#previous = options.after ?? 0n;
    this.#enterPage(0);
  }

  /** Where the next record begins. */
  get position(): Lsn {
    return lsn(this.#at);
  }

  /** Content of a segment, by its number. */
  segment(number: number): Buffer {
    const from = number * SEGMENT_BYTES - Number(this.#start);
    return this.#bytes.subarray(from, from + SEGMENT_BYTES);
  }

  commit(xid: number, at: Date): Lsn {
    return this.#record(1, 0x00, xid, timeOf(at));
  }

  restorePoint(name: string, at: Date): Lsn {
    const data = Buffer.alloc(72);
    timeOf(at).copy(data);
    data.write(name, 8);
    return this.#record(0, 0x70, 0, data);
  }

  /** A record that means nothing, of `bytes` in all: at least 32. */
  filler(bytes: number): Lsn {
    const long = bytes - 24 - 2 > 255;
    return this.#record(0, 0x20, 0, Buffer.alloc(bytes - 24 - (long ? 5 : 2), 7));
  }

  /** A record that changes blocks of relation 1663/5/`relation`. */
  change(relation: number, ...blocks: readonly number[]): Lsn {
    const headers = blocks.map((block, id) => {
      const header = Buffer.alloc(20);
      header.writeUInt8(id, 0);
      header.writeUInt32LE(1663, 4);
      header.writeUInt32LE(5, 8);
      header.writeUInt32LE(relation, 12);
      header.writeUInt32LE(block, 16);
      return header;
    });
    return this.#append(10, 0x00, 700, Buffer.concat(headers));
  }

  /** A record of a resource manager that nobody knows. */
  unknown(): Lsn {
    return this.#append(99, 0x00, 0, Buffer.alloc(0));
  }

  /** Fills up, so that the next record begins `before` bytes before the end of the segment it is in now (0: as the first of the next one). */
  fillToEnd(before: number): void {
    const end = (this.#at / BigInt(SEGMENT_BYTES) + 1n) * BigInt(SEGMENT_BYTES);
    const target = end - BigInt(before);
    while (target - this.#at > 4000n) this.filler(1024);
    // The rest lies in one or two pages: a record of this length, but for a page header in between.
    const headers = this.#at / 8192n === (target - 1n) / 8192n ? 0n : 24n;
    const rest = Number(target - this.#at - headers);
    if (rest > 0) this.filler(rest);
    if (before > 0 && this.#at !== target) throw new Error(`the next record begins at ${this.#at}, not at ${target}`);
  }

  #record(rmgr: number, info: number, xid: number, data: Buffer): Lsn {
    const head = data.length > 255 ? Buffer.from([254, 0, 0, 0, 0]) : Buffer.from([255, data.length]);
    if (data.length > 255) head.writeUInt32LE(data.length, 1);
    return this.#append(rmgr, info, xid, Buffer.concat([head, data]));
  }

  #append(rmgr: number, info: number, xid: number, body: Buffer): Lsn {
    const record = Buffer.concat([Buffer.alloc(24), body]);
    record.writeUInt32LE(record.length, 0);
    record.writeUInt32LE(xid, 4);
    record.writeBigUInt64LE(this.#previous, 8);
    record.writeUInt8(info, 16);
    record.writeUInt8(rmgr, 17);
    record.writeUInt32LE(crc32c(record.subarray(0, 20), crc32c(record.subarray(24))), 20);
    const start = this.#at;
    this.#previous = start;
    this.#write(record);
    return lsn(start);
  }

  #write(record: Buffer): void {
    for (let done = 0; done < record.length;) {
      const room = PAGE_BYTES - Number(this.#at % BigInt(PAGE_BYTES));
      const take = Math.min(room, record.length - done);
      record.copy(this.#bytes, Number(this.#at - this.#start), done, done + take);
      done += take;
      this.#at += BigInt(take);
      if (take === room) this.#enterPage(record.length - done);
    }
    this.#at = (this.#at + 7n) & ~7n;
    if (this.#at % BigInt(PAGE_BYTES) === 0n) this.#enterPage(0);
  }

  /** The header of the page that begins here; `rest`: bytes of a record that continue on it. */
  #enterPage(rest: number): void {
    const at = Number(this.#at - this.#start);
    if (at >= this.#bytes.length) return;
    const isFirst = this.#at % BigInt(SEGMENT_BYTES) === 0n;
    const page = this.#bytes.subarray(at);
    page.writeUInt16LE(MAGIC_OF_15, 0);
    page.writeUInt16LE((isFirst ? 2 : 0) | (rest > 0 ? 1 : 0), 2);
    page.writeUInt32LE(this.#timeline, 4);
    page.writeBigUInt64LE(this.#at, 8);
    page.writeUInt32LE(rest, 16);
    if (isFirst) {
      page.writeBigUInt64LE(BigInt(SYSTEM_IDENTIFIER), 24);
      page.writeUInt32LE(SEGMENT_BYTES, 32);
      page.writeUInt32LE(PAGE_BYTES, 36);
    }
    this.#at += isFirst ? 40n : 24n;
  }
}

function timeOf(at: Date): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(at.getTime() - POSTGRES_EPOCH_MS) * 1000n);
  return bytes;
}
