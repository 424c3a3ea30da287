import { databasesOf, openDatabase, tablesOf } from "./relations.ts";
import type { Table } from "./relations.ts";
import { openSession } from "./session.ts";
import type { Session } from "./session.ts";

/**
 * A digest of everything users keep in a cluster, for comparing a restored one with its source: same key, same text, or something is wrong.
 * It reads by sequential scan only, so on its own it is blind to the worst bugs (recovery rule 14): `assertSound` in oracle.ts sees those.
 */
export type ClusterDigest = Readonly<Record<string, string>>;

/** Sums of two different 64-bit hashes of each row's text: the order of rows does not matter, how often each occurs does. */
export const DIGEST = (text: string): string =>
  `count(*) || ' rows ' || coalesce(sum(hashtextextended(${text}, 0)::numeric), 0) || '/' || coalesce(sum(hashtextextended(${text}, 8420)::numeric), 0)`;

/** Name of a row in our queries. Nobody calls a column like this. */
export const ROW = "_the_row_";

/** Unlogged tables are left out: a restore empties them. */
export async function digestDatabases(url: string): Promise<ClusterDigest> {
  const digest: Record<string, string> = await digestGlobals(url);
  for (const database of await databasesOf(url)) {
    await using session = await openDatabase(url, database);
    await onlySequentialScans(session);
    for (const table of await tablesOf(session)) {
      if (table.isUnlogged) continue;
      digest[`${database}: ${table.name}`] = await digestTable(session, table);
      digest[`${database}: indexes of ${table.name}`] = await definitions(session, table);
    }
    digest[`${database}: large objects`] = await session.value(`select ${DIGEST("(loid, pageno, data)::text")} from pg_largeobject`);
  }
  return digest;
}

export async function onlySequentialScans(session: Session): Promise<void> {
  await session.rows("set enable_seqscan = on; set enable_indexscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off");
}

async function digestTable(session: Session, table: Table): Promise<string> {
  return session.value(`select ${DIGEST(`${ROW}::text`)} from ${table.name} as ${ROW}`);
}

async function definitions(session: Session, table: Table): Promise<string> {
  return session.value("select coalesce(string_agg(pg_get_indexdef(indexrelid), '; ' order by indexrelid::regclass::text), '') from pg_index where indrelid = $1", [table.oid]);
}

async function digestGlobals(url: string): Promise<Record<string, string>> {
  await using session = await openSession(url);
  const names = async (query: string): Promise<string> => session.value(`select coalesce(string_agg(name, ', ' order by name), '') from (${query}) as names (name)`);
  return {
    databases: await names("select datname from pg_database"),
    roles: await names("select rolname from pg_roles where rolname !~ '^pg_'"),
    tablespaces: await names("select spcname from pg_tablespace"),
    "prepared transactions": await names("select gid from pg_prepared_xacts"),
  };
}
