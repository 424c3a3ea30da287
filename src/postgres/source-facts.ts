import type pg from "pg";
import { z } from "zod";
import type { DatabaseFacts, SourceFacts, TableFacts } from "../domain/source-facts.ts";
import { HoldfastError } from "../errors.ts";
import { connect, queryRow, queryRows, text } from "./connection.ts";
import type { ConnectionTarget } from "./connection.ts";

/** What a source says of itself at backup time, stored with the backup as `//facts.json` (docs/repository-format.md section 7). */
export const sourceFactsSchema = z.object({
  readAt: z.string(),
  lsn: z.string(),
  databases: z.array(
    z.object({
      name: z.string(),
      schema: z.string(),
      columns: z.number(),
      tables: z.array(z.object({ name: z.string(), rows: z.number(), blocks: z.number() })),
      extensions: z.array(z.object({ name: z.string(), version: z.string() })),
    }),
  ),
  unread: z.array(z.string()),
});

const POSITION_SQL = `
  select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at,
         (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end)::text as lsn`;

const OWN = "n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'holdfast_drill')";

/** Names and types only, by the catalog alone: it takes no locks on tables, and every role may read it. */
const SCHEMA_SQL = `
  select encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' order by line collate "C"), ''), 'UTF8')), 'hex') as schema, count(*)::text as columns
  from (select format('%s.%s %s %s %s %s', n.nspname, c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull) as line
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relkind in ('r', 'p', 'v', 'm', 'i', 'f') and ${OWN}) lines`;

const MOST_TABLES = 500;

const TABLES_SQL = `
  select format('%I.%I', n.nspname, c.relname) as name, coalesce(s.n_live_tup, 0)::text as rows, c.relpages::text as blocks
  from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_all_tables s on s.relid = c.oid
  where c.relkind in ('r', 'm') and c.relpersistence = 'p' and ${OWN}
  order by greatest(c.relpages, coalesce(s.n_live_tup, 0)) desc, 1 limit ${MOST_TABLES}`;

const DATABASES_SQL = "select datname as name from pg_database where datallowconn and not datistemplate and has_database_privilege(datname, 'connect') order by datname";

/** Together they must not keep a backup waiting; what is not read by then is not read. */
const MOST_SECONDS = 30;
const STATEMENT_TIMEOUT = "10s";

/** Reads the facts of every database it may. Never rejects for what a database does: a backup does not fail for the sake of something to compare it with. */
export async function readSourceFacts(target: ConnectionTarget, client: pg.Client, elapsedSeconds: () => number): Promise<SourceFacts> {
  const position = await queryRow(client, POSITION_SQL);
  const names = (await queryRows(client, DATABASES_SQL)).map((row) => text(row, "name"));
  const databases: DatabaseFacts[] = [];
  const unread: string[] = [];
  for (const name of names) {
    const facts = elapsedSeconds() > MOST_SECONDS ? null : await readOrNull(target, name);
    if (facts === null) unread.push(name);
    else databases.push(facts);
  }
  return { readAt: text(position, "at"), lsn: text(position, "lsn"), databases, unread };
}

async function readOrNull(target: ConnectionTarget, name: string): Promise<DatabaseFacts | null> {
  try {
    await using connection = await connect(target, { database: name, purpose: "facts" });
    await connection.client.query(`set statement_timeout = '${STATEMENT_TIMEOUT}'`);
    const tables = await queryRows(connection.client, TABLES_SQL);
    return { ...(await readSchema(connection.client, name)), tables: tables.map((row) => ({ name: text(row, "name"), rows: Number(row["rows"]), blocks: Number(row["blocks"]) })) };
  } catch (error) {
    if (error instanceof HoldfastError) return null;
    throw error;
  }
}

async function readSchema(client: pg.Client, name: string): Promise<Omit<DatabaseFacts, "tables">> {
  await client.query("set search_path = pg_catalog");
  const schema = await queryRow(client, SCHEMA_SQL);
  const extensions = await queryRows(client, "select extname as name, extversion as version from pg_extension where extname not in ('amcheck', 'pg_visibility') order by extname");
  return {
    name,
    schema: text(schema, "schema"),
    columns: Number(schema["columns"]),
    extensions: extensions.map((row) => ({ name: text(row, "name"), version: text(row, "version") })),
  };
}

/** Larger tables are not counted: it would take longer than all else that is checked. */
const MOST_BLOCKS_COUNTED = 65_536;

const RELATION_SQL = `
  select to_regclass($1)::text as relation, (pg_relation_size(to_regclass($1)) / current_setting('block_size')::int)::text as blocks where to_regclass($1) is not null`;

/** The same of a restored database, for the tables that were named: these rows are counted, one by one. A table that is too large to count is given the rows that are expected. */
export async function countRestored(client: pg.Client, then: DatabaseFacts): Promise<DatabaseFacts> {
  const tables: TableFacts[] = [];
  for (const { name, rows } of then.tables) {
    const [there] = await queryRows(client, RELATION_SQL, [name]);
    if (there === undefined) continue;
    const blocks = Number(there["blocks"]);
    // By the name that the server gives it, whatever the document says.
    const counted = blocks > MOST_BLOCKS_COUNTED ? rows : Number(text(await queryRow(client, `select count(*)::text as rows from ${text(there, "relation")}`), "rows"));
    tables.push({ name, rows: counted, blocks });
  }
  return { ...(await readSchema(client, then.name)), tables };
}
