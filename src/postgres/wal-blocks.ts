import { FORK } from "../domain/wal-changes.ts";
import type { WalChanges } from "../domain/wal-changes.ts";
import type { WalRecord } from "./wal-records.ts";

/**
 * Which blocks a record changes (access/xlogrecord.h, and the redo function of each resource manager; PostgreSQL 13 to 18). Most records name their blocks in headers of one form;
 * a few change files without: those that make, cut and drop them. What is not known to change nothing else makes the whole stretch of WAL worthless, and is never guessed at.
 */
const RECORD_HEADER = 24;
const INFO = 0xf0;
/** `XLogRecordBlockHeader` and what can follow it. */
const BLOCK = { maxId: 32, fork: 0x0f, hasImage: 0x10, sameRelation: 0x80 } as const;
const IMAGE_HAS_HOLE = 0x01;
const ID = { dataShort: 255, dataLong: 254, origin: 253, topLevelXid: 252 } as const;
const MAX_FORK = 3;
const NO_BLOCK = 0xffffffff;

const RMGR = { xlog: 0, xact: 1, smgr: 2, dbase: 4, lastBuiltIn: 21, firstCustom: 128 } as const;

/** Why a stretch of WAL cannot be summarised. */
class Unknown extends Error {}

/** Adds what the record changes. Returns why it cannot be told, or null. */
export function addChangesOf(record: WalRecord, changes: WalChanges): string | null {
  try {
    const mainBytes = addBlocks(record, changes);
    addFiles(record, mainBytes, changes);
    return null;
  } catch (error) {
    // Beyond its end there is nothing: a length in it was wrong.
    if (error instanceof RangeError) return "a record is shorter than it says";
    if (error instanceof Unknown) return error.message;
    throw error;
  }
}

/** The headers at the beginning of the record; returns how long its main data is, which lies at its end. */
function addBlocks({ bytes, major }: WalRecord, changes: WalChanges): number {
  let at = RECORD_HEADER;
  let [tablespace, database, relation] = [0, 0, 0];
  let [payload, lastId, relations] = [0, -1, 0];
  while (bytes.length - at > payload) {
    const id = bytes.readUInt8(at);
    if (id === ID.dataShort || id === ID.dataLong) return mainDataAt(bytes, at, payload);
    if (id > BLOCK.maxId) {
      at += lengthOfHeader(id, major);
      continue;
    }
    if (id <= lastId) throw new Unknown("a record names its blocks out of order");
    lastId = id;
    const flags = bytes.readUInt8(at + 1);
    payload += bytes.readUInt16LE(at + 2);
    at += 4;
    if ((flags & BLOCK.hasImage) !== 0) {
      payload += bytes.readUInt16LE(at);
      at += 5 + (hasHoleLength(bytes.readUInt8(at + 4), major) ? 2 : 0);
    }
    if ((flags & BLOCK.sameRelation) === 0) {
      [tablespace, database, relation] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), bytes.readUInt32LE(at + 8)];
      relations++;
      at += 12;
    }
    const [fork, block] = [flags & BLOCK.fork, bytes.readUInt32LE(at)];
    if (relations === 0 || fork > MAX_FORK || block === NO_BLOCK) throw new Unknown(`a record names block ${block} of fork ${fork} of relation ${relation}`);
    at += 4;
    if (fork === FORK.main || fork === FORK.init) changes.mark(tablespace, database, relation, fork, block);
  }
  if (at + payload !== bytes.length) throw new Unknown("a record is not as long as its parts");
  return 0;
}

/** The header of the main data comes last; the data of blocks lies between it and the main data. */
function mainDataAt(bytes: Buffer, at: number, payload: number): number {
  const isShort = bytes.readUInt8(at) === ID.dataShort;
  const length = isShort ? bytes.readUInt8(at + 1) : bytes.readUInt32LE(at + 1);
  if (at + (isShort ? 2 : 5) + payload + length !== bytes.length) throw new Unknown("a record is not as long as its parts");
  return length;
}

function lengthOfHeader(id: number, major: number): number {
  if (id === ID.origin) return 3;
  if (id === ID.topLevelXid && major >= 14) return 5;
  throw new Unknown(`a record has a header of kind ${id}`);
}

/** A page image that is compressed and has a hole says how long the hole is. Which bits mean compressed changed in 15. */
function hasHoleLength(imageInfo: number, major: number): boolean {
  const compressed = major >= 15 ? 0x04 | 0x08 | 0x10 : 0x02;
  return (imageInfo & IMAGE_HAS_HOLE) !== 0 && (imageInfo & compressed) !== 0;
}

