import { formatLsn, parseLsn } from "../../src/domain/lsn.ts";
import type { Lsn } from "../../src/domain/lsn.ts";
import { databasesOf, openDatabase } from "../support/relations.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { digestDatabases } from "../support/digest.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { literal } from "../support/session.ts";
import { brokenPromises } from "../support/writer.ts";
import type { Acknowledged, WriterReport } from "../support/writer.ts";

/** What the source was, at moments when nobody wrote to it, and what the writer was promised: all that a restore is judged by. Nothing in here was told by Holdfast. */
export interface Place {
  readonly timeline: number;
  readonly lsn: Lsn;
}

/** A moment at which nobody was writing. */
export interface Moment extends Place {
  /** By the server's clock. */
  readonly at: string;
  /** Restore point made there, and the last transaction before it. */
  readonly name: string;
  readonly xid: string;
  readonly contents: Contents;
}

export interface Contents {
  readonly digest: ClusterDigest;
  readonly sequences: Sequences;
}

/** `database.schema.sequence` → last value. */
type Sequences = Readonly<Record<string, bigint>>;

export interface BackupTaken extends Place {
  readonly id: string;
  readonly parent: string | null;
  /** Known where nobody wrote while it was taken. */
  readonly contents: Contents | null;
}

interface Branch {
  readonly parent: number;
  readonly switchedAt: Lsn;
}

export class Truth {
  readonly moments: Moment[] = [];
  readonly backups: BackupTaken[] = [];
  readonly reports: { readonly timeline: number; readonly report: WriterReport }[] = [];
  readonly #branches = new Map<number, Branch>();
  #sequence = 1;
  #marks = 0;

  /** Numbers for the next writer: never used twice, also where a failover made the source forget some. */
  nextSequence(): number {
    this.#sequence += 100_000;
    return this.#sequence;
  }

  branch(timeline: number, branch: Branch): void {
    this.#branches.set(timeline, branch);
  }

  /** How far each timeline counts for somebody who is at a place: to there on its own, to where it was left on those before. */
  lineage({ timeline, lsn }: Place): Map<number, Lsn> {
    const limits = new Map<number, Lsn>([[timeline, lsn]]);
    let [current, limit] = [timeline, lsn];
    for (let branch = this.#branches.get(current); branch !== undefined; branch = this.#branches.get(current)) {
      if (branch.switchedAt < limit) limit = branch.switchedAt;
      current = branch.parent;
      limits.set(current, limit);
    }
    return limits;
  }

  /** Whether the way to a place leads through another. */
  leadsThrough(to: Place, through: Place): boolean {
    const limit = this.lineage(to).get(through.timeline);
    return limit !== undefined && through.lsn <= limit;
  }

  /** What a database recovered to a place lacks of what was promised, and holds of what was not yet, or on another timeline. */
  broken(present: readonly number[], place: Place): { missing: Acknowledged[]; unexpected: Acknowledged[] } {
    const limits = this.lineage(place);
    const found = this.reports.map(({ timeline, report }) => brokenPromises(report, present, limits.get(timeline) ?? parseLsn("0/0")));
    return { missing: found.flatMap((one) => one.missing), unexpected: found.flatMap((one) => one.unexpected) };
  }

  /** Marks a moment. The caller sees to it that nobody writes. Something follows it, so that stopping there is not the same as reaching the end. */
  async mark(source: Cluster, note: string): Promise<Moment> {
    const n = ++this.#marks;
    const name = `mark ${n}`;
    await using session = await source.connect();
    const xid = await session.value(`insert into marks (n, note) values (${n}, ${literal(note)}) returning pg_current_xact_id()`);
    const contents = await contentsOf(source);
    const row = await session.row(
      "select pg_current_wal_insert_lsn() as lsn, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at, pg_walfile_name(pg_current_wal_insert_lsn()) as segment",
    );
    await session.rows(`select pg_create_restore_point(${literal(name)})`);
    await session.rows(`update marks set note = note || ', and after' where n = ${n}`);
    const moment = { timeline: timelineOf(row["segment"]), lsn: parseLsn(row["lsn"] ?? ""), at: row["at"] ?? "", name, xid, contents };
    this.moments.push(moment);
    return moment;
  }
}

export async function placeOf(source: Cluster): Promise<Place> {
  const [row] = await source.sql("select pg_current_wal_insert_lsn() as lsn, pg_walfile_name(pg_current_wal_insert_lsn()) as segment");
  return { timeline: timelineOf(row?.["segment"]), lsn: parseLsn(row?.["lsn"] ?? "") };
}

/** How a server came to the timeline it is on, by its own history file. */
export async function branchOf(source: Cluster, timeline: number): Promise<Branch> {
  const [row] = await source.sql(`select pg_read_file('pg_wal/${timeline.toString(16).toUpperCase().padStart(8, "0")}.history') as text`);
  const lines = (row?.["text"] ?? "").split("\n").filter((line) => /^\d/.test(line));
  const [parent = "", lsn = ""] = lines.at(-1)?.split("\t") ?? [];
  return { parent: Number(parent), switchedAt: parseLsn(lsn) };
}

export async function contentsOf(server: Cluster): Promise<Contents> {
  return { digest: await digestDatabases(server.url()), sequences: await sequencesOf(server) };
}

/** A server logs a sequence some numbers ahead, so that a recovered one may have skipped these; never fewer than were given out. */
const LOGGED_AHEAD = 33n;

export function differences(found: Contents, expected: Contents): string[] {
  const keys = new Set([...Object.keys(found.digest), ...Object.keys(expected.digest)]);
  const contents = [...keys]
    .filter((key) => found.digest[key] !== expected.digest[key])
    .map((key) => `${key}: ${found.digest[key] ?? "not there"} instead of ${expected.digest[key] ?? "nothing"}`);
  const sequences = Object.entries(expected.sequences).flatMap(([name, value]) => {
    const got = found.sequences[name];
    return got !== undefined && got >= value && got <= value + LOGGED_AHEAD ? [] : [`sequence ${name}: ${got ?? "not there"} instead of ${value}`];
  });
  return [...contents, ...sequences];
}

export const describePlace = ({ timeline, lsn }: Place): string => `${formatLsn(lsn)} on timeline ${timeline}`;

async function sequencesOf(server: Cluster): Promise<Sequences> {
  const found: Record<string, bigint> = {};
  for (const database of await databasesOf(server.url())) {
    await using session = await openDatabase(server.url(), database);
    for (const row of await session.rows("select schemaname || '.' || sequencename as name, coalesce(last_value, 0) as value from pg_sequences"))
      found[`${database}.${row["name"]}`] = BigInt(row["value"] ?? "0");
  }
  return found;
}

function timelineOf(segment: string | null | undefined): number {
  return Number.parseInt((segment ?? "").slice(0, 8), 16);
}
