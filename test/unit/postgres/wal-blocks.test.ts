import { describe, expect, test } from "vitest";
import { lsn } from "../../../src/domain/lsn.ts";
import { WalChanges } from "../../../src/domain/wal-changes.ts";
import { addChangesOf } from "../../../src/postgres/wal-blocks.ts";
import type { WalRecord } from "../../../src/postgres/wal-records.ts";
import { linesOf } from "../../support/wal-changes.ts";

/** Records by hand, for what no server at hand writes: other versions, extensions, damage. */
interface Parts {
  readonly major?: number;
  readonly rmgr: number;
  readonly info?: number;
  readonly headers?: Buffer;
  readonly payload?: Buffer;
  readonly main?: Buffer;
}

function record({ major = 15, rmgr, info = 0, headers = Buffer.alloc(0), payload = Buffer.alloc(0), main = Buffer.alloc(0) }: Parts): WalRecord {
  const mainHeader = main.length === 0 ? Buffer.alloc(0) : Buffer.from([255, main.length]);
  const bytes = Buffer.concat([Buffer.alloc(24), headers, mainHeader, payload, main]);
  return { start: lsn(100n), end: lsn(100n + BigInt(bytes.length)), rmgr, info, xid: 0, prev: lsn(50n), bytes, major };
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, i * 4);
  return bytes;
}

/** A block header: relation 1663/5/`relation`, or the one before. */
function block(id: number, number: number, { relation, fork = 0, dataBytes = 0, image }: { relation?: number; fork?: number; dataBytes?: number; image?: Buffer } = {}): Buffer {
  const flags = fork | (image === undefined ? 0 : 0x10) | (dataBytes > 0 ? 0x20 : 0) | (relation === undefined ? 0x80 : 0);
  const head = Buffer.from([id, flags, dataBytes & 255, dataBytes >> 8]);
  return Buffer.concat([head, image ?? Buffer.alloc(0), relation === undefined ? Buffer.alloc(0) : u32(1663, 5, relation), u32(number)]);
}

function imageHeader(length: number, info: number, ...holeLength: readonly number[]): Buffer {
  return Buffer.from([length & 255, length >> 8, 0, 0, info, ...holeLength]);
}

function outcome(parts: Parts): string | string[] {
  const changes = new WalChanges();
  return addChangesOf(record(parts), changes) ?? linesOf(changes);
}

const HEAP = 10;
const cut = (relation: number, limit: number, fork = 0): string => `1663/5/${relation} fork ${fork} cut at ${limit}: `;
const named = (relation: number, ...blocks: readonly number[]): string => `1663/5/${relation} fork 0 cut at 4294967295: ${blocks.join(" ")}`;

describe("blocks that a record names", () => {
  test("are all of its own and of the relation before, of main and init forks", () => {
    const headers = Buffer.concat([block(0, 7, { relation: 900 }), block(1, 9), block(2, 3, { relation: 901, fork: 2 }), block(5, 1, { relation: 901, fork: 1 })]);
    expect(outcome({ rmgr: HEAP, headers, main: u32(1) })).toEqual([named(900, 7, 9)]);
  });

  test.each([
    { major: 14, info: 0x01 | 0x02, hole: [1, 0] },
    { major: 14, info: 0x01 | 0x04, hole: [] },
    { major: 15, info: 0x01 | 0x02, hole: [] },
    { major: 15, info: 0x01 | 0x04, hole: [1, 0] },
    { major: 18, info: 0x01 | 0x10 | 0x02, hole: [1, 0] },
    { major: 18, info: 0x08 | 0x02, hole: [] },
  ])("are found behind page images, whose flags mean other things before 15 ($major, $info)", ({ major, info, hole }) => {
    const headers = Buffer.concat([block(0, 7, { relation: 900, image: imageHeader(300, info, ...hole) }), block(1, 8, { dataBytes: 6 })]);
    expect(outcome({ major, rmgr: HEAP, headers, payload: Buffer.alloc(306), main: u32(1) })).toEqual([named(900, 7, 8)]);
  });

  test("are found after the origin, and after the transaction above, which 13 does not have", () => {
    const headers = Buffer.concat([block(0, 7, { relation: 900 }), Buffer.from([253, 1, 0]), Buffer.from([252, 1, 0, 0, 0])]);
    expect(outcome({ major: 14, rmgr: HEAP, headers, main: u32(1) })).toEqual([named(900, 7)]);
    expect(outcome({ major: 13, rmgr: HEAP, headers, main: u32(1) })).toMatch(/header of kind 252/);
  });

  test("are told by resource managers of extensions as by those built in, where there can be any", () => {
    const headers = block(0, 7, { relation: 900 });
    expect(outcome({ major: 15, rmgr: 128, headers })).toEqual([named(900, 7)]);
    expect(outcome({ major: 14, rmgr: 128, headers })).toMatch(/resource manager 128/);
    expect(outcome({ major: 18, rmgr: 22, headers })).toMatch(/resource manager 22/);
  });

  test("are not guessed at where the record is not as it should be", () => {
    const fine = block(0, 7, { relation: 900 });
    expect(outcome({ rmgr: HEAP, headers: Buffer.concat([fine, fine]) })).toMatch(/out of order/);
    expect(outcome({ rmgr: HEAP, headers: block(0, 7) })).toMatch(/of relation 0/);
    expect(outcome({ rmgr: HEAP, headers: block(0, 7, { relation: 900, fork: 4 }) })).toMatch(/fork 4/);
    expect(outcome({ rmgr: HEAP, headers: block(0, 0xffffffff, { relation: 900 }) })).toMatch(/block 4294967295/);
    expect(outcome({ rmgr: HEAP, headers: fine, payload: Buffer.alloc(3) })).not.toBeInstanceOf(Array);
    expect(outcome({ rmgr: HEAP, headers: block(0, 7, { relation: 900, dataBytes: 9 }) })).not.toBeInstanceOf(Array);
    expect(outcome({ rmgr: HEAP, headers: Buffer.from([254, 200, 0, 0, 0]) })).toMatch(/not as long as/);
    expect(outcome({ rmgr: HEAP, headers: Buffer.from([60, 0, 0, 0]) })).toMatch(/header of kind 60/);
  });
});

