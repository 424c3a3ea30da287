import type pg from "pg";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { messageOf } from "../../errors.ts";
import { queryRows } from "../../postgres/connection.ts";
import { faultOfQuery } from "./drill-faults.ts";

/** What the catalog says of itself that cannot be: a relation with fewer columns than it has, an index of nothing, a relation whose file is not there. */
const CONTRADICTIONS = `
  select c.oid::regclass::text || ' has not the columns that it should' as finding from pg_class c
  where c.relkind in ('r', 'p', 'v', 'm', 'i') and c.relnatts <> (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)
  union all
  select i.indexrelid::text || ' is an index of no relation' from pg_index i
  where not exists (select from pg_class c where c.oid = i.indexrelid) or not exists (select from pg_class c where c.oid = i.indrelid)
  union all
  select c.oid::regclass::text || ' has no file' from pg_class c
  where c.relkind in ('r', 'm', 'i', 't', 'S') and c.relpersistence = 'p' and pg_relation_filepath(c.oid) is not null and pg_stat_file(pg_relation_filepath(c.oid), true) is null
  limit 5`;

export async function checkCatalog(client: pg.Client, database: string): Promise<DrillCheckResult> {
  const common = { name: `catalog (${database})`, required: true } as const;
  try {
    const findings = (await queryRows(client, CONTRADICTIONS)).map((row) => row["finding"] ?? "");
    return {
      ...common,
      outcome: findings.length === 0 ? "pass" : "fail",
      detail: findings.length === 0 ? "relations have their columns and files" : findings.join("; "),
      fault: "backup",
    };
  } catch (error) {
    return { ...common, outcome: "fail", detail: messageOf(error), fault: faultOfQuery(error) };
  }
}

/** An extension whose files these binaries do not have, in its version, works only half: what a recovery on such a machine would run into. */
export async function checkExtensionFiles(client: pg.Client, database: string): Promise<DrillCheckResult> {
  const missing = await queryRows(
    client,
    "select e.extname || ' ' || e.extversion as name from pg_extension e where not exists (select from pg_available_extension_versions v where v.name = e.extname and v.version = e.extversion) order by 1",
  );
  const names = missing.map((row) => row["name"] ?? "").join(", ");
  return {
    name: `extension versions (${database})`,
    required: false,
    outcome: names === "" ? "pass" : "warn",
    detail: names === "" ? "these binaries have all that are used" : `not installed with these server binaries: ${names}`,
    fault: "environment",
  };
}
