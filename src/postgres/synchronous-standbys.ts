import type pg from "pg";
import { z } from "zod";
import { queryRow, text } from "./connection.ts";

/** What `synchronous_standby_names` asks for: so many of those that are named (in any case; `*` is everybody). */
export interface SynchronousStandbys {
  readonly needed: number;
  readonly names: readonly string[];
}

/** Reads the setting as the server does; null where it names nobody, or is not one that a server would have taken. */
export function parseSynchronousStandbys(setting: string): SynchronousStandbys | null {
  const counted = /^\s*(?:(?:first|any)\s+)?(\d+)\s*\((.*)\)\s*$/is.exec(setting);
  const names = [...(counted?.[2] ?? setting).matchAll(/"((?:[^"]|"")*)"|([^\s",()]+)/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "");
  return names.length === 0 ? null : { needed: counted === null ? 1 : Number(counted[1]), names };
}

export type CommitWait = "none" | "with-others" | "alone";

/** Whether commits wait for the standby of this name: `alone` where none of the others could stand in for it. */
export function commitWaitFor(setting: string, applicationName: string): CommitWait {
  const standbys = parseSynchronousStandbys(setting);
  const isNamed = (name: string): boolean => name === "*" || name.toLowerCase() === applicationName.toLowerCase();
  if (standbys?.names.some(isNamed) !== true) return "none";
  return standbys.names.includes("*") || standbys.needed < standbys.names.length ? "with-others" : "alone";
}

export interface CommitState {
  readonly wait: CommitWait;
  /** The server streams to a standby of this name. */
  readonly streaming: boolean;
}

/** In SQL, a column for `commitStateOf`: what a server waits for, and to whom it streams. Of other roles than ours it shows no names, and our stream connects as we do. */
export const COMMIT_STATE = `json_build_object(
  'names', case when pg_is_in_recovery() or current_setting('synchronous_commit') in ('off', 'local') then '' else current_setting('synchronous_standby_names') end,
  'streams', (select coalesce(json_agg(application_name), '[]') from pg_stat_replication where usename = current_user and state = 'streaming'))::text`;

const commitStateSchema = z.object({ names: z.string(), streams: z.array(z.string().nullable()) });

/** What such a column says of the standby of this name. */
export function commitStateOf(column: string, applicationName: string): CommitState {
  const { names, streams } = commitStateSchema.parse(JSON.parse(column));
  return { wait: commitWaitFor(names, applicationName), streaming: streams.some((name) => name?.toLowerCase() === applicationName.toLowerCase()) };
}

/** As `commitWaitFor`, of whoever connects as this client did. */
export async function readCommitWait(client: pg.Client): Promise<CommitWait> {
  const row = await queryRow(client, "select current_setting('synchronous_standby_names') as names, current_setting('application_name') as name");
  return commitWaitFor(text(row, "names"), text(row, "name"));
}
