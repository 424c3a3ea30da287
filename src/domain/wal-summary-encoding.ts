import { lsn } from "./lsn.ts";
import { WalChanges, NO_LIMIT } from "./wal-changes.ts";
import type { ForkChanges } from "./wal-changes.ts";
import type { WalSummary } from "./wal-summary.ts";

/** "HFSUM", and the version of what follows. */
const MAGIC = [0x48, 0x46, 0x53, 0x55, 0x4d, 0, 0, 1];
const HEAD_BYTES = 8 + 3 * 8 + 4 + 4;
const DATABASE_BYTES = 8;
const FORK_HEAD_BYTES = 4 * 3 + 1 + 4 + 4;
/** A block reference takes at least eight bytes of WAL, and a segment is at most 1 GiB: more blocks than this are in no summary, save for a record that began long before. */
const MAX_BLOCKS = 2 ** 28;
const LAST_BLOCK = 0xfffffffe;
const FORKS = [0, 3];

/** The form in which a summary is stored (docs/repository-format.md section 8). One summary has one form. */
export function encodeSummary({ after, first, last, changes }: WalSummary): Uint8Array {
  const writer = new ByteWriter();
  for (const byte of MAGIC) writer.u8(byte);
  for (const position of [after, first, last]) writer.u64(position);
  const [databases, forks] = [changes.databases(), changes.forks()];
  writer.u32(databases.length);
  writer.u32(forks.length);
  for (const { tablespace, database } of databases) {
    writer.u32(tablespace);
    writer.u32(database);
  }
  for (const fork of forks) encodeFork(writer, fork);
  return writer.finish();
}

function encodeFork(writer: ByteWriter, { tablespace, database, relation, fork, limitBlock, blocks }: ForkChanges): void {
  for (const oid of [tablespace, database, relation]) writer.u32(oid);
  writer.u8(fork);
  writer.u32(limitBlock);
  const runs = [...blocks.runs()];
  writer.u32(runs.length);
  let next = 0;
  for (const { first, count } of runs) {
    writer.varint(first - next);
    writer.varint(count - 1);
    next = first + count;
  }
}

/** The summary, or null where the bytes are not one in its form. */
export function decodeSummary(bytes: Uint8Array): WalSummary | null {
  const reader = new ByteReader(bytes);
  if (!reader.has(HEAD_BYTES) || MAGIC.some((byte) => reader.u8() !== byte)) return null;
  const [after, first, last] = [lsn(reader.u64()), lsn(reader.u64()), lsn(reader.u64())];
  const [databases, forks] = [reader.u32(), reader.u32()];
  if (after >= first || first > last || !reader.has(databases * DATABASE_BYTES)) return null;
  const changes = new WalChanges();
  for (let i = 0; i < databases; i++) changes.replaceDatabase(reader.u32(), reader.u32());
  let left = MAX_BLOCKS;
  for (let i = 0; i < forks; i++) {
    const blocks = decodeFork(reader, changes, left);
    if (blocks === null) return null;
    left -= blocks;
  }
  const summary = { after, first, last, changes };
  // Anything that can be written in two ways (order, runs that touch, what is said twice) is not in its form.
  return reader.isAtEnd && sameBytes(encodeSummary(summary), bytes) ? summary : null;
}

/** How many blocks it names; null where it is not well-formed or names more than `left`. */
function decodeFork(reader: ByteReader, changes: WalChanges, left: number): number | null {
  if (!reader.has(FORK_HEAD_BYTES)) return null;
  const [tablespace, database, relation, fork] = [reader.u32(), reader.u32(), reader.u32(), reader.u8()];
  const [limitBlock, runs] = [reader.u32(), reader.u32()];
  if (!FORKS.includes(fork)) return null;
  changes.cut(tablespace, database, relation, fork, limitBlock);
  let [next, blocks] = [0, 0];
  for (let i = 0; i < runs; i++) {
    const [gap, rest] = [reader.varint(), reader.varint()];
    if (gap === null || rest === null) return null;
    const [first, end] = [next + gap, next + gap + rest + 1];
    blocks += end - first;
    if (end > Math.min(limitBlock, LAST_BLOCK + 1) || blocks > left) return null;
    for (let block = first; block < end; block++) changes.mark(tablespace, database, relation, fork, block);
    next = end;
  }
  return limitBlock === NO_LIMIT && blocks === 0 ? null : blocks;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

class ByteWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  u8(value: number): void {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }
  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }
  u64(value: bigint): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, value, true);
  }
  /** Seven bits a byte, low ones first, the top bit set on all but the last. */
  varint(value: number): void {
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.u8((rest % 128) | 128);
    this.u8(rest);
  }
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Where the next bytes go. It may move them all to another view. */
  #take(count: number): number {
    if (this.#length + count > this.#bytes.length) {
      const longer = new Uint8Array(this.#bytes.length * 2);
      longer.set(this.#bytes);
      this.#bytes = longer;
      this.#view = new DataView(longer.buffer);
    }
    this.#length += count;
    return this.#length - count;
  }
}

/** Reads what `has` said is there; varints look for themselves. */
class ByteReader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#view.byteLength;
  }
  has(count: number): boolean {
    return this.#at + count <= this.#view.byteLength;
  }
  u8(): number {
    return this.#view.getUint8(this.#at++);
  }
  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }
  u64(): bigint {
    this.#at += 8;
    return this.#view.getBigUint64(this.#at - 8, true);
  }
  varint(): number | null {
    let [value, factor] = [0, 1];
    for (let i = 0; i < 5; i++) {
      if (!this.has(1)) return null;
      const byte = this.u8();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
    return null;
  }
}
