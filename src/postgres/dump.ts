import path from "node:path";
import type pg from "pg";
import { HoldfastError, codeOf } from "../errors.ts";
import type { ServerBinaries } from "./binaries.ts";
import { clientAddress } from "./client-address.ts";
import { escapeIdentifier, queryRow, queryRows, text } from "./connection.ts";
import { readProgram } from "./process.ts";

/** A server as far as dumping goes: managed ones tell little. */
export interface DumpedServer {
  readonly version: number;
  /** Null where it does not tell. */
  readonly systemIdentifier: string | null;
  readonly isSuperuser: boolean;
  readonly bootstrapRole: string;
  readonly databases: readonly string[];
}

export async function readDumpedServer(client: pg.Client): Promise<DumpedServer> {
  const row = await queryRow(
    client,
    "select current_setting('server_version_num') as version, current_setting('is_superuser') as superuser, (select rolname from pg_roles where oid = 10) as bootstrap",
  );
  const identity = await queryRows(client, "select system_identifier::text as id from pg_control_system()").catch(() => []);
  const databases = await queryRows(client, "select datname as name from pg_database where datallowconn and not datistemplate order by datname");
  return {
    version: Number(text(row, "version")),
    systemIdentifier: identity[0]?.["id"] ?? null,
    isSuperuser: row["superuser"] === "on",
    bootstrapRole: text(row, "bootstrap"),
    databases: databases.map((each) => text(each, "name")),
  };
}

export interface TableRows {
  readonly schema: string;
  readonly name: string;
  /** Null: it was not counted, for it took too long or may not be read. */
  readonly rows: number | null;
}

/** Counting all of a large database would take as long as dumping it. */
const COUNT_FOR_MS = 60_000;

/** How many rows each table has in the snapshot of the transaction that is open. Partitions are counted, not what they are parts of. */
export async function countRows(client: pg.Client, nowMs: () => number): Promise<TableRows[]> {
  const tables = await queryRows(
    client,
    "select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by c.relpages, 1, 2",
  );
  const until = nowMs() + COUNT_FOR_MS;
  const counted: TableRows[] = [];
  for (const table of tables) {
    const [schema, name] = [text(table, "schema"), text(table, "name")];
    counted.push({ schema, name, rows: until - nowMs() < 1000 ? null : await countOne(client, schema, name, Math.ceil(until - nowMs())) });
  }
  return counted.toSorted((a, b) => (`${a.schema}.${a.name}` < `${b.schema}.${b.name}` ? -1 : 1));
}

async function countOne(client: pg.Client, schema: string, name: string, timeoutMs: number): Promise<number | null> {
  await client.query("savepoint count_rows");
  try {
    await client.query(`set local statement_timeout = ${timeoutMs}`);
    const row = await queryRow(client, `select count(*)::text as rows from ${escapeIdentifier(schema)}.${escapeIdentifier(name)}`);
    return Number(text(row, "rows"));
  } catch (error) {
    const state = error instanceof HoldfastError ? error.facts["sqlState"] : codeOf(error);
    // Too slow, or not ours to read. What else goes wrong goes wrong for the dump too.
    if (state !== "57014" && state !== "42501") throw error;
    return null;
  } finally {
    await client.query("rollback to savepoint count_rows");
  }
}

interface DumpRequest {
  readonly clients: ServerBinaries;
  readonly url: string;
  readonly signal: AbortSignal;
}

/** One database in the format that `pg_restore` reads, not compressed: that is done for all that is stored. `snapshot`: the state of a transaction that is held open meanwhile. */
export function dumpDatabase({ clients, url, signal }: DumpRequest, database: string, snapshot: string): AsyncGenerator<Buffer> {
  const { dbname, env } = clientAddress(url, database);
  const args = ["--format=custom", "--compress=0", "--no-password", `--snapshot=${snapshot}`, `--dbname=${dbname}`];
  return readProgram(path.join(clients.folder, "pg_dump"), args, { env, signal });
}

/** Roles and what they may do in general. Only a superuser may read passwords. Where tablespaces lie is of the machine, and left out. */
export function dumpGlobals({ clients, url, signal }: DumpRequest, { withPasswords }: { withPasswords: boolean }): AsyncGenerator<Buffer> {
  const { dbname, env } = clientAddress(url, null);
  const args = ["--globals-only", "--no-tablespaces", "--no-password", ...(withPasswords ? [] : ["--no-role-passwords"]), `--dbname=${dbname}`];
  return readProgram(path.join(clients.folder, "pg_dumpall"), args, { env, signal });
}
