import { expect, test } from "vitest";
import { slotName } from "../../../src/operations/source-target.ts";

test("a slot has the name of its source where that is allowed", () => {
  expect(slotName("orders_2")).toBe("holdfast_orders_2");
});

test("two sources never share a slot, and every name is allowed", () => {
  const sources = ["a-b", "a.b", "a_b", `${"x".repeat(62)}y`, `${"x".repeat(62)}z`, "x".repeat(54), "x".repeat(55)];
  const slots = sources.map(slotName);
  expect(new Set(slots).size).toBe(sources.length);
  for (const slot of slots) expect(slot).toMatch(/^[a-z0-9_]{1,63}$/);
});
