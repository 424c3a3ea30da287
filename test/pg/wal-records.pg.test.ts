import { spawn } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatLsn, parseLsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";
import { formatMicros } from "../../src/domain/timestamp.ts";
import { parseSegmentName, segmentStart } from "../../src/domain/wal-segment.ts";
import { markOf, WalWalker } from "../../src/postgres/wal-records.ts";
import type { WalRecord } from "../../src/postgres/wal-records.ts";
import { startCluster } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import { Random } from "../support/random.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { buildWorkload, mutate } from "../support/workload.ts";

/** A record as one line of text, by which our reading and that of pg_waldump are compared. */
function lineOf(start: Lsn, prev: Lsn, length: number, xid: number): string {
  return `${formatLsn(start)} after ${formatLsn(prev)}, ${length} bytes, transaction ${xid}`;
}

interface Reading {
  readonly records: string[];
  /** What recovery can be aimed at: `commit 735 2026-…`, `restore-point name`. */
  readonly marks: string[];
}

const SEGMENT_BYTES = 16 << 20;

describeEachPostgres("WAL records", { clientTools: ["pg_waldump"] }, (binaries) => {
  let cluster: Cluster;
  let segments: string[];
  let theirs: Reading;

  beforeAll(async () => {
    cluster = await startCluster({ binaries, tablespaces: 2, settings: { max_prepared_transactions: "5", wal_keep_size: "4GB", max_wal_size: "4GB" } });
    await buildWorkload(cluster);
    for (let step = 1; step <= 4; step++) {
      await mutate(cluster, 11, step);
      await endsOfAllKinds(cluster, step);
      // What lies in WAL where a server died is written over or continued by the next one.
      if (step === 2) await cluster.kill9();
      if (step === 2) await cluster.start();
    }
    await cluster.sql("select pg_switch_wal()");
    await cluster.stop();
    const folder = join(cluster.dataDirectory, "pg_wal");
    const last = await endOfWal(cluster);
    // Behind the last record lie segments kept for later use, with old content under new names.
    segments = (await readdir(folder)).filter((name) => /^[0-9A-F]{24}$/.test(name) && startOf(name) < last).toSorted();
    theirs = await readWithPgWaldump(cluster, segments);
  });
  afterAll(async () => cluster[Symbol.asyncDispose]());

  function startOf(name: string): Lsn {
    const segment = parseSegmentName(name, SEGMENT_BYTES);
    if (segment === null) throw new Error(`${name} is no segment`);
    return segmentStart(segment, SEGMENT_BYTES);
  }

  async function walk(names: readonly string[], checkCrc: boolean, pieces: (bytes: Buffer) => Iterable<Buffer>): Promise<{ reading: Reading; walker: WalWalker }> {
    const reading: Reading = { records: [], marks: [] };
    const visit = (record: WalRecord): void => {
      reading.records.push(lineOf(record.start, record.prev, record.bytes.length, record.xid));
      const mark = markOf(record);
      if (mark?.kind === "restore-point") reading.marks.push(`restore-point ${mark.name}`);
      else if (mark !== null) reading.marks.push(`${mark.kind} ${mark.xid} ${formatMicros(mark.at)}`);
    };
    const walker = new WalWalker(startOf(names[0] ?? ""), { segmentBytes: SEGMENT_BYTES, checkCrc, visit });
    for (const name of names) for (const piece of pieces(await readFile(join(cluster.dataDirectory, "pg_wal", name)))) walker.push(piece);
    return { reading, walker };
  }

  const whole = (bytes: Buffer): Buffer[] => [bytes];

  test("are where pg_waldump finds them, each behind the one before, to the last", async () => {
    expect(segments.length).toBeGreaterThan(2);
    const { reading, walker } = await walk(segments, true, whole);
    expect(reading.records).toEqual(theirs.records);
    expect(walker.lastStart === null ? null : formatLsn(walker.lastStart)).toBe(theirs.records.at(-1)?.split(" ")[0]);
  });

  test("are the same in whatever pieces they come, as from a server that sends what it has", async () => {
    const random = new Random("pieces");
    const pieces = function* (bytes: Buffer): Generator<Buffer> {
      for (let at = 0; at < bytes.length;) {
        const end = at + random.pick([1, 7, 24, 41, 512, 8191, 8192, 8193, 100_000, 3_000_000]);
        yield bytes.subarray(at, end);
        at = end;
      }
    };
    const { reading } = await walk(segments, true, pieces);
    expect(reading.records).toEqual(theirs.records);
  });

  test("tell of the ends of transactions and of named points what pg_waldump tells, also of prepared ones", async () => {
    const { reading } = await walk(segments, true, whole);
    expect(reading.marks).toEqual(theirs.marks);
    for (const kind of [/^commit/, /^abort/, /^restore-point point 4$/]) expect(reading.marks.some((mark) => kind.test(mark))).toBe(true);
    expect(new Set(reading.marks.map((mark) => mark.split(" ")[1])).has("0")).toBe(false);
  });

  test("are found from the beginning of any segment, where most begin inside a record", async () => {
    for (const [i, name] of segments.entries()) {
      const { reading } = await walk(segments.slice(i), true, whole);
      const first = theirs.records.findIndex((line) => parseLsn(line.split(" ")[0] ?? "") >= startOf(name));
      expect(reading.records).toEqual(first === -1 ? [] : theirs.records.slice(first));
    }
  });

  test("end where a bit is wrong, a page is of another place, or a segment of another history follows", async () => {
    const [first = "", second = ""] = segments;
    const bytes = await readFile(join(cluster.dataDirectory, "pg_wal", first));
    const following = await readFile(join(cluster.dataDirectory, "pg_wal", second));
    const stopAfter = (content: readonly Buffer[], checkCrc: boolean): WalWalker => {
      const walker = new WalWalker(startOf(first), { segmentBytes: SEGMENT_BYTES, checkCrc, visit: () => undefined });
      for (const piece of content) walker.push(piece);
      return walker;
    };
    expect(stopAfter([bytes, following], true).stopped).toBeNull();
    const flipped = Buffer.from(bytes);
    flipped[5_000_000] = (flipped[5_000_000] ?? 0) ^ 1;
    expect(stopAfter([flipped], true).stopped).not.toBeNull();
    const moved = Buffer.from(bytes);
    bytes.copy(moved, 5 * 8192, 9 * 8192, 10 * 8192);
    expect(stopAfter([moved], false).stopped).toBe("bad-page");
    const wrongRest = Buffer.from(bytes);
    const continued = Array.from({ length: 1000 }, (_, page) => (page + 1) * 8192).find((at) => (bytes.readUInt16LE(at + 2) & 1) === 1 && bytes.readUInt32LE(at + 16) > 8);
    if (continued === undefined) throw new Error("no record crosses a page");
    wrongRest.writeUInt32LE(bytes.readUInt32LE(continued + 16) - 8, continued + 16);
    expect(stopAfter([wrongRest], false).stopped).toBe("bad-page");
    // The first record of the next segment names the one before it: another one than was there means that the two are not of one history.
    const otherHistory = Buffer.from(following);
    const start = followingRecord(theirs.records, startOf(second));
    otherHistory.writeBigUInt64LE(otherHistory.readBigUInt64LE(start + 8) - 8n, start + 8);
    expect(stopAfter([bytes, otherHistory], false).stopped).toBe("other-history");
  });

  /** Offset of the first record that begins in a segment. */
  function followingRecord(records: readonly string[], segment: Lsn): number {
    const line = records.find((record) => parseLsn(record.split(" ")[0] ?? "") >= segment) ?? "";
    return Number(parseLsn(line.split(" ")[0] ?? "") - segment);
  }
});

