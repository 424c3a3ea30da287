import type pg from "pg";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { queryRows } from "../../postgres/connection.ts";
import { majorOf } from "../../postgres/server-identity.ts";

/** Until 14 PostgreSQL does not note the version of a database's own collation. */
const DEFAULT_COLLATION = `
  union all
  select 100::oid, 'the collation of the database', d.datcollversion, pg_database_collation_actual_version(d.oid)
  from pg_database d where d.datname = current_database() and d.datcollversion is not null`;

const CHANGED = (major: number): string => `
  with noted (oid, name, there, here) as (
    select c.oid, c.oid::regcollation::text, c.collversion, pg_collation_actual_version(c.oid) from pg_collation c where c.collversion is not null
    ${major >= 15 ? DEFAULT_COLLATION : ""}
  )
  select n.name, n.there, coalesce(n.here, 'unknown') as here, string_agg(distinct i.indexrelid::regclass::text, ', ') as indexes
  from noted n join pg_index i on n.oid = any (i.indcollation::oid[]) join pg_class c on c.oid = i.indexrelid
  where n.here is distinct from n.there and c.relpersistence <> 't'
  group by n.name, n.there, n.here order by n.name`;

/**
 * Whether text sorts here as it did where the indexes were built: another version of the C library or of ICU may sort otherwise, and an index then misses rows that are there. PostgreSQL
 * itself only warns, to whoever connects.
 */
export async function checkCollations(client: pg.Client, database: string): Promise<DrillCheckResult> {
  const [version] = await queryRows(client, "select current_setting('server_version_num') as number");
  const changed = await queryRows(client, CHANGED(majorOf(Number(version?.["number"] ?? 0))));
  const detail = changed.map(({ name, there, here, indexes }) => `${name} was at version ${there} and is at ${here} here: reindex ${indexes}`).join("; ");
  return {
    name: `collation versions (${database})`,
    required: false,
    outcome: changed.length === 0 ? "pass" : "warn",
    detail: changed.length === 0 ? "text sorts as where the indexes were built" : detail,
    fault: "environment",
  };
}
