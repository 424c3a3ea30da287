import { expect, test } from "vitest";
import { commitWaitFor, parseSynchronousStandbys } from "../../../src/postgres/synchronous-standbys.ts";

test.each([
  ["", null],
  ["s1", { needed: 1, names: ["s1"] }],
  ['s1, "holdfast wal"', { needed: 1, names: ["s1", "holdfast wal"] }],
  ["2 (s1, s2)", { needed: 2, names: ["s1", "s2"] }],
  ['FIRST 1 ("a ""b""", *)', { needed: 1, names: ['a "b"', "*"] }],
  ["any 2(s1,s2 , s3)", { needed: 2, names: ["s1", "s2", "s3"] }],
])("synchronous_standby_names = %s is read as the server reads it", (setting, expected) => {
  expect(parseSynchronousStandbys(setting)).toEqual(expected);
});

test.each([
  ["", "none"],
  ["s1", "none"],
  ["holdfast", "none"],
  ['"Holdfast WAL"', "alone"],
  ['s1, "holdfast wal"', "with-others"],
  ['ANY 1 (s1, "holdfast wal")', "with-others"],
  ['FIRST 2 (s1, "holdfast wal")', "alone"],
  ["*", "with-others"],
])("with synchronous_standby_names = %s commits wait for us: %s", (setting, expected) => {
  expect(commitWaitFor(setting, "holdfast wal")).toBe(expected);
});
