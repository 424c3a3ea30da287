import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatLsn, parseLsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";
import { FORK, WalChanges } from "../../src/domain/wal-changes.ts";
import { classify } from "../../src/postgres/cluster-files.ts";
import { addChangesOf } from "../../src/postgres/wal-blocks.ts";
import { startCluster } from "../support/cluster.ts";
import { describeEachPostgres } from "../support/postgres-suite.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { linesOf, readChanges, segmentsBetween, walkRecords } from "../support/wal-changes.ts";
import { actionNames, buildWorkload, mutate } from "../support/workload.ts";

/** What pg_waldump prints of a record: its own reading of the headers and of the special records of each major version. */
describeEachPostgres("what WAL changes", { clientTools: ["pg_waldump"] }, (binaries) => {
  let cluster: Cluster;
  let from: Lsn;
  let to: Lsn;

  beforeAll(async () => {
    cluster = await startCluster({ binaries, tablespaces: 2, walLogHints: true, settings: { wal_keep_size: "4GB", max_wal_size: "4GB", wal_compression: "on" } });
    await buildWorkload(cluster);
    from = await position();
    await mutate(cluster, 3, 1, { only: actionNames() });
    await cluster.kill9();
    await cluster.start();
    for (let step = 2; step <= 4; step++) await mutate(cluster, 3, step);
    await oddities();
    to = await position();
    await cluster.sql("select pg_switch_wal()");
  });
  afterAll(async () => cluster[Symbol.asyncDispose]());

  async function position(): Promise<Lsn> {
    await cluster.sql("checkpoint");
    const [row] = await cluster.sql("select redo_lsn::text as lsn from pg_control_checkpoint()");
    return parseLsn(row?.["lsn"] ?? "");
  }

  /** What the workload does not do, or not in every mix. */
  async function oddities(): Promise<void> {
    await using session = await cluster.connect("shop");
    await session.each([
      "create unlogged table odd_unlogged (id int primary key, text text)",
      "alter table odd_unlogged set logged",
      "alter table odd_unlogged set unlogged",
      "create table odd (id int, text text)",
      "insert into odd select g, repeat('x', 500) from generate_series(1, 2000) g",
      "delete from odd where id > 10",
      "vacuum odd",
      "begin; create table odd_never (id int primary key); insert into odd_never values (1); savepoint a; truncate odd; rollback to a; rollback",
      "begin; create table odd_prepared (id int primary key); drop table odd; prepare transaction 'odd'",
      "commit prepared 'odd'",
      "begin; create table odd_lost (id int primary key); prepare transaction 'odd lost'",
      "rollback prepared 'odd lost'",
      "create database odd_moved tablespace space1",
      "alter database odd_moved set tablespace space2",
      "drop database odd_moved",
    ]);
  }

  test("is record for record what pg_waldump says", async () => {
    const ours: string[] = [];
    await walkRecords(cluster, from, to, (record) => {
      const changes = new WalChanges();
      expect(addChangesOf(record, changes)).toBeNull();
      ours.push(...describeRecord(record.start, changes));
    });
    const theirs = await readWithPgWaldump(cluster, from, to);
    expect(ours).toEqual(theirs);
    expect(theirs.length).toBeGreaterThan(10_000);
    for (const expected of [/was replaced$/, /fork 3 cut at 0:/, /fork 0 cut at [1-9]\d{0,3}:/, /fork 0 cut at \d+: \d+ \d+/])
      expect(
        theirs.some((line) => expected.test(line)),
        String(expected),
      ).toBe(true);
  });

  test("is told by a summary of any stretch as it is by its records one by one", async () => {
    const each = new WalChanges();
    await walkRecords(cluster, from, to, (record) => void addChangesOf(record, each));
    const { changes, after, first, last } = await readChanges(cluster, from, to);
    expect(linesOf(changes)).toEqual(linesOf(each));
    expect(after < from && from <= first && last < to).toBe(true);
  });
});

function describeRecord(start: Lsn, changes: WalChanges): string[] {
  return linesOf(changes).map((line) => `${formatLsn(start)}: ${line}`);
}

async function readWithPgWaldump(cluster: Cluster, from: Lsn, to: Lsn): Promise<string[]> {
  const segments = await segmentsBetween(cluster, from, to);
  const args = ["-p", join(cluster.dataDirectory, "pg_wal"), segments[0] ?? "", segments.at(-1) ?? ""];
  const child = spawn(join(cluster.binaries.directory, "pg_waldump"), args, { env: { ...process.env, LC_ALL: "C" }, stdio: ["ignore", "pipe", "ignore"] });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [, rmgr = "", start, description = ""] = /^rmgr: (\S+)\s.*?, lsn: (\S+), prev \S+, desc: (.*)$/.exec(line) ?? [];
    if (start === undefined) throw new Error(`pg_waldump said: ${line}`);
    if (parseLsn(start) < from || parseLsn(start) >= to) continue;
    const changes = new WalChanges();
    addBlocks(description, changes);
    addFiles(rmgr, description, changes);
    lines.push(...describeRecord(parseLsn(start), changes));
  }
  return lines;
}

function addBlocks(description: string, changes: WalChanges): void {
  for (const [, tablespace, database, relation, fork = "main", block] of description.matchAll(/blkref #\d+: rel (\d+)\/(\d+)\/(\d+)(?: fork (\w+))? blk (\d+)/g))
    if (fork === "main" || fork === "init") changes.mark(Number(tablespace), Number(database), Number(relation), FORK[fork], Number(block));
}

function addFiles(rmgr: string, description: string, changes: WalChanges): void {
  const created = rmgr === "Storage" ? /^CREATE (\S+)/.exec(description) : null;
  if (created !== null) cutPath(created[1] ?? "", 0, changes);
  const truncated = rmgr === "Storage" ? /^TRUNCATE (\S+) to (\d+) blocks/.exec(description) : null;
  if (truncated !== null) cutPath(truncated[1] ?? "", Number(truncated[2]), changes);
  const dropped = rmgr === "Transaction" ? /; rels: ([^;]*)/.exec(description) : null;
  for (const path of dropped?.[1]?.trim().split(" ") ?? []) for (const fork of ["", "_init"]) cutPath(path + fork, 0, changes);
  if (rmgr === "Database") for (const [tablespace, database] of directories(description)) changes.replaceDatabase(tablespace, database);
}

function cutPath(path: string, limit: number, changes: WalChanges): void {
  const file = classify(path);
  if (file.kind !== "relation") throw new Error(`${path} is no relation`);
  const [tablespace, database, relation] = file.relation.split("/").map(Number) as [number, number, number];
  if (file.fork === "main" || file.fork === "init") changes.cut(tablespace, database, relation, FORK[file.fork], limit);
}

/** Older versions print the database first. No database has the OID of a tablespace that was made here or comes with the server. */
function directories(description: string): [number, number][] {
  const target = description.replace(/^.* to /, "");
  return [...target.matchAll(/(\d+)\/(\d+)/g)].map((match) => [Number(match[1]), Number(match[2])]);
}
