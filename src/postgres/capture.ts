import type pg from "pg";
import { z } from "zod";
import { HoldfastError } from "../errors.ts";
import { queryRow, queryRows, text } from "./connection.ts";
import { majorOf } from "./server-identity.ts";

/** What a restored cluster needs and its data directory may not hold (Debian keeps configuration in /etc). Stored with every backup as `//settings.json`. */
const textRow = z.record(z.string(), z.string().nullable());
export const capturedSchema = z.object({
  version: z.number(),
  /** Settings that are not at their default, with where they came from. */
  settings: z.array(z.object({ name: z.string(), value: z.string(), source: z.string(), file: z.string().nullable() })),
  /** Authentication rules as the server parsed them; null where the role may not read them. */
  hba: z.array(textRow).nullable(),
  tablespaces: z.array(z.object({ oid: z.string(), name: z.string(), location: z.string() })),
  databases: z.array(textRow),
  collations: z.array(textRow),
  bootstrapRole: z.string(),
});
export type CapturedSettings = z.infer<typeof capturedSchema>;

const SETTINGS_SQL = `
  select name, setting as value, source, sourcefile as file from pg_settings
  where source not in ('default', 'client', 'session', 'interactive', 'test') and context <> 'internal' order by name`;

const DATABASES_SQL = (major: number): string => `
  select oid::text, datname, pg_encoding_to_char(encoding) as encoding, datcollate, datctype,
         ${major >= 15 ? "datlocprovider::text" : "'c'"} as provider,
         ${major >= 17 ? "datlocale" : major >= 15 ? "daticulocale" : "null::text"} as locale,
         ${major >= 15 ? "datcollversion" : "null::text"} as collation_version
  from pg_database order by oid`;

export async function captureSettings(client: pg.Client, version: number): Promise<CapturedSettings> {
  const settings = await queryRows(client, SETTINGS_SQL);
  const role = await queryRow(client, "select rolname from pg_roles where oid = 10");
  return {
    version,
    settings: settings.map((row) => ({ name: text(row, "name"), value: row["value"] ?? "", source: text(row, "source"), file: row["file"] ?? null })),
    hba: await readable(() =>
      queryRows(
        client,
        "select line_number::text, type, database::text, user_name::text, address, netmask, auth_method, options::text, error from pg_hba_file_rules order by line_number",
      ),
    ),
    tablespaces: await readTablespaces(client),
    databases: await queryRows(client, DATABASES_SQL(majorOf(version))),
    collations: await queryRows(
      client,
      "select collname, collprovider::text, collversion from pg_collation where collversion is not null and collnamespace <> 'pg_catalog'::regnamespace",
    ),
    bootstrapRole: text(role, "rolname"),
  };
}

const TABLESPACES_SQL = "select oid::text, spcname as name, pg_tablespace_location(oid) as location from pg_tablespace where spcname not in ('pg_default', 'pg_global')";
const UNDEFINED_FILE = "58P01";
const MAX_ATTEMPTS = 10;

/** All but the two that every cluster has. The server looks for their folders: one that is just being dropped has none any more, and is in the list until that is committed. */
export async function readTablespaces(client: pg.Client): Promise<CapturedSettings["tablespaces"]> {
  let rows: Awaited<ReturnType<typeof queryRows>> | null = null;
  for (let attempt = 1; rows === null; attempt++)
    rows = await queryRows(client, TABLESPACES_SQL).catch(async (error: unknown) => {
      if (attempt === MAX_ATTEMPTS || !(error instanceof HoldfastError) || error.facts["sqlState"] !== UNDEFINED_FILE) throw error;
      await client.query("select pg_sleep(0.1)");
      return null;
    });
  return rows.map((row) => ({ oid: text(row, "oid"), name: text(row, "name"), location: row["location"] ?? "" }));
}

/** Null where the role lacks the privilege: it is optional. */
async function readable<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof HoldfastError && error.facts["sqlState"] === "42501") return null;
    throw error;
  }
}

/** Locations of tablespaces by OID. Of those that are in place it is relative: an ordinary folder. */
export function tablespaceLocations(captured: CapturedSettings): Map<string, string> {
  return new Map(captured.tablespaces.map(({ oid, location }) => [oid, location]));
}

/** The server's log folder relative to the data directory, or null where it lies elsewhere. */
export function logFolderOf(captured: CapturedSettings, dataDirectory: string | null): string | null {
  const folder = captured.settings.find(({ name }) => name === "log_directory")?.value ?? "log";
  if (!folder.startsWith("/")) return folder;
  return dataDirectory !== null && folder.startsWith(`${dataDirectory}/`) ? folder.slice(dataDirectory.length + 1) : null;
}

/** All databases together, in bytes; null where the role may not ask. The server counts files for it. */
export async function readDatabaseBytes(client: pg.Client): Promise<number | null> {
  const rows = await readable(() => queryRows(client, "select sum(pg_database_size(oid))::text as bytes from pg_database"));
  const bytes = rows?.[0]?.["bytes"];
  return bytes === undefined || bytes === null ? null : Number(bytes);
}
