import { prose } from "./realistic-rows.ts";
import { copyRows, numbered } from "./row-loading.ts";
import pg from "pg";
import { identifier, literal } from "./session.ts";
import type { Session } from "./session.ts";
import type { Action } from "./workload-actions.ts";

/**
 * PostgreSQL fails to rewrite a table that keeps a dead row whose long values VACUUM removed already (its bugs 18351 and 19519, open in every version): the statement is undone, and no row that anybody
 * can see is hurt. So all of those must be readable then: else it is damage.
 */
async function rewrite(session: Session, table: string, statement: string): Promise<void> {
  try {
    await session.rows(statement);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || !/^missing chunk number \d+ for toast value/.test(error.message)) throw error;
    await session.rows(`select sum(length(${table}::text)) from ${table}`);
  }
}

/** What happens to files: they are rewritten, truncated, moved, made and dropped, and their side forks change. */
export const storageActions = {
  "vacuum everything": async ({ shop, ledger, random }) => {
    const how = random.chance(0.3) ? "vacuum (freeze, analyze)" : "vacuum";
    for (const session of [shop, ledger]) await session.rows(how);
  },

  "rewrite by vacuum full": async ({ shop, random }) => {
    const table = random.pick(["imports", "customers", "documents", "orders_archive"]);
    await rewrite(shop, table, `vacuum full ${table}`);
  },

  "rewrite by cluster": async ({ shop, random }) => {
    await shop.rows(random.pick(["cluster orders_archive using orders_archive_id", "cluster orders using orders_customer", "cluster imports using imports_pkey"]));
  },

  /** The end of a file goes away, and comes back with other rows: old pages must not. */
  "cut the tail and grow again": async ({ shop, random }) => {
    const [last] = await shop.rows("select coalesce(max(id), 0)::bigint as id, count(*) as rows from imports");
    const keep = Math.floor(Number(last?.["rows"] ?? 0) / random.integer(2, 10));
    await shop.each([`delete from imports where id > ${keep}`, "vacuum (truncate) imports"]);
    await shop.rows("begin");
    await copyRows(
      shop,
      "imports (id, line, amount, note)",
      numbered(random.integer(200, 1500), (id) => [id, prose(random, 20), random.integer(1, 1e6) / 100, null], Number(last?.["id"] ?? 0) + 1),
    );
    await shop.rows(random.chance(0.5) ? "commit" : "rollback");
  },

  "index again": async ({ shop, random }) => {
    await shop.rows(random.pick(["reindex table orders", "reindex index customers_tags", "reindex index concurrently imports_amount", "reindex index orders_placed_brin"]));
  },

  "swap an index": async ({ shop, random }) => {
    await shop.rows("drop index if exists orders_extra");
    await shop.rows(
      `create index ${random.chance(0.3) ? "concurrently " : ""}orders_extra on orders (${random.pick(["amount", "status, id desc", "placed nulls first", "date_part('year', placed at time zone 'UTC')"])})`,
    );
  },

  "change a table's shape": async ({ shop, step }) => {
    await shop.each(["alter table imports drop column if exists extra", `alter table imports add column extra text default ${literal(`step ${step}`)}`]);
    if (step % 2 === 0) await shop.rows("alter table imports drop column extra");
  },

  "move a table": async ({ shop, random, tablespaces }) => {
    const places = ["pg_default", ...Array.from({ length: tablespaces }, (_, index) => `space${index + 1}`)];
    await shop.rows(`alter table ${random.pick(["orders_archive", "imports", "counters"])} set tablespace ${random.pick(places)}`);
    await shop.rows(`alter index orders_archive_id set tablespace ${random.pick(places)}`);
  },

  "toggle logging": async ({ ledger }) => {
    const persistence = await ledger.value("select relpersistence from pg_class where relname = 'toggled'");
    await ledger.rows(`alter table toggled set ${persistence === "p" ? "unlogged" : "logged"}`);
  },

  "new database": async ({ shop, random, step, major }) => {
    const name = identifier(`extra_${step}_${random.hex(4)}`);
    const strategy = major >= 15 ? ` strategy ${random.pick(["wal_log", "file_copy"])}` : "";
    await shop.rows(`create database ${name} template template1${strategy}`);
  },

  "drop a database": async ({ shop }) => {
    const [oldest] = await shop.rows("select datname from pg_database where datname like 'extra\\_%' order by datname limit 1");
    if (oldest !== undefined) await shop.rows(`drop database ${identifier(oldest["datname"] ?? "")}`);
  },

  checkpoint: async ({ shop }) => {
    await shop.rows("checkpoint");
  },

  "switch WAL": async ({ shop }) => {
    await shop.rows("select pg_switch_wal()");
  },
} satisfies Record<string, Action>;
