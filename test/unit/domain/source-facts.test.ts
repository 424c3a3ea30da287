import { expect, test } from "vitest";
import { differencesFrom, emptiedSince } from "../../../src/domain/source-facts.ts";
import type { DatabaseFacts, SourceFacts } from "../../../src/domain/source-facts.ts";

const tables = (rows: Record<string, number>): DatabaseFacts["tables"] => Object.entries(rows).map(([name, count]) => ({ name, rows: count, blocks: 1 }));
const database = (rows: Record<string, number>, more: Partial<DatabaseFacts> = {}): DatabaseFacts => ({
  name: "app",
  schema: "a1",
  columns: 3,
  tables: tables(rows),
  extensions: [{ name: "citext", version: "1.6" }],
  ...more,
});
const facts = (rows: Record<string, number>): SourceFacts => ({ readAt: "2026-11-28T00:00:00Z", lsn: "0/16B3748", databases: [database(rows)], unread: [] });

test.each([
  ["the same", database({ a: 5000 }), []],
  ["a few rows more or less, as estimates are", database({ a: 4100 }), []],
  ["half of the rows", database({ a: 2400 }), ["a had about 5000 rows and has 2400"]],
  ["no rows", database({ a: 0 }), ["a had about 5000 rows and has 0"]],
  ["a table less", database({}), ["a is not there"]],
  ["another schema", database({ a: 5000 }, { schema: "b2", columns: 2 }), ["the schema is another one (3 columns then, 2 here)"]],
  ["more columns, as work goes on", database({ a: 5000 }, { schema: "b2", columns: 4 }), []],
  ["more rows, as work goes on", database({ a: 50_000 }), []],
  ["an extension that was updated", database({ a: 5000 }, { extensions: [{ name: "citext", version: "1.7" }] }), []],
  ["an extension less", database({ a: 5000 }, { extensions: [] }), ["extension citext was at 1.6 and is not there"]],
])("a restored database with %s", (_, now, expected) => {
  expect(differencesFrom(database({ a: 5000 }), now)).toEqual(expected);
});

test("of a table of few rows nothing is concluded, but that it is empty", () => {
  expect(differencesFrom(database({ a: 150 }), database({ a: 20 }))).toEqual([]);
  expect(differencesFrom(database({ a: 150 }), database({ a: 0 }))).toEqual(["a had about 150 rows and has 0"]);
  expect(differencesFrom(database({ a: 20 }), database({ a: 0 }))).toEqual([]);
});

test("a table that was emptied before the backup is known by the one before", () => {
  expect(emptiedSince(facts({ a: 5000, b: 3 }), facts({ a: 0, b: 0 }))).toEqual(["app: a had about 5000 rows on 2026-11-28T00:00:00Z"]);
  expect(emptiedSince(facts({ a: 5000 }), facts({ a: 1 }))).toEqual([]);
  // Dropped is not emptied.
  expect(emptiedSince(facts({ a: 5000 }), facts({}))).toEqual([]);
});