async function endsOfAllKinds(cluster: Cluster, step: number): Promise<void> {
  await using session = await cluster.connect();
  await session.rows(`create table if not exists ends (id int)`);
  await session.rows(
    `begin; savepoint a; insert into ends values (1); savepoint b; create table gone_${step} (id int); insert into ends values (2); rollback to b; release a; commit`,
  );
  await session.rows(`begin; insert into ends values (3); create table never_${step} (id int primary key); rollback`);
  await session.rows(`begin; savepoint a; insert into ends values (4); release a; create table kept_${step} (id serial primary key); prepare transaction 'kept ${step}'`);
  await session.rows(`begin; savepoint a; insert into ends values (5); release a; create table lost_${step} (id int); prepare transaction 'lost ${step}'`);
  await session.rows(`commit prepared 'kept ${step}'`);
  await session.rows(`rollback prepared 'lost ${step}'`);
  await session.rows(`drop table kept_${step}`);
  await session.rows(`select pg_create_restore_point('point ${step}')`);
}

/** From the control file, since the server does not run: where its last checkpoint began, which is the last record but for it. */
async function endOfWal(cluster: Cluster): Promise<Lsn> {
  const control = await readFile(join(cluster.dataDirectory, "global/pg_control"));
  return (control.readBigUInt64LE(32) + 1n) as Lsn;
}

const LINE = /^rmgr: (\S+)\s+len \(rec\/tot\):\s*\d+\/\s*(\d+), tx:\s+(\d+), lsn: (\S+), prev (\S+), desc: (.*)$/;

async function readWithPgWaldump(cluster: Cluster, segments: readonly string[]): Promise<Reading> {
  const args = ["-p", join(cluster.dataDirectory, "pg_wal"), segments[0] ?? "", segments.at(-1) ?? ""];
  const child = spawn(join(cluster.binaries.directory, "pg_waldump"), args, { env: { ...process.env, TZ: "UTC", LC_ALL: "C" }, stdio: ["ignore", "pipe", "ignore"] });
  const reading: Reading = { records: [], marks: [] };
  for await (const line of createInterface({ input: child.stdout })) {
    const [, rmgr, length, xid, start, prev, description = ""] = LINE.exec(line) ?? [];
    if (start === undefined || prev === undefined) throw new Error(`pg_waldump said: ${line}`);
    reading.records.push(lineOf(parseLsn(start), parseLsn(prev), Number(length), Number(xid)));
    const mark = markIn(rmgr ?? "", Number(xid), description);
    if (mark !== null) reading.marks.push(mark);
  }
  return reading;
}

function markIn(rmgr: string, xid: number, description: string): string | null {
  const point = rmgr === "XLOG" ? /^RESTORE_POINT (.*)$/.exec(description) : null;
  if (point !== null) return `restore-point ${point[1]}`;
  const end = rmgr === "Transaction" ? /^(COMMIT|ABORT)(?:_PREPARED (\d+):)? (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) UTC/.exec(description) : null;
  if (end === null) return null;
  const [, kind = "", prepared, day, time = ""] = end;
  const [seconds = "", fraction = ""] = time.split(".");
  return `${kind.toLowerCase()} ${prepared ?? xid} ${day}T${seconds}.${fraction.padEnd(6, "0")}Z`;
}
