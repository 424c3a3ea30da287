import type pg from "pg";
import type { Clock } from "../clock.ts";
import { formatLsn, parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { spansOf } from "../domain/timeline.ts";
import type { TimelineHistory } from "../domain/timeline.ts";
import { majorOf } from "./server-identity.ts";
import { queryRow, queryRows, text } from "./connection.ts";

/**
 * What changed between two LSNs according to the server's own WAL summaries (PostgreSQL 17+, `summarize_wal`). Only main and init forks are believed:
 * older 17.x leave out visibility maps, and free-space maps are never in.
 */
export interface ChangedBlocks {
  /** Null: nothing of it changed. `all`: read it whole. Else the block numbers (in the fork) that changed, ascending, and the block from which on all must be read. */
  of(relation: string, fork: "main" | "init"): ForkChanges | "all" | null;
  readonly blocks: number;
}

interface ForkChanges {
  /** Blocks at or beyond this one may hold anything: the fork was cut to it. */
  readonly limitBlock: number;
  readonly blocks: Uint32Array;
}

export interface ChangeRequest {
  readonly from: { readonly timeline: number; readonly lsn: Lsn };
  readonly to: Lsn;
  readonly history: TimelineHistory;
}

/** How long the summarizer may need to reach the checkpoint that just happened, and how long without progress. */
const PROGRESS_TIMEOUT_MS = 60_000;
const NO_LIMIT = 0xffffffff;

/** The changes, or a sentence that says why the server cannot tell. */
export async function readServerSummaries(client: pg.Client, version: number, request: ChangeRequest, clock: Clock, signal: AbortSignal): Promise<ChangedBlocks | string> {
  if (majorOf(version) < 17) return "the server is older than 17";
  const setting = await queryRow(client, "select current_setting('summarize_wal') as summarize_wal");
  if (text(setting, "summarize_wal") !== "on") return "summarize_wal is off";
  const reached = await waitForSummarizer(client, request.to, clock, signal);
  if (reached !== null) return reached;
  const uncovered = await findUncovered(client, request);
  if (uncovered !== null) return uncovered;
  return collect(client, request);
}

async function waitForSummarizer(client: pg.Client, to: Lsn, clock: Clock, signal: AbortSignal): Promise<string | null> {
  let [last, since] = ["", clock.monotonicMs()];
  for (;;) {
    const row = await queryRow(client, "select max(end_lsn)::text as reached from pg_available_wal_summaries()");
    const reached = row["reached"] ?? "0/0";
    if (parseLsn(reached) >= to) return null;
    if (reached !== last) [last, since] = [reached, clock.monotonicMs()];
    if (clock.monotonicMs() - since > PROGRESS_TIMEOUT_MS) return `the summarizer stands at ${reached} and does not reach ${formatLsn(to)}`;
    await clock.sleep(200, signal);
  }
}

/** Summaries must cover every byte from the parent's start to this start, along the history of the server. */
async function findUncovered(client: pg.Client, { from, to, history }: ChangeRequest): Promise<string | null> {
  const rows = await queryRows(client, "select tli::text, start_lsn::text, end_lsn::text from pg_available_wal_summaries() order by start_lsn, end_lsn");
  for (const span of spansOf(history)) {
    if (span.timeline < from.timeline) continue;
    let covered = span.timeline === from.timeline ? from.lsn : span.start;
    const end = span.end === null || span.end > to ? to : span.end;
    for (const row of rows) {
      if (Number(row["tli"]) !== span.timeline || parseLsn(text(row, "start_lsn")) > covered) continue;
      const reaches = parseLsn(text(row, "end_lsn"));
      if (reaches > covered) covered = reaches;
    }
    if (covered < end) return `no WAL summary covers ${formatLsn(covered)} on timeline ${span.timeline} (wal_summary_keep_time, or wal_level was minimal)`;
  }
  return null;
}

const CHANGES_SQL = `
  select c.reltablespace::text || '/' || c.reldatabase::text || '/' || c.relfilenode::text as relation, c.relforknumber::text as fork,
         min(c.relblocknumber) filter (where c.is_limit_block)::text as limit_block,
         array_agg(distinct c.relblocknumber order by c.relblocknumber) filter (where not c.is_limit_block)::text as blocks
  from pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) c
  where s.end_lsn > $1 and s.start_lsn < $2 and c.relforknumber in (0, 3)
  group by c.reltablespace, c.reldatabase, c.relfilenode, c.relforknumber`;

async function collect(client: pg.Client, { from, to }: ChangeRequest): Promise<ChangedBlocks> {
  const forks = new Map<string, ForkChanges>();
  const databases = new Set<string>();
  let total = 0;
  for (const row of await queryRows(client, CHANGES_SQL, [formatLsn(from.lsn), formatLsn(to)])) {
    const relation = text(row, "relation");
    const blocks = parseBlocks(row["blocks"] ?? null);
    total += blocks.length;
    // Relation 0 stands for the whole database directory: it was created or copied.
    if (relation.endsWith("/0")) databases.add(relation.slice(0, -2));
    forks.set(`${relation}/${row["fork"] === "3" ? "init" : "main"}`, { limitBlock: Number(row["limit_block"] ?? NO_LIMIT), blocks });
  }
  return {
    blocks: total,
    of: (relation, fork) => {
      if (databases.has(relation.slice(0, relation.lastIndexOf("/")))) return "all";
      const changes = forks.get(`${relation}/${fork}`);
      if (changes === undefined) return null;
      return changes.limitBlock === 0 ? "all" : changes;
    },
  };
}

/** A PostgreSQL array of integers as text: `{1,2,3}`. */
function parseBlocks(array: string | null): Uint32Array {
  if (array === null || array === "{}") return new Uint32Array(0);
  return Uint32Array.from(array.slice(1, -1).split(","), Number);
}
