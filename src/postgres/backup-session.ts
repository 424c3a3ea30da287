import type pg from "pg";
import type { Clock } from "../clock.ts";
import { parseLsn } from "../domain/lsn.ts";
import type { Lsn } from "../domain/lsn.ts";
import { HoldfastError } from "../errors.ts";
import { connect, queryRow, text } from "./connection.ts";
import type { Connection, ConnectionTarget } from "./connection.ts";
import { assertSameServer, majorOf, readIdentity } from "./server-identity.ts";
import type { ServerIdentity } from "./server-identity.ts";

/**
 * The one session a backup is held in, from `pg_backup_start` to `pg_backup_stop`. While it lives the server writes full pages into WAL; if it is lost,
 * later pages may be torn beyond repair, so losing it fails the backup and it is never reopened.
 */
export interface BackupSession extends AsyncDisposable {
  readonly identity: ServerIdentity;
  readonly client: pg.Client;
  /** Aborted, with the reason, as soon as the session is lost or the server is no longer the same. */
  readonly lost: AbortSignal;
  start(label: string): Promise<BackupStart>;
  /** Ends the WAL segment that is being written. Rejects on a standby, and where the role may not. */
  endSegment(): Promise<void>;
  stop(): Promise<BackupStop>;
}

export interface BackupStart {
  readonly lsn: Lsn;
  /** Server's clock. */
  readonly at: Date;
}

export interface BackupStop {
  readonly lsn: Lsn;
  readonly at: Date;
  /** Exact text of `backup_label`. */
  readonly label: string;
  /** Exact text of `tablespace_map`; empty where there are no tablespaces. */
  readonly tablespaceMap: string;
}

const PING_MS = 10_000;

export async function openBackupSession(target: ConnectionTarget, clock: Clock): Promise<BackupSession> {
  const connection = await connect(target, { purpose: "backup" });
  try {
    const { client } = connection;
    const identity = await readIdentity(client);
    const settings = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
    if (majorOf(identity.version) >= 14) settings.push("idle_session_timeout");
    for (const setting of settings) await client.query(`set ${setting} = 0`);
    return holdSession(connection, identity, clock);
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}

function holdSession(connection: Connection, identity: ServerIdentity, clock: Clock): BackupSession {
  const { client } = connection;
  const gone = new AbortController();
  const lost = AbortSignal.any([connection.lost, gone.signal]);
  const modern = majorOf(identity.version) >= 15;
  let busy = false;
  const exclusively = async <T>(act: () => Promise<T>): Promise<T> => {
    busy = true;
    try {
      return await act();
    } finally {
      busy = false;
    }
  };
  const ping = setInterval(() => {
    if (busy || lost.aborted) return;
    exclusively(async () => assertSameServer(identity, await readIdentity(client))).catch((error: unknown) => gone.abort(error));
  }, PING_MS);
  ping.unref();
  return {
    identity,
    client,
    lost,
    start: async (label) => {
      // `fast`: a spread checkpoint makes a backup wait for minutes. Non-exclusive mode is the third argument before 15, and its default is the wrong one.
      const sql = modern ? "select pg_backup_start($1, true)::text as lsn" : "select pg_start_backup($1, true, false)::text as lsn";
      const row = await exclusively(() => queryRow(client, sql, [label]));
      return { lsn: parseLsn(text(row, "lsn")), at: await serverNow(client) };
    },
    endSegment: async () => void (await exclusively(() => queryRow(client, "select pg_switch_wal()"))),
    stop: async () => {
      clearInterval(ping);
      lost.throwIfAborted();
      while (busy) await clock.sleep(5);
      busy = true;
      assertSameServer(identity, await readIdentity(client));
      // Never wait for the archive inside the server: it hangs where archiving is broken. We wait for the repository ourselves.
      const sql = modern ? "select lsn::text, labelfile, spcmapfile from pg_backup_stop(false)" : "select lsn::text, labelfile, spcmapfile from pg_stop_backup(false, false)";
      const row = await queryRow(client, sql);
      if (row["labelfile"] === null || row["labelfile"] === undefined) throw new HoldfastError("HF-SERVER", "the server ended the backup without a label");
      return { lsn: parseLsn(text(row, "lsn")), at: await serverNow(client), label: row["labelfile"], tablespaceMap: row["spcmapfile"] ?? "" };
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(ping);
      await connection[Symbol.asyncDispose]();
    },
  };
}

async function serverNow(client: pg.Client): Promise<Date> {
  const row = await queryRow(client, "select extract(epoch from clock_timestamp())::text as now");
  return new Date(Number(text(row, "now")) * 1000);
}

/** The checkpoint in a backup label: `CHECKPOINT LOCATION: 0/2000060`. */
export function checkpointOfLabel(label: string): Lsn {
  const match = /^CHECKPOINT LOCATION: ([0-9A-F]+\/[0-9A-F]+)$/m.exec(label);
  if (match?.[1] === undefined) throw new HoldfastError("HF-SERVER", "the backup label names no checkpoint");
  return parseLsn(match[1]);
}

export function timelineOfLabel(label: string): number {
  const match = /^START TIMELINE: (\d+)$/m.exec(label);
  if (match?.[1] === undefined) throw new HoldfastError("HF-SERVER", "the backup label names no timeline");
  return Number(match[1]);
}
