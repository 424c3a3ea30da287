import { expect, test } from "vitest";
import { isContentOf, selectDatabases, sqlAfterSelection } from "../../../src/domain/database-selection.ts";

const DATABASES = [
  { oid: 1, name: "template1" },
  { oid: 4, name: "template0" },
  { oid: 16_390, name: "postgres" },
  { oid: 16_400, name: "shop" },
  { oid: 16_500, name: 'odd"name' },
];

test("databases that every cluster has are never left out, whatever their number", () => {
  const selection = selectDatabases(DATABASES, ["shop"]);
  expect(selection).toEqual({ leftOut: [{ oid: 16_500, name: 'odd"name' }], unknown: [] });
  expect(sqlAfterSelection(selection)).toEqual(['drop database "odd""name";', "alter system reset ignore_invalid_pages;"]);
});

test("a name that is not there is told, and nothing left out leaves nothing to do", () => {
  expect(selectDatabases(DATABASES, ["Shop"]).unknown).toEqual(["Shop"]);
  expect(sqlAfterSelection(selectDatabases(DATABASES, ["shop", 'odd"name']))).toEqual([]);
});

test.each([
  ["base/16500/1259", true],
  ["base/16500/2619_vm", true],
  ["base/16500/pg_filenode.map", true],
  ["base/16500/PG_VERSION", false],
  ["base/16400/1259", false],
  ["base/165001/1259", false],
  ["pg_tblspc/17000/PG_15_202209061/16500/17001.1", true],
  ["global/16500", false],
  ["pg_twophase/16500", false],
])("%s is content of database 16500: %s", (path, expected) => {
  expect(isContentOf(path, new Set([16_500]))).toBe(expected);
});
