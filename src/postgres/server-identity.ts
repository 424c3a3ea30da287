import type pg from "pg";
import { HoldfastError } from "../errors.ts";
import { queryRow, text } from "./connection.ts";

/**
 * Which server this is, precisely enough to notice that a second connection reached another one: a primary and its standbys have one system identifier,
 * and mixing their files is silent corruption.
 */
export interface ServerIdentity {
  readonly systemIdentifier: string;
  readonly postmasterStart: string;
  /** Null where the role may not see it. */
  readonly dataDirectory: string | null;
  readonly inRecovery: boolean;
  readonly timeline: number;
  /** As `server_version_num`: 150020 is 15.20. */
  readonly version: number;
}

const IDENTITY_SQL = `
  select s.system_identifier::text as system_identifier,
         extract(epoch from pg_postmaster_start_time())::text as postmaster_start,
         case when pg_has_role('pg_read_all_settings', 'usage') then current_setting('data_directory') end as data_directory,
         pg_is_in_recovery()::text as in_recovery,
         current_setting('server_version_num') as version,
         pg_backend_pid()::text as backend,
         case when pg_is_in_recovery() then c.timeline_id
              else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end::text as timeline
  from pg_control_system() s, pg_control_checkpoint() c`;

/** Reads the identity, and refuses a connection pooler: its sessions are not ours, and may not be of one server. */
export async function readIdentity(client: pg.Client): Promise<ServerIdentity> {
  const row = await queryRow(client, IDENTITY_SQL);
  const { processID } = client as pg.Client & { processID: number | null };
  if (processID !== null && text(row, "backend") !== String(processID))
    throw new HoldfastError("HF-SERVER", "the connection goes through a pooler", { hint: "connect to the server itself: a backup holds one session from start to end" });
  return {
    systemIdentifier: text(row, "system_identifier"),
    postmasterStart: text(row, "postmaster_start"),
    dataDirectory: row["data_directory"] ?? null,
    inRecovery: text(row, "in_recovery") === "true",
    timeline: Number(text(row, "timeline")),
    version: Number(text(row, "version")),
  };
}

/** Rejects if a connection reached another server than the one before, or the server changed its role, restarted or switched timelines. */
export function assertSameServer(expected: ServerIdentity, found: ServerIdentity): void {
  const differing = (Object.keys(expected) as (keyof ServerIdentity)[]).filter((key) => expected[key] !== found[key]);
  if (differing.length === 0) return;
  throw new HoldfastError("HF-SOURCE-CHANGED", `the server is not the one it was: ${differing.join(", ")} changed`, {
    hint: "a failover, a restart or a load balancer; run the backup again",
    facts: { expected, found },
  });
}

export function majorOf(version: number): number {
  return Math.floor(version / 10_000);
}
