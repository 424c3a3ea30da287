import { messageOf } from "../../src/errors.ts";
import { checkBtrees, checkGins, checkHeaps, checkVisibilityMaps } from "./extension-checks.ts";
import { compareIndexes } from "./index-scans.ts";
import { databasesOf, halfDroppedDatabasesOf, haveExtension, openDatabase, tablesOf } from "./relations.ts";
import { identifier, openSession } from "./session.ts";
import type { Session } from "./session.ts";
import { UnsoundError } from "./unsound.ts";
import { checkUnlogged, commitPrepared, vacuumAll, writeToAll } from "./write-phase.ts";

/**
 * The judge of every restore test (recovery rule 14). Comparing contents by sequential scan is not enough: a stale visibility map, an index that lacks
 * an entry, or a page whose marks contradict its map all pass that. So: each index against the table, the visibility maps, PostgreSQL's own
 * structure checks; then writes, and everything again. test/deep/oracle.test.ts plants such damage and shows that each check sees it.
 */
export interface SoundnessReport {
  readonly databases: number;
  readonly tables: number;
  /** Read through the index, by whole rows and, where the index has the columns, by index-only scan. */
  readonly indexes: number;
  readonly indexOnly: number;
  /** Hash, GIN and BRIN indexes asked for rows by value. */
  readonly probed: number;
  readonly notAsked: readonly string[];
  readonly visibilityMaps: number;
  readonly btrees: number;
  readonly gins: number;
  readonly heaps: number;
  readonly unlogged: number;
  /** Prepared transactions that were there, and were committed. */
  readonly prepared: number;
  /** Tables that were written to. */
  readonly written: number;
  readonly extensions: readonly string[];
}

const CHECKS = ["index scans", "visibility maps", "structure", "writes"] as const;
export type Check = (typeof CHECKS)[number];

export interface OracleOptions {
  /** The cluster was restored: unlogged tables must be empty and usable. */
  readonly isRestored?: boolean;
  /** All, except in the test of the oracle itself. */
  readonly checks?: readonly Check[];
}

/** Judges the whole cluster and *changes* it (prepared transactions are committed, extensions made, rows deleted). Throws an `UnsoundError` with the first thing that is wrong. */
export async function assertSound(url: string, options: OracleOptions = {}): Promise<SoundnessReport> {
  const checks = options.checks ?? CHECKS;
  await finishDrops(url);
  const databases = await databasesOf(url);
  let prepared = 0;
  for (const database of databases) {
    await using session = await openDatabase(url, database);
    prepared += await commitPrepared(session, database);
  }
  const reports: SoundnessReport[] = [];
  for (const database of databases) {
    await using session = await openDatabase(url, database);
    reports.push(await judge(session, database, checks, options.isRestored ?? false));
  }
  return { ...reports.reduce(add), prepared };
}

/** A drop that the moment restored lies in the middle of can be done again, or the server would never be rid of that database. */
async function finishDrops(url: string): Promise<void> {
  for (const database of await halfDroppedDatabasesOf(url)) {
    await using session = await openSession(url);
    try {
      await session.rows(`drop database ${identifier(database)}`);
    } catch (error) {
      throw new UnsoundError("drop database", database, database, messageOf(error), error);
    }
  }
}

async function judge(session: Session, database: string, checks: readonly Check[], isRestored: boolean): Promise<SoundnessReport> {
  const unlogged = isRestored ? await checkUnlogged(session, database, await tablesOf(session)) : 0;
  const extensions: string[] = [];
  for (const name of ["amcheck", "pg_visibility"]) if (await haveExtension(session, name)) extensions.push(name);
  const looked = await look(session, database, checks, extensions);
  if (!checks.includes("writes")) return { ...looked, unlogged };
  const written = await writeToAll(session, database, await tablesOf(session));
  await look(session, database, checks, extensions);
  await vacuumAll(session, database);
  await look(session, database, checks, extensions);
  return { ...looked, unlogged, written };
}

async function look(session: Session, database: string, checks: readonly Check[], extensions: readonly string[]): Promise<SoundnessReport> {
  const tables = await tablesOf(session);
  const counts = { indexes: 0, indexOnly: 0, probed: 0, notAsked: [] as string[], visibilityMaps: 0, btrees: 0, gins: 0, heaps: 0 };
  if (checks.includes("index scans"))
    for (const table of tables) {
      const scans = await compareIndexes(session, database, table);
      counts.indexes += scans.indexes;
      counts.indexOnly += scans.indexOnly;
      counts.probed += scans.probed;
      counts.notAsked.push(...scans.notAsked);
    }
  if (checks.includes("visibility maps") && extensions.includes("pg_visibility")) counts.visibilityMaps = await checkVisibilityMaps(session, database);
  if (checks.includes("structure") && extensions.includes("amcheck")) {
    counts.heaps = await checkHeaps(session, database);
    counts.btrees = await checkBtrees(session, database);
    counts.gins = await checkGins(session, database);
  }
  return { databases: 1, tables: tables.length, ...counts, unlogged: 0, prepared: 0, written: 0, extensions };
}

function add(a: SoundnessReport, b: SoundnessReport): SoundnessReport {
  return {
    databases: a.databases + b.databases,
    tables: a.tables + b.tables,
    indexes: a.indexes + b.indexes,
    indexOnly: a.indexOnly + b.indexOnly,
    probed: a.probed + b.probed,
    notAsked: [...a.notAsked, ...b.notAsked],
    visibilityMaps: a.visibilityMaps + b.visibilityMaps,
    btrees: a.btrees + b.btrees,
    gins: a.gins + b.gins,
    heaps: a.heaps + b.heaps,
    unlogged: a.unlogged + b.unlogged,
    prepared: a.prepared + b.prepared,
    written: a.written + b.written,
    extensions: a.extensions.filter((name) => b.extensions.includes(name)),
  };
}
