import { messageOf } from "../../src/errors.ts";
import type { Table } from "./relations.ts";
import { literal } from "./session.ts";
import type { Session } from "./session.ts";
import { UnsoundError } from "./unsound.ts";

/**
 * Uses a database as an application would, because some damage shows only then: a table page that lost its "all visible" mark while the map kept it
 * reads correctly until a row on it is deleted, and index-only scans go on returning that row (recovery rule 2).
 * It destroys: only for clusters made to be thrown away.
 */
export async function writeToAll(session: Session, database: string, tables: readonly Table[]): Promise<number> {
  await session.rows("set session_replication_role = replica"); // no triggers, no foreign keys: rows may go in any order
  const writable = tables.filter((table) => !table.isMaterializedView && table.columns.length > 0);
  for (const table of writable)
    for (const statement of statements(table)) {
      try {
        await session.rows(statement);
      } catch (error) {
        throw new UnsoundError("write", database, table.name, `${messageOf(error)} (at: ${statement.slice(0, 80)})`, error);
      }
    }
  await session.rows("set session_replication_role = origin");
  return writable.length;
}

/** A quarter of the rows is changed, one deleted, one deleted and inserted again, one left alone. */
function statements({ name, columns }: Table): string[] {
  const quarter = (n: number): string => `ctid in (select ctid from ${name} where mod(abs(hashtext(ctid::text)), 4) = ${n})`;
  const all = columns.join(", ");
  return [
    `update ${name} set ${columns[0]} = ${columns[0]} where ${quarter(0)}`,
    `delete from ${name} where ${quarter(1)}`,
    `with moved as (delete from ${name} where ${quarter(2)} returning ${all}) insert into ${name} (${all}) overriding system value select ${all} from moved`,
  ];
}

export async function vacuumAll(session: Session, database: string): Promise<void> {
  try {
    await session.rows("vacuum");
  } catch (error) {
    throw new UnsoundError("vacuum", database, "every table", messageOf(error), error);
  }
}

/** Each can be committed, or it was not restored. And while one is open, its locks and its age stand in the way of the checks. */
export async function commitPrepared(session: Session, database: string): Promise<number> {
  const prepared = await session.rows("select gid from pg_prepared_xacts where database = current_database() order by gid");
  for (const { gid } of prepared) {
    try {
      await session.rows(`commit prepared ${literal(gid ?? "")}`);
    } catch (error) {
      throw new UnsoundError("prepared transaction", database, gid ?? "", messageOf(error), error);
    }
  }
  return prepared.length;
}

/** After a restore an unlogged table is empty, and can be written to and read through its indexes. */
export async function checkUnlogged(session: Session, database: string, tables: readonly Table[]): Promise<number> {
  const unlogged = tables.filter((table) => table.isUnlogged);
  for (const table of unlogged) {
    const rows = await attempt(database, table, async () => session.value(`select count(*) from ${table.name}`));
    if (rows !== "0") throw new UnsoundError("unlogged", database, table.name, `${rows} rows in an unlogged table that was restored`);
    await attempt(database, table, async () => insertSomething(session, table));
  }
  return unlogged.length;
}

async function attempt<T>(database: string, table: Table, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw new UnsoundError("unlogged", database, table.name, `an unlogged table that cannot be used after the restore: ${messageOf(error)}`, error);
  }
}

/** A text that each type takes. */
const SAMPLES =
  "case t.typcategory when 'N' then '7' when 'S' then 'text' when 'B' then 'true' when 'A' then '{}' when 'D' then '2026-01-01' when 'T' then '1 hour' else case t.typname when 'uuid' then '00000000-0000-0000-0000-000000000001' when 'bytea' then '' else '{}' end end";

async function insertSomething(session: Session, table: Table): Promise<void> {
  const columns = await session.rows(
    `select quote_ident(attname) as name, quote_literal(${SAMPLES}) || '::' || format_type(a.atttypid, a.atttypmod) as value
     from pg_attribute a join pg_type t on t.oid = a.atttypid where attrelid = $1 and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
    [table.oid],
  );
  const names = columns.map((column) => column["name"]).join(", ");
  const values = columns.map((column) => column["value"]).join(", ");
  await session.rows(`insert into ${table.name} (${names}) overriding system value values (${values})`);
}
