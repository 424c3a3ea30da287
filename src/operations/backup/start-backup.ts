import { HoldfastError } from "../../errors.ts";
import type { BackupStart } from "../../postgres/backup-session.ts";
import { readTablespaces } from "../../postgres/capture.ts";
import type { BackupUnderWay } from "./backup-types.ts";
import { readDatabasePlaces } from "./made-databases.ts";

/** A backup that the server knows of. */
export interface StartedBackup {
  readonly backup: BackupUnderWay;
  readonly start: BackupStart;
  /** Databases that everybody saw before it began (`readDatabasePlaces`). */
  readonly databases: ReadonlySet<string>;
}

/**
 * `pg_backup_start`, and the tablespaces there were at that moment: those are copied, and what is made later is made again by WAL. One made before it that we did not know of would be
 * neither. Of those elsewhere the server's own list, at the end, says whether there was one; of those in place it says nothing, so whatever is new right after the start refuses the backup.
 */
export async function startBackup(found: BackupUnderWay): Promise<StartedBackup> {
  const { session, state } = found;
  const tablespaces = await readTablespaces(session.client);
  const databases = await readDatabasePlaces(session.client);
  const start = await session.start(`holdfast ${found.id}`);
  const known = new Set(tablespaces.map(({ oid }) => oid));
  const unknown = (await readTablespaces(session.client)).filter(({ oid, location }) => !location.startsWith("/") && !known.has(oid));
  if (unknown.length > 0) throw madeMeanwhile(unknown.map(({ name }) => name));
  return { backup: { ...found, state: { ...state, captured: { ...state.captured, tablespaces } } }, start, databases };
}

export function madeMeanwhile(tablespaces: readonly string[]): HoldfastError {
  return new HoldfastError("HF-SOURCE-CHANGED", "a tablespace was made while the backup began", { hint: "run the backup again", facts: { tablespaces } });
}
