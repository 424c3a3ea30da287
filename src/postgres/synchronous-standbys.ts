import type pg from "pg";
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

/** As `commitWaitFor`, of whoever connects as this client did. */
export async function readCommitWait(client: pg.Client): Promise<CommitWait> {
  const row = await queryRow(client, "select current_setting('synchronous_standby_names') as names, current_setting('application_name') as name");
  return commitWaitFor(text(row, "names"), text(row, "name"));
}
