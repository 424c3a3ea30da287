import { expect, test } from "vitest";
import { Exclusion } from "../../../src/files/exclusion.ts";

test("rules hold for as many paths as are asked for", () => {
  const exclusion = new Exclusion(["*.tmp", "!keep.tmp", "cache/"]);
  for (let i = 0; i < 25_000; i++) expect([exclusion.excludes(`a/${i}.tmp`, false), exclusion.excludes(`a/${i}.txt`, false)]).toEqual([true, false]);
  expect([exclusion.excludes("a/keep.tmp", false), exclusion.excludes("a/cache", true), exclusion.excludes("a/cache", false)]).toEqual([false, true, false]);
});
