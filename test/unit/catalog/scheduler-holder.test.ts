import { expect, test } from "vitest";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { claimScheduler, releaseScheduler } from "../../../src/catalog/scheduler-holder.ts";

test("one at a time schedules: another waits until the one before is gone, or said so", () => {
  using catalog = Catalog.open(":memory:");
  const at = new Date("2026-11-28T00:00:00Z");
  const claim = (holder: string, isFree: boolean): boolean => claimScheduler(catalog, holder, at, () => isFree);
  expect(claim("a", false)).toBe(true);
  expect(claim("a", false)).toBe(true);
  expect(claim("b", false)).toBe(false);
  // Who is certainly dead makes room, and does not take it back.
  expect(claim("b", true)).toBe(true);
  releaseScheduler(catalog, "a");
  expect(claim("a", false)).toBe(false);
  releaseScheduler(catalog, "b");
  expect(claim("a", false)).toBe(true);
});
