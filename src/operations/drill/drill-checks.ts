import type pg from "pg";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { messageOf } from "../../errors.ts";
import { escapeIdentifier, queryRows } from "../../postgres/connection.ts";
import { checkCollations } from "./collation-check.ts";
import { checkCatalog, checkExtensionFiles } from "./catalog-check.ts";
import { faultOfQuery } from "./drill-faults.ts";
import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";

/**
 * Is what was restored sound? Reading tables from end to end would miss the worst faults: a stale visibility map makes index-only scans return deleted rows, and no heap check sees it.
 * So every index is held against its table, visibility maps against pages, and the same again after writes.
 */
export async function checkSoundness(cluster: ScratchCluster, signal: AbortSignal): Promise<DrillCheckResult[]> {
  const databases = await listDatabases(cluster);
  const checks: DrillCheckResult[] = [];
  for (const database of databases) {
    signal.throwIfAborted();
    checks.push(...(await checkDatabase(cluster, database)));
  }
  return checks;
}

export async function listDatabases(cluster: Pick<ScratchCluster, "connect">): Promise<string[]> {
  await using connection = await cluster.connect("postgres").catch(() => cluster.connect("template1"));
  const rows = await queryRows(connection.client, "select datname from pg_database where datallowconn and datname <> 'template0' order by datname");
  return rows.map((row) => row["datname"] ?? "");
}

async function checkDatabase(cluster: ScratchCluster, database: string): Promise<DrillCheckResult[]> {
  await using connection = await cluster.connect(database);
  const { client } = connection;
  await client.query("set session_replication_role = replica");
  await client.query("set search_path = pg_catalog");
  const collations = await checkCollations(client, database);
  const catalog = await checkCatalog(client, database);
  const versions = await checkExtensionFiles(client, database);
  const extensions = await createCheckExtensions(client);
  const before = await checkStructures(client, database, extensions, "");
  const write = await writePhase(client, database);
  const after = await checkStructures(client, database, extensions, " after writes");
  return [collations, catalog, versions, ...before, write, ...after];
}

interface CheckExtensions {
  readonly amcheck: boolean;
  readonly visibility: boolean;
  /** verify_heapam came with amcheck 1.3 (PostgreSQL 14). */
  readonly heap: boolean;
}

/** In a schema of our own, so that nothing of the restored database is in the way. */
async function createCheckExtensions(client: pg.Client): Promise<CheckExtensions> {
  await client.query("create schema if not exists holdfast_drill");
  const available = await queryRows(
    client,
    "select name, default_version as version, installed_version as installed from pg_available_extensions where name in ('amcheck', 'pg_visibility')",
  );
  for (const row of available) if (row["installed"] === null) await client.query(`create extension ${escapeIdentifier(row["name"] ?? "")} schema holdfast_drill`);
  const names = new Set(available.map((row) => row["name"]));
  const heap = await queryRows(client, "select 1 as there from pg_proc where proname = 'verify_heapam'");
  return { amcheck: names.has("amcheck"), visibility: names.has("pg_visibility"), heap: heap.length > 0 };
}

async function checkStructures(client: pg.Client, database: string, extensions: CheckExtensions, when: string): Promise<DrillCheckResult[]> {
  const at = `${database}${when}`;
  return [
    extensions.amcheck
      ? await checkEach(client, `indexes against tables (${at})`, INDEX_LIST, (row) => `select ${row["schema"]}.bt_index_check(${row["oid"]}::regclass, true)`)
      : skipped(`indexes against tables (${at})`, "amcheck is not installed with these server binaries"),
    extensions.heap
      ? await checkEach(client, `tables (${at})`, TABLE_LIST("verify_heapam"), (row) => `select * from ${row["schema"]}.verify_heapam(${row["oid"]}::regclass) limit 1`)
      : { ...skipped(`tables (${at})`, "verify_heapam is not available"), required: false },
    extensions.visibility
      ? await checkEach(
          client,
          `visibility maps (${at})`,
          TABLE_LIST("pg_check_visible"),
          (row) =>
            `select * from ${row["schema"]}.pg_check_visible(${row["oid"]}::regclass) union all select * from ${row["schema"]}.pg_check_frozen(${row["oid"]}::regclass) limit 1`,
        )
      : skipped(`visibility maps (${at})`, "pg_visibility is not installed with these server binaries"),
  ];
}

const schemaOf = (procedure: string): string =>
  `(select quote_ident(n.nspname) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.proname = '${procedure}' limit 1)`;

const INDEX_LIST = `
  select i.indexrelid::text as oid, i.indexrelid::regclass::text as name, ${schemaOf("bt_index_check")} as schema
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
  where a.amname = 'btree' and c.relkind = 'i' and i.indisvalid and i.indisready and c.relpersistence <> 't' order by c.relpages desc`;

const TABLE_LIST = (procedure: string): string => `
  select c.oid::text as oid, c.oid::regclass::text as name, ${schemaOf(procedure)} as schema
  from pg_class c where c.relkind in ('r', 't', 'm') and c.relpersistence <> 't' order by c.relpages desc`;

/** Runs a check on each relation: an error, or any row where none is expected, is damage. */
async function checkEach(client: pg.Client, name: string, list: string, check: (row: Record<string, string | null>) => string): Promise<DrillCheckResult> {
  const relations = await queryRows(client, list);
  for (const row of relations) {
    try {
      const { rows } = await client.query<Record<string, unknown>>(check(row));
      const finding = name.startsWith("indexes") ? undefined : rows[0];
      if (finding !== undefined) return failed(name, `${row["name"]}: ${Object.values(finding).map(String).join(", ")}`);
    } catch (error) {
      return failed(name, `${row["name"]}: ${messageOf(error)}`, faultOfQuery(error));
    }
  }
  return { name, required: true, outcome: "pass", detail: `${relations.length} checked`, fault: "backup" };
}

const TABLES_WRITTEN = 20;
const ROWS_WRITTEN = 50;

/** Changes some rows of some tables to themselves, without triggers, and vacuums them: pages, indexes, free-space and visibility maps all take part. */
async function writePhase(client: pg.Client, database: string): Promise<DrillCheckResult> {
  const name = `writes (${database})`;
  try {
    await client.query("create table holdfast_drill.writable (id int primary key, at timestamptz)");
    await client.query("insert into holdfast_drill.writable select g, now() from generate_series(1, 1000) g");
    const tables = await queryRows(client, WRITABLE_TABLES);
    for (const { name: table, column } of tables) {
      await client.query(`update ${table} set ${column} = ${column} where ctid = any (array(select ctid from ${table} limit ${ROWS_WRITTEN}))`);
      await client.query(`vacuum ${table}`);
    }
    await client.query("drop table holdfast_drill.writable");
    return { name, required: true, outcome: "pass", detail: `${tables.length} tables changed and vacuumed`, fault: "backup" };
  } catch (error) {
    return failed(name, messageOf(error), faultOfQuery(error));
  }
}

const WRITABLE_TABLES = `
  select c.oid::regclass::text as name, (select quote_ident(attname) from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a' order by attnum limit 1) as column
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema', 'holdfast_drill')
    and exists (select from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '' and attidentity <> 'a')
  order by c.relpages limit ${TABLES_WRITTEN}`;

function failed(name: string, detail: string, fault: DrillCheckResult["fault"] = "backup"): DrillCheckResult {
  return { name, required: true, outcome: "fail", detail, fault };
}

function skipped(name: string, detail: string): DrillCheckResult {
  return { name, required: true, outcome: "skipped", detail, fault: "environment" };
}
