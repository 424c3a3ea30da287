import type pg from "pg";
import { recordHeartbeat } from "../../catalog/observations.ts";
import type { Heartbeat } from "../../catalog/observations.ts";
import { parseMicros } from "../../domain/timestamp.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { HoldfastError } from "../../errors.ts";
import { connect, queryRow, queryRows, text } from "../../postgres/connection.ts";
import type { SourceConfig } from "../../policy/types.ts";
import type { OperationContext } from "../context.ts";
import type { Installation } from "../installation.ts";

import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";

/**
 * The heartbeat: one row that is updated now and then, so that even an idle database has commits, and a restored one can itself say how far it got. Opt-in: it writes in the source.
 */
const CREATE = [
  "create schema if not exists holdfast",
  "create table if not exists holdfast.heartbeat (id int primary key check (id = 1), sequence bigint not null, at timestamptz not null)",
  "insert into holdfast.heartbeat values (1, 0, clock_timestamp()) on conflict do nothing",
] as const;

async function prepareHeartbeat(client: pg.Client): Promise<void> {
  const there = await queryRows(client, "select to_regclass('holdfast.heartbeat')::text as name");
  if (there[0]?.["name"] !== null) return;
  for (const sql of CREATE) await client.query(sql);
}

/** Beats once. The LSN is read after the commit, so that whoever replays to it has the beat. */
async function beat(client: pg.Client): Promise<{ sequence: number; at: string; lsn: string }> {
  const row = await queryRow(
    client,
    "update holdfast.heartbeat set sequence = sequence + 1, at = clock_timestamp() where id = 1 returning sequence::text, to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at",
  );
  const after = await queryRow(client, "select pg_current_wal_insert_lsn()::text as lsn");
  return { sequence: Number(text(row, "sequence")), at: text(row, "at"), lsn: text(after, "lsn") };
}

const BEATS_PER_RPO = 4;
const INTERVAL_SECONDS = { shortest: 1, longest: 60 } as const;

/** Beats until the signal aborts, several times within the recovery point objective. A source that does not answer, or may not be written, is tried again next time. */
export async function beatRegularly(installation: Installation, source: SourceConfig, context: OperationContext): Promise<void> {
  const seconds = Math.min(INTERVAL_SECONDS.longest, Math.max(INTERVAL_SECONDS.shortest, source.objectives.rpoSeconds / BEATS_PER_RPO));
  const isStopped = (): boolean => context.signal.aborted;
  while (!isStopped()) {
    try {
      await using connection = await connect(await installation.target(source), { purpose: "heartbeat" });
      await prepareHeartbeat(connection.client);
      for (;;) {
        recordHeartbeat(installation.catalog, source.name, await beat(connection.client));
        await context.clock.sleep(seconds * 1000, context.signal);
      }
    } catch (error) {
      if (isStopped()) return;
      context.onNotice(`no heartbeat of ${source.name}: ${error instanceof HoldfastError ? error.message : String(error)}`);
      await context.clock.sleep(seconds * 1000, context.signal).catch(() => undefined);
    }
  }
}

/** How long before a moment the source last beat, in seconds. */
export function ageOfBeat({ at }: Pick<Heartbeat, "at">, moment: Micros): number {
  return Math.max(0, Number(moment - parseMicros(at)) / 1_000_000);
}

/** The beat a restored cluster holds, or null where there is none. */
export async function readHeartbeat(cluster: ScratchCluster, database: string): Promise<number | null> {
  await using connection = await cluster.connect(database);
  const there = await queryRows(connection.client, "select to_regclass('holdfast.heartbeat')::text as name");
  if (there[0]?.["name"] === null) return null;
  const rows = await queryRows(connection.client, "select sequence::text from holdfast.heartbeat where id = 1");
  return rows[0] === undefined ? null : Number(rows[0]["sequence"]);
}
