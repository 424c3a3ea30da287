import { DIGEST, onlySequentialScans, ROW } from "./digest.ts";
import { indexesOf } from "./relations.ts";
import type { Index, Table } from "./relations.ts";
import type { Session } from "./session.ts";
import { UnsoundError } from "./unsound.ts";

/**
 * Reads a table through each of its indexes, and must find what a sequential scan finds. An index-only scan believes the visibility map
 * instead of the table, so it shows a wrong map; any other shows entries that are missing, left over, or lead to the wrong row.
 */
export interface ScanCounts {
  readonly indexes: number;
  readonly indexOnly: number;
  readonly probed: number;
  /** Indexes of a kind that nothing here can ask: named, so that nobody believes they were. */
  readonly notAsked: readonly string[];
}

/** Operators to look a row up by its own value, and how many values: those that find many rows each are asked for fewer. */
const PROBES: Readonly<Record<string, { operator: (type: string) => string | null; values: number }>> = {
  hash: { operator: () => "=", values: 5000 },
  brin: { operator: () => "=", values: 50 },
  gin: { operator: (type) => (type.endsWith("[]") || type === "jsonb" ? "@>" : null), values: 60 },
};

export async function compareIndexes(session: Session, database: string, table: Table): Promise<ScanCounts> {
  const counts = { indexes: 0, indexOnly: 0, probed: 0, notAsked: [] as string[] };
  for (const index of await indexesOf(session, table)) {
    if (index.method === "btree") {
      // Index-only first: a scan that visits the rows marks entries of dead ones in the index, and would heal what the other is to find.
      if (index.columns !== null) {
        await compare(session, database, index, ownColumns(table, index, index.columns), table);
        counts.indexOnly++;
      }
      await compare(session, database, index, wholeRows(table, index), table);
      counts.indexes++;
    } else {
      const query = probe(table, index);
      if (query === null) counts.notAsked.push(`${database}: ${index.name}`);
      else {
        await compare(session, database, index, query, table);
        counts.probed++;
      }
    }
  }
  return counts;
}

interface Query {
  readonly text: string;
  readonly node: RegExp;
  readonly what: string;
}

/** The ORDER BY is what makes a scan of the whole index worthwhile to the planner; in a subquery, so that it stays. */
function wholeRows(table: Table, index: Index): Query {
  const where = index.where === "" ? "" : ` where ${index.where}`;
  return {
    text: `select ${DIGEST("r")} from (select ${ROW}::text as r from ${table.name} as ${ROW}${where} order by ${index.order}) as scan`,
    node: /^Index (Only )?Scan$/,
    what: "rows",
  };
}

function ownColumns(table: Table, index: Index, columns: readonly string[]): Query {
  const where = index.where === "" ? "" : ` where ${index.where}`;
  return {
    text: `select ${DIGEST("r")} from (select row(${columns.join(", ")})::text as r from ${table.name}${where} order by ${index.order}) as scan`,
    node: /^Index Only Scan$/,
    what: "its own columns",
  };
}

function probe(table: Table, index: Index): Query | null {
  const column = index.columns?.[0];
  const kind = PROBES[index.method];
  const operator = kind?.operator(index.type) ?? null;
  if (column === undefined || kind === undefined || operator === null || index.where !== "") return null;
  const values = `select v from (select distinct ${column} as v from ${table.name}) as every_value where v is not null order by md5(v::text) limit ${kind.values}`;
  return {
    text: `with asked as materialized (${values}) select ${DIGEST(`${ROW}::text`)} from asked join ${table.name} as ${ROW} on ${ROW}.${column} ${operator} asked.v`,
    node: /^(Index Scan|Bitmap Index Scan)$/,
    what: `rows looked up with ${operator}`,
  };
}

async function compare(session: Session, database: string, index: Index, query: Query, table: Table): Promise<void> {
  await onlySequentialScans(session);
  const expected = await session.value(query.text);
  const found = await through(session, database, index, query, table);
  if (found !== expected)
    throw new UnsoundError(
      "index scan",
      database,
      index.name,
      `${query.what} read through the index differ from a sequential scan of ${table.name}: ${found} instead of ${expected}`,
    );
}

/** With every other index of the table hidden from the planner, within a transaction that is rolled back; and with a look at the plan, because a check that did not use the index would pass. */
async function through(session: Session, database: string, index: Index, query: Query, table: Table): Promise<string> {
  await session.rows("begin");
  try {
    await session.rows("set local enable_indexscan = on; set local enable_indexonlyscan = on; set local enable_bitmapscan = on");
    await session.rows(
      "select set_config(name, 'off', true) from pg_settings where name in ('enable_seqscan', 'enable_sort', 'enable_hashjoin', 'enable_mergejoin', 'enable_material', 'enable_memoize')",
    );
    await session.rows("update pg_index set indisvalid = false where indrelid = $1 and indexrelid <> $2", [table.oid, index.oid]);
    await mustUse(session, database, index, query);
    return await session.value(query.text);
  } finally {
    await session.rows("rollback");
  }
}

async function mustUse(session: Session, database: string, index: Index, query: Query): Promise<void> {
  const plan = await session.value(`explain (format json) ${query.text}`);
  const isUsed = nodesOf(JSON.parse(plan)).some((node) => node.index === index.plainName && query.node.test(node.kind));
  if (!isUsed) throw new UnsoundError("index scan", database, index.name, `PostgreSQL cannot be made to use it, so it was not checked:\n${plan}`);
}

interface PlanNode {
  readonly kind: string;
  readonly index: string;
}

function nodesOf(plan: unknown): PlanNode[] {
  if (typeof plan !== "object" || plan === null) return [];
  const below = Object.values(plan).flatMap(nodesOf);
  return "Node Type" in plan && "Index Name" in plan ? [{ kind: String(plan["Node Type"]), index: String(plan["Index Name"]) }, ...below] : below;
}
