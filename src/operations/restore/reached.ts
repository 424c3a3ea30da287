import type pg from "pg";
import { alignRecord, formatLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { parseHistory } from "../../domain/timeline.ts";
import { formatMicros, micros } from "../../domain/timestamp.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { historyFileName, segmentAt, segmentEnd } from "../../domain/wal-segment.ts";
import { queryRow, text } from "../../postgres/connection.ts";
import type { ResolvedTarget } from "./resolve-target.ts";

/** Where a restored and promoted cluster really is, by its own account. */
export interface Reached {
  readonly lsn: Lsn | null;
  readonly timeline: number;
  /** The timeline it left when it was promoted; null where that is not known. */
  readonly from: number | null;
  /** The newest transaction that was replayed. */
  readonly lastCommitAt: Micros | null;
}

const REACHED_SQL = `
  select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::text as timeline,
         (extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::bigint::text as last_commit`;

export async function readReached(client: pg.Client): Promise<Reached> {
  const row = await queryRow(client, REACHED_SQL);
  const timeline = Number(text(row, "timeline"));
  const file = await queryRow(client, "select pg_read_file($1) as history", [`pg_wal/${historyFileName(timeline)}`]);
  const fork = parseHistory(timeline, text(file, "history"))?.forks.at(-1);
  const lastCommit = row["last_commit"] ?? null;
  return { lsn: fork?.switchpoint ?? null, timeline, from: fork?.timeline ?? null, lastCommitAt: lastCommit === null ? null : micros(BigInt(lastCommit)) };
}

/** Did recovery end exactly where the plan said, with every transaction up to there and none after it? */
export async function checkReached(client: pg.Client, reached: Reached, resolved: ResolvedTarget, segmentBytes: number): Promise<DrillCheckResult[]> {
  return [checkPosition(reached, resolved, segmentBytes), checkTimeline(reached, resolved), checkTime(reached, resolved), ...(await checkTransactions(client, resolved))];
}

function checkPosition(reached: Reached, resolved: ResolvedTarget, segmentBytes: number): DrillCheckResult {
  const ends = acceptedEnds(resolved, segmentBytes);
  const ok = reached.lsn !== null && ends.includes(reached.lsn);
  const detail = `expected ${formatLsn(resolved.end)}, recovery ended at ${reached.lsn === null ? "an unknown place" : formatLsn(reached.lsn)}`;
  return result("recovery point", ok, detail);
}

/** Two timelines have the same positions: the right place on the wrong one is another history. */
function checkTimeline({ from }: Reached, { timeline }: ResolvedTarget): DrillCheckResult {
  return result("timeline", from === timeline, `expected timeline ${timeline}, recovery ended on ${from ?? "an unknown one"}`);
}

/** PostgreSQL names the end of the last record, aligned to 8; after a switch, the end of the segment. */
function acceptedEnds(resolved: ResolvedTarget, segmentBytes: number): Lsn[] {
  return [alignRecord(resolved.end), segmentEnd(segmentAt(resolved.timeline, resolved.record, segmentBytes), segmentBytes)];
}

function checkTime(reached: Reached, resolved: ResolvedTarget): DrillCheckResult {
  const { lastCommit } = resolved;
  // The server does not count the time of the very record it stops after; whether that commit is there is checked by its transaction.
  if (lastCommit?.start === resolved.record) return { ...result("newest transaction", true, `it is the target itself, of ${formatMicros(lastCommit.at)}`), required: false };
  const expected = lastCommit?.at ?? null;
  if (expected === null || reached.lastCommitAt === null) return { ...result("newest transaction", true, "no transaction was replayed from WAL near the target"), required: false };
  // The server reports the last transaction end it replayed, commit or abort; ours is the last commit near the target.
  return result("newest transaction", reached.lastCommitAt >= expected, `expected ${formatMicros(expected)}, found ${formatMicros(reached.lastCommitAt)}`);
}

/** The status of the transactions around the target, by the cluster's own commit log. */
async function checkTransactions(client: pg.Client, { lastCommit, nextCommit }: ResolvedTarget): Promise<DrillCheckResult[]> {
  const checks: DrillCheckResult[] = [];
  if (lastCommit?.kind === "commit" && lastCommit.xid !== 0) {
    const status = await statusOf(client, lastCommit.xid);
    checks.push(result("last commit is there", status === "committed", `transaction ${lastCommit.xid} is ${status}`));
  }
  if (nextCommit?.kind === "commit" && nextCommit.xid !== 0) {
    const status = await statusOf(client, nextCommit.xid);
    checks.push(result("nothing after the target is there", status !== "committed", `transaction ${nextCommit.xid} is ${status}`));
  }
  return checks;
}

/** A 32-bit transaction id is looked up in the epoch it must belong to: at most two thousand million back. */
async function statusOf(client: pg.Client, xid: number): Promise<string> {
  const row = await queryRow(client, "select txid_current_snapshot()::text as snapshot");
  const next = BigInt(text(row, "snapshot").split(":")[1] ?? "0");
  let full = (next & ~0xffffffffn) | BigInt(xid);
  if (full > next + 0x7fffffffn) full -= 1n << 32n;
  if (full >= next) return "not yet begun";
  const status = await queryRow(client, "select txid_status($1::bigint) as status", [full.toString()]);
  return status["status"] ?? "too old to tell";
}

function result(name: string, ok: boolean, detail: string): DrillCheckResult {
  return { name, required: true, outcome: ok ? "pass" : "fail", detail, fault: "backup" };
}
