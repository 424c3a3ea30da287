/**
 * What a source said of itself while it was backed up, to hold a restored cluster against: its schema, its extensions, and about how many rows its tables had. The numbers of rows are the
 * server's own estimates: a difference is a reason to look, and no proof.
 */
export interface TableFacts {
  /** With its schema, quoted where SQL needs it. */
  readonly name: string;
  readonly rows: number;
  /** Pages by the server's catalog, as of its last vacuum. */
  readonly blocks: number;
}

export interface DatabaseFacts {
  readonly name: string;
  /** A digest of relations, columns and their types. */
  readonly schema: string;
  readonly columns: number;
  /** The largest ones. */
  readonly tables: readonly TableFacts[];
  readonly extensions: readonly { readonly name: string; readonly version: string }[];
}

export interface SourceFacts {
  /** By the server's clock. */
  readonly readAt: string;
  readonly lsn: string;
  readonly databases: readonly DatabaseFacts[];
  /** Databases that we may not connect to, or that did not answer in time. */
  readonly unread: readonly string[];
}

/** Estimates are off by a few rows everywhere; of small tables nothing is concluded. */
const TOLERANCE = { ratio: 0.5, rows: 1000 } as const;
const EMPTIED_FROM_ROWS = 100;

/** What a restored database lacks of what was said of it, in words. More is no finding: work went on between the two. Less may be work too, so it is no damage by itself, and a reason to look. */
export function differencesFrom(then: DatabaseFacts, now: DatabaseFacts): string[] {
  const found: string[] = [];
  if (then.schema !== now.schema && now.columns < then.columns) found.push(`the schema is another one (${then.columns} columns then, ${now.columns} here)`);
  const here = new Map(now.tables.map((table) => [table.name, table.rows]));
  for (const { name, rows } of then.tables) {
    const count = here.get(name);
    if (count === undefined) found.push(`${name} is not there`);
    else if (isFarBelow(rows, count)) found.push(`${name} had about ${rows} rows and has ${count}`);
  }
  const versions = new Map(now.extensions.map(({ name, version }) => [name, version]));
  for (const { name, version } of then.extensions) if (!versions.has(name)) found.push(`extension ${name} was at ${version} and is not there`);
  return found;
}

function isFarBelow(then: number, now: number): boolean {
  const lost = then - now;
  return (now === 0 && then >= EMPTIED_FROM_ROWS) || (lost > TOLERANCE.rows && lost > TOLERANCE.ratio * then);
}

/** Tables that held rows at the backup before this one, and none at this one: a faithful copy of a loss. */
export function emptiedSince(before: SourceFacts, after: SourceFacts): string[] {
  const databases = new Map(after.databases.map((database) => [database.name, database]));
  return before.databases.flatMap(({ name, tables }) => {
    const now = new Map((databases.get(name)?.tables ?? []).map((table) => [table.name, table]));
    return tables.flatMap(({ name: table, rows }) =>
      rows >= EMPTIED_FROM_ROWS && now.get(table)?.rows === 0 ? [`${name}: ${table} had about ${rows} rows on ${before.readAt}`] : [],
    );
  });
}