describe("files that a record makes, cuts or drops", () => {
  test("are cut at 0 when they are made, by fork", () => {
    expect(outcome({ rmgr: 2, info: 0x10, main: u32(1663, 5, 900, 0) })).toEqual([cut(900, 0)]);
    expect(outcome({ rmgr: 2, info: 0x10, main: u32(1663, 5, 900, 3) })).toEqual([cut(900, 0, 3)]);
    expect(outcome({ rmgr: 2, info: 0x10, main: u32(1663, 5, 900, 1) })).toEqual([]);
    expect(outcome({ rmgr: 2, info: 0x10, main: u32(1663, 5, 900, 4) })).toMatch(/fork 4/);
    expect(outcome({ rmgr: 2, info: 0x30, main: u32(1663, 5, 900, 0) })).toMatch(/storage is of kind 48/);
  });

  test("are cut where a truncation says, unless it is of the maps only", () => {
    expect(outcome({ rmgr: 2, info: 0x20, main: u32(11, 1663, 5, 900, 7) })).toEqual([cut(900, 11)]);
    expect(outcome({ rmgr: 2, info: 0x20, main: u32(11, 1663, 5, 900, 2) })).toEqual([]);
  });

  test.each([0x00, 0x20, 0x30, 0x40])("are dropped at the end of a transaction, also of a prepared one, also by its abort (%i)", (operation) => {
    const main = (xinfo: number, ...parts: readonly number[]): Buffer => Buffer.concat([Buffer.alloc(8), u32(xinfo, ...parts)]);
    const info = operation | 0x80;
    expect(outcome({ rmgr: 1, info, main: main(4, 2, 1663, 5, 900, 1663, 5, 901) })).toEqual([cut(900, 0), cut(900, 0, 3), cut(901, 0), cut(901, 0, 3)]);
    expect(outcome({ rmgr: 1, info, main: main(7, 5, 1663, 2, 71, 72, 1, 1663, 5, 900) })).toEqual([cut(900, 0), cut(900, 0, 3)]);
    expect(outcome({ rmgr: 1, info, main: main(1 | 8, 5, 1663) })).toEqual([]);
    expect(outcome({ rmgr: 1, info: operation, main: Buffer.alloc(8) })).toEqual([]);
    expect(outcome({ rmgr: 1, info, main: main(4, 9, 1663, 5, 900) })).toMatch(/shorter than it says/);
  });

  test("are not dropped by preparing; and what is not known of a transaction is not passed over", () => {
    expect(outcome({ rmgr: 1, info: 0x10, main: Buffer.alloc(40) })).toEqual([]);
    expect(outcome({ rmgr: 1, info: 0x60, main: Buffer.alloc(40) })).toEqual([]);
    expect(outcome({ rmgr: 1, info: 0x60, major: 13, main: Buffer.alloc(40) })).toMatch(/kind 96/);
    expect(outcome({ rmgr: 1, info: 0x70, main: Buffer.alloc(40) })).toMatch(/kind 112/);
  });

  test("are those of a whole database when it is copied, made or dropped, and 15 numbers these otherwise than 14", () => {
    const replaced = (...tablespaces: readonly number[]): string[] => tablespaces.map((tablespace) => `${tablespace}/77 was replaced`);
    expect(outcome({ rmgr: 4, major: 14, info: 0x00, main: u32(77, 1663, 1, 1663) })).toEqual(replaced(1663));
    expect(outcome({ rmgr: 4, major: 14, info: 0x10, main: u32(77, 2, 1663, 900) })).toEqual(replaced(900, 1663));
    expect(outcome({ rmgr: 4, major: 14, info: 0x20, main: u32(77, 1663) })).toMatch(/database is of kind 32/);
    expect(outcome({ rmgr: 4, major: 15, info: 0x00, main: u32(77, 1663, 1, 1663) })).toEqual(replaced(1663));
    expect(outcome({ rmgr: 4, major: 15, info: 0x10, main: u32(77, 900) })).toEqual(replaced(900));
    expect(outcome({ rmgr: 4, major: 15, info: 0x20, main: u32(77, 2, 1663, 900) })).toEqual(replaced(900, 1663));
    expect(outcome({ rmgr: 4, major: 15, info: 0x30, main: u32(77, 1663) })).toMatch(/database is of kind 48/);
  });
});

describe("records of the log itself", () => {
  test("end what can be known where wal_level was minimal, or the kind is not known", () => {
    const parameters = (walLevel: number): Buffer => u32(100, 8, 10, 0, 64, walLevel, 0);
    expect(outcome({ rmgr: 0, info: 0x60, main: parameters(1) })).toEqual([]);
    expect(outcome({ rmgr: 0, info: 0x60, main: parameters(0) })).toMatch(/wal_level was minimal/);
    expect(outcome({ rmgr: 0, info: 0xc0 })).toMatch(/kind 192/);
    expect(outcome({ rmgr: 0, info: 0xf0 })).toMatch(/kind 240/);
    expect(outcome({ rmgr: 0, info: 0xe0, major: 17, main: u32(1) })).toEqual([]);
    expect(outcome({ rmgr: 0, info: 0xe0, major: 16, main: u32(1) })).toMatch(/kind 224/);
  });
});
