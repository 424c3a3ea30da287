import type { Catalog } from "../../src/catalog/catalog.ts";
import { numberOrNull, textOf } from "../../src/catalog/catalog.ts";

/** What a catalog has once, and what follows by itself. */
const NOT_MERGED = ["sqlite_sequence", "schedules", "thinned", "epoch"];
/** Runs name their schedule by a number, which is of their catalog alone. */
const VALUES: Readonly<Record<string, string>> = {
  "runs.schedule": "(select mine.id from main.schedules as mine join other.schedules as theirs using (text) where theirs.id = runs.schedule)",
};

const CACHE_KIB = 512 * 1024;

/** Brings all of another catalog, which is about other sources and by another writer, into this one; refused where a row would get lost. */
export function mergeCatalog(catalog: Catalog, file: string): void {
  // Rows come by time, and go into indexes by source: all over them.
  catalog.all(`pragma main.cache_size = -${CACHE_KIB}`);
  catalog.run("attach database :file as other", { file });
  catalog.transaction(() => {
    catalog.run("insert or ignore into main.schedules (text) select text from other.schedules", {});
    for (const row of catalog.all("select name from other.sqlite_master where type = 'table'"))
      if (!NOT_MERGED.includes(textOf(row, "name"))) mergeTable(catalog, textOf(row, "name"));
  });
  catalog.run("detach database other", {});
}

function mergeTable(catalog: Catalog, table: string): void {
  // Events are numbered in the order in which a catalog learned of them.
  const columns = catalog
    .all("select name from pragma_table_info(:table)", { table })
    .map((row) => textOf(row, "name"))
    .filter((column) => `${table}.${column}` !== "events.id");
  const values = columns.map((column) => VALUES[`${table}.${column}`] ?? `${table}.${column}`);
  const merged = catalog.run(`insert into main.${table} (${columns.join(", ")}) select ${values.join(", ")} from other.${table} as ${table}`, {});
  const [there] = catalog.all(`select count(*) as rows from other.${table}`);
  if (there === undefined || numberOrNull(there, "rows") !== merged) throw new Error(`${table}: ${merged} rows were merged`);
}
