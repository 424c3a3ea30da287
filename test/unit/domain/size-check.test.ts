import { expect, test } from "vitest";
import { checkSize } from "../../../src/domain/size-check.ts";
import type { Sized } from "../../../src/domain/size-check.ts";

const GIB = 2 ** 30;
const full = (source: number, stored = source / 4): Sized => ({ type: "full", sourceBytes: source * GIB, storedBytes: stored * GIB });
const SEVEN = [9, 10, 10, 10, 11, 11, 12].map((size) => full(size));

test.each<[string, Sized, "usual" | "unusual"]>([
  ["the median itself", full(10), "usual"],
  ["half of it", full(5, 1.25), "usual"],
  ["less than half of it", full(4.9), "unusual"],
  ["twice of it", full(20, 5), "usual"],
  ["more than twice of it", full(20.1), "unusual"],
  ["the usual source that takes hardly anything", full(10, 0.1), "unusual"],
  ["nothing", full(0), "unusual"],
])("beside seven of 10 GiB, %s is judged", (_, backup, verdict) => {
  const check = checkSize(backup, SEVEN);
  expect([check.verdict, check.history, check.sourceMedianBytes, check.reason === null]).toEqual([verdict, 7, 10 * GIB, verdict === "usual"]);
});

test("only the last seven of its type count, and fewer than three say nothing", () => {
  const others: Sized[] = Array.from({ length: 9 }, () => ({ type: "incremental", sourceBytes: 1, storedBytes: 1 }));
  expect(checkSize(full(100), [full(10), full(10), ...others])).toEqual({ verdict: "unknown", history: 2, sourceMedianBytes: null, storedMedianBytes: null, reason: null });
  expect(checkSize(full(100), [...SEVEN, ...Array.from({ length: 7 }, () => full(90)), ...others])).toMatchObject({ verdict: "usual", history: 7 });
});

test("a difference of a few megabytes is nothing, whatever the share", () => {
  const incremental = (storedBytes: number): Sized => ({ type: "incremental", sourceBytes: GIB, storedBytes });
  expect(checkSize(incremental(5_000_000), [incremental(8000), incremental(9000), incremental(0)]).verdict).toBe("usual");
});
