import { expect, test } from "vitest";
import type { CopyFact } from "../../../src/domain/alert-facts.ts";
import { whyNotAlive } from "../../../src/domain/alive.ts";

const NOW = new Date("2026-11-27T12:00:00.000Z");
const COPY: CopyFact = { repository: "onsite", sight: "observed", objectiveApplies: true, exposureSeconds: 2, gaps: 0 };
const source = (seenAt: string | null, copy: Partial<CopyFact> = {}): { name: string; seenAt: string | null; copies: CopyFact[] } => ({
  name: "orders",
  seenAt,
  copies: [{ ...COPY, ...copy }],
});
const FRESH = "2026-11-27T11:58:10.000Z";

test("the switch is pressed while every source is observed and the scheduler is on time, also where an objective is not held", () => {
  expect(whyNotAlive({ schedulerOnTime: true, sources: [source(FRESH), source(FRESH, { exposureSeconds: 1e6 })] }, NOW)).toEqual([]);
});

test.each([
  ["the scheduler is late", { schedulerOnTime: false, sources: [source(FRESH)] }],
  ["one of two sources was last looked at too long ago", { schedulerOnTime: true, sources: [source(FRESH), source("2026-11-27T11:57:50.000Z")] }],
  ["a look is from a future that the clock has left again", { schedulerOnTime: true, sources: [source("2026-11-27T12:05:00.000Z")] }],
  ["a source was never looked at", { schedulerOnTime: true, sources: [source(null)] }],
  ["it is not known how exposed a copy is", { schedulerOnTime: true, sources: [source(FRESH, { exposureSeconds: null })] }],
])("it is not while %s", (_, facts) => {
  expect(whyNotAlive(facts, NOW)).toHaveLength(1);
});