/** What is done to files without naming blocks. All other built-in resource managers change relations through blocks only, or not at all. */
function addFiles({ rmgr, info, bytes, major }: WalRecord, mainBytes: number, changes: WalChanges): void {
  if (rmgr > RMGR.dbase) {
    // Those of extensions change relations through blocks too: that is what the server's own summaries build on.
    if (rmgr > RMGR.lastBuiltIn && (rmgr < RMGR.firstCustom || major < 15)) throw new Unknown(`a record is of resource manager ${rmgr}`);
    return;
  }
  const data = bytes.subarray(bytes.length - mainBytes);
  if (rmgr === RMGR.xlog) checkControl(info & INFO, data, major);
  else if (rmgr === RMGR.xact) addDrops(info, data, changes, major);
  else if (rmgr === RMGR.smgr) addStorage(info & INFO, data, changes);
  else if (rmgr === RMGR.dbase) addDatabase(info & INFO, data, changes, major);
}

const XLOG = { parameterChange: 0x60, unused: 0xc0, checkpointRedo: 0xe0, beyond: 0xf0 } as const;
const PARAMETER_CHANGE_WAL_LEVEL = 20;

function checkControl(info: number, data: Buffer, major: number): void {
  if (info === XLOG.unused || info === XLOG.beyond || (info === XLOG.checkpointRedo && major < 17)) throw new Unknown(`a record of the log itself is of kind ${info}`);
  // At wal_level minimal, whole relations are written without a word in WAL. The server says so before the first record at a new level.
  if (info === XLOG.parameterChange && data.readInt32LE(PARAMETER_CHANGE_WAL_LEVEL) === 0) throw new Unknown("wal_level was minimal");
}

const XACT = {
  operation: 0x70,
  hasInfo: 0x80,
  commit: 0x00,
  prepare: 0x10,
  abort: 0x20,
  commitPrepared: 0x30,
  abortPrepared: 0x40,
  assignment: 0x50,
  invalidations: 0x60,
} as const;
const XACT_ENDS: readonly number[] = [XACT.commit, XACT.abort, XACT.commitPrepared, XACT.abortPrepared];
const XINFO = { database: 1 << 0, subxacts: 1 << 1, relations: 1 << 2 } as const;

/** The relations a transaction drops when it ends, also one that was prepared, also by never having made them. */
function addDrops(info: number, data: Buffer, changes: WalChanges, major: number): void {
  const operation = info & XACT.operation;
  if (operation === XACT.prepare || operation === XACT.assignment || (operation === XACT.invalidations && major >= 14)) return;
  if (!XACT_ENDS.includes(operation)) throw new Unknown(`a record of a transaction is of kind ${operation}`);
  if ((info & XACT.hasInfo) === 0) return;
  const xinfo = data.readUInt32LE(8);
  if ((xinfo & XINFO.relations) === 0) return;
  let at = 12;
  if ((xinfo & XINFO.database) !== 0) at += 8;
  if ((xinfo & XINFO.subxacts) !== 0) at += 4 + data.readUInt32LE(at) * 4;
  const count = data.readUInt32LE(at);
  at += 4;
  for (let i = 0; i < count; i++, at += 12) for (const fork of [FORK.main, FORK.init]) cutAt(data, at, fork, 0, changes);
}

const SMGR = { create: 0x10, truncate: 0x20 } as const;
const TRUNCATE_HEAP = 0x1;

function addStorage(info: number, data: Buffer, changes: WalChanges): void {
  if (info === SMGR.create) {
    const fork = data.readUInt32LE(12);
    if (fork > MAX_FORK) throw new Unknown(`a record makes fork ${fork}`);
    if (fork === FORK.main || fork === FORK.init) cutAt(data, 0, fork, 0, changes);
  } else if (info === SMGR.truncate) {
    if ((data.readUInt32LE(16) & TRUNCATE_HEAP) !== 0) cutAt(data, 4, FORK.main, data.readUInt32LE(0), changes);
  } else throw new Unknown(`a record of storage is of kind ${info}`);
}

function cutAt(data: Buffer, at: number, fork: number, limitBlock: number, changes: WalChanges): void {
  changes.cut(data.readUInt32LE(at), data.readUInt32LE(at + 4), data.readUInt32LE(at + 8), fork, limitBlock);
}

/** 13 and 14 copy files or drop; 15 put a third way in between, under the number that dropping had. */
function addDatabase(info: number, data: Buffer, changes: WalChanges, major: number): void {
  const kinds = major >= 15 ? { copyFiles: 0x00, copyByWal: 0x10, drop: 0x20 } : { copyFiles: 0x00, copyByWal: -1, drop: 0x10 };
  const database = data.readUInt32LE(0);
  if (info === kinds.copyFiles || info === kinds.copyByWal) changes.replaceDatabase(data.readUInt32LE(4), database);
  else if (info === kinds.drop) {
    const count = data.readUInt32LE(4);
    for (let i = 0; i < count; i++) changes.replaceDatabase(data.readUInt32LE(8 + i * 4), database);
  } else throw new Unknown(`a record of a database is of kind ${info}`);
}
