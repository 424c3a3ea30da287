import { DatabaseSync } from "node:sqlite";

/** The runs on record in a catalog, oldest first. */
export function openCatalogRuns(file: string): { operation: string; outcome: string }[] {
  using database = new DatabaseSync(file, { readOnly: true });
  const rows = database.prepare("select operation, outcome from runs order by started_at").all();
  return rows.map((row) => ({ operation: String(row["operation"]), outcome: String(row["outcome"]) }));
}
