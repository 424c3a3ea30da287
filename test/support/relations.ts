import { identifier, openSession, withDatabase } from "./session.ts";
import type { Row, Session } from "./session.ts";

/** What a database holds, as the oracle asks for it. Names come quoted, ready for SQL. */
export interface Table {
  readonly oid: string;
  /** `"public"."orders"` */
  readonly name: string;
  readonly isUnlogged: boolean;
  readonly isMaterializedView: boolean;
  /** Columns that can be written: generated ones cannot. */
  readonly columns: readonly string[];
}

export interface Index {
  readonly oid: string;
  readonly name: string;
  /** As a plan names it: without schema and quotes. */
  readonly plainName: string;
  readonly method: string;
  /** Condition of a partial index, in brackets, or the empty text. */
  readonly where: string;
  /** Its columns if all of them are plain columns of the table: then an index-only scan can answer alone. */
  readonly columns: readonly string[] | null;
  /** An ORDER BY that a btree index can serve. Empty for other methods. */
  readonly order: string;
  /** Type of the first column: `text[]`, `jsonb`, … */
  readonly type: string;
}

const TABLES = `
  select c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, c.relpersistence = 'u' as unlogged, c.relkind = 'm' as materialized,
    (select json_agg(quote_ident(attname) order by attnum) from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '') as columns
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'm') and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
  order by 2`;

/** Strategy 1 of a btree family is "less", 5 is "greater": the operator that the index is ordered by, even where it is not the type's usual one. */
const INDEXES = `
  select c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name, c.relname, am.amname as method,
    case when i.indpred is null then '' else '(' || pg_get_expr(i.indpred, i.indrelid, true) || ')' end as where,
    case when 0 = any (i.indkey::int2[]) then null else
      (select json_agg(quote_ident(a.attname) order by k.position) from unnest(i.indkey::int2[]) with ordinality as k (attnum, position) join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum) end as columns,
    case when am.amname <> 'btree' then '' else '(' || pg_get_indexdef(c.oid, 1, true) || ')'
      || coalesce((select ' collate ' || quote_ident(cn.nspname) || '.' || quote_ident(co.collname) from pg_collation co join pg_namespace cn on cn.oid = co.collnamespace where co.oid = i.indcollation[0] and co.collname <> 'default'), '')
      || (select ' using operator(' || quote_ident(pn.nspname) || '.' || p.oprname || ')' from pg_opclass oc join pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
            and ao.amopstrategy = case when i.indoption[0] & 1 = 1 then 5 else 1 end join pg_operator p on p.oid = ao.amopopr join pg_namespace pn on pn.oid = p.oprnamespace where oc.oid = i.indclass[0])
      || case when i.indoption[0] & 2 = 2 then ' nulls first' else ' nulls last' end end as ordering,
    coalesce((select format_type(atttypid, null) from pg_attribute where attrelid = i.indrelid and attnum = i.indkey[0]), '') as type
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace join pg_am am on am.oid = c.relam
  where i.indrelid = $1 and i.indisvalid and i.indisready
  order by 2`;

/**
 * Every database that can be connected to. template0 cannot be changed, so it cannot be restored wrongly in a way that its file copy would not show. A connection limit of -2 is
 * how PostgreSQL marks one that is being dropped (at once, not with the transaction): recovered to that moment, it is there, and nobody can ever connect to it.
 */
export async function databasesOf(url: string): Promise<string[]> {
  return names(url, "datallowconn and datconnlimit <> -2 and datname <> 'template0'");
}

/** Databases of which nothing can be done but to drop them. */
export async function halfDroppedDatabasesOf(url: string): Promise<string[]> {
  return names(url, "datconnlimit = -2");
}

async function names(url: string, condition: string): Promise<string[]> {
  await using session = await openSession(url);
  return (await session.rows(`select datname from pg_database where ${condition} order by datname`)).map((row) => row["datname"] ?? "");
}

export async function openDatabase(url: string, database: string): Promise<Session> {
  const session = await openSession(withDatabase(url, database));
  // Text of a value must not depend on where the test runs; a plan must not depend on how many processors there are.
  await session.rows(
    "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 1; set bytea_output = 'hex'; set max_parallel_workers_per_gather = 0; set jit = off; set lock_timeout = '30s'",
  );
  return session;
}

export async function tablesOf(session: Session): Promise<Table[]> {
  return (await session.rows(TABLES)).map((row) => ({
    oid: row["oid"] ?? "",
    name: row["name"] ?? "",
    isUnlogged: row["unlogged"] === "t",
    isMaterializedView: row["materialized"] === "t",
    columns: list(row, "columns") ?? [],
  }));
}

export async function indexesOf(session: Session, table: Table): Promise<Index[]> {
  return (await session.rows(INDEXES, [table.oid])).map((row) => ({
    oid: row["oid"] ?? "",
    name: row["name"] ?? "",
    plainName: row["relname"] ?? "",
    method: row["method"] ?? "",
    where: row["where"] ?? "",
    columns: list(row, "columns"),
    order: row["ordering"] ?? "",
    type: row["type"] ?? "",
  }));
}

/** True if the extension is there now; made if the installation has it. */
export async function haveExtension(session: Session, name: string): Promise<boolean> {
  const [available] = await session.rows("select 1 from pg_available_extensions where name = $1", [name]);
  if (available === undefined) return false;
  await session.rows(`create extension if not exists ${identifier(name)}`);
  return true;
}

function list(row: Row, column: string): string[] | null {
  const text = row[column];
  return text === null || text === undefined ? null : (JSON.parse(text) as string[]);
}
