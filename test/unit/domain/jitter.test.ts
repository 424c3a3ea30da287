import { expect, test } from "vitest";
import { jitterSeconds } from "../../../src/domain/jitter.ts";

const SLOT = new Date("2026-11-22T02:00Z");

test("the jitter of a source and a slot is always the same, below its limit, and none where there is none", () => {
  expect(jitterSeconds("orders", SLOT, 600)).toBe(jitterSeconds("orders", new Date(SLOT), 600));
  // Written down, so that a new version does not move what an old one began to wait for.
  expect(["orders", "wiki", "a"].map((source) => jitterSeconds(source, SLOT, 600))).toEqual([169, 68, 448]);
  expect(jitterSeconds("orders", SLOT, 0)).toBe(0);
});

test("a thousand sources in one slot, and one source in a thousand slots, are spread evenly", () => {
  const bySource = Array.from({ length: 1000 }, (_, i) => jitterSeconds(`db-${i}`, SLOT, 600));
  const bySlot = Array.from({ length: 1000 }, (_, i) => jitterSeconds("orders", new Date(SLOT.getTime() + i * 86_400_000), 600));
  for (const jitters of [bySource, bySlot]) {
    const minutes = Array.from({ length: 10 }, (_, minute) => jitters.filter((seconds) => Math.floor(seconds / 60) === minute).length);
    expect(minutes.reduce((a, b) => a + b)).toBe(1000);
    expect(Math.min(...minutes)).toBeGreaterThan(65);
    expect(Math.max(...minutes)).toBeLessThan(140);
  }
});
