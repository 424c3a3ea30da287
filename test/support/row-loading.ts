import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { from } from "pg-copy-streams";
import { literal } from "./session.ts";
import type { Session } from "./session.ts";

export function numbered<T>(count: number, make: (id: number) => T, first = 1): T[] {
  return Array.from({ length: count }, (_, index) => make(first + index));
}

/** By INSERT, one statement. Keys are the columns' names. */
export async function insertRows(session: Session, table: string, rows: readonly object[], columns = "*"): Promise<void> {
  const into = columns === "*" ? table : `${table} (${columns})`;
  await session.rows(`insert into ${into} select ${columns} from json_populate_recordset(null::${table}, ${literal(JSON.stringify(rows))}::json)`);
}

/** By COPY: PostgreSQL 16 and newer extend the file by many pages at once then, and a crash leaves some of them zero. */
export async function copyRows(session: Session, into: string, rows: readonly (readonly (string | number | null)[])[]): Promise<void> {
  const lines = rows.map((row) => `${row.map(copyText).join("\t")}\n`);
  await pipeline(Readable.from(lines), session.client.query(from(`copy ${into} from stdin`)));
}

function copyText(value: string | number | null): string {
  if (value === null) return "\\N";
  return String(value).replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n");
}
