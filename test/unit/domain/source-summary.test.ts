import { expect, test } from "vitest";
import { estimateRecovery } from "../../../src/domain/recovery-estimate.ts";
import { byUrgency, continueTrend, summaryNow, trendOfDay } from "../../../src/domain/source-summary.ts";
import type { SourceSummary } from "../../../src/domain/source-summary.ts";

const NOW = new Date("2026-11-08T12:10:00.000Z");
const SUMMARY: SourceSummary = {
  name: "orders",
  verdict: "ok",
  reasons: [],
  objectives: { rtoSeconds: 900, rpoSeconds: 300 },
  backups: 3,
  recoverableTo: "2026-11-08T12:09:58.000Z",
  exposureSeconds: 2,
  exposureAt: "2026-11-08T12:09:50.000Z",
  predicted: null,
  lastProvenAt: null,
  lastRtoSeconds: null,
  lastVerdict: null,
  trend: [],
};
const drill = { bytes: 1000, walSegments: 10, restoreSeconds: 50, recoverSeconds: 20, checkSeconds: 3, otherSeconds: 2 };

test("an estimate grows with the bytes and the WAL, and not with the fixed steps", () => {
  expect(estimateRecovery([drill], { bytes: 1000, walSegments: 10, segmentBytes: 100 })).toMatchObject({ seconds: 75, drills: 1 });
  expect(estimateRecovery([drill], { bytes: 2000, walSegments: 30, segmentBytes: 100 })).toMatchObject({ seconds: 5 + 125 + 60, drills: 1 });
});

test("one slow day does not tell for all, and without a drill there is no estimate", () => {
  expect(estimateRecovery([drill, drill, { ...drill, restoreSeconds: 5000 }], { bytes: 1000, walSegments: 10, segmentBytes: 100 })?.seconds).toBe(75);
  expect(estimateRecovery([], { bytes: 1000, walSegments: 10, segmentBytes: 100 })).toBeNull();
});

test("what nobody has looked at for a minute is unknown, and no longer ok", () => {
  const later = summaryNow(SUMMARY, new Date(NOW.getTime() + 61_000));
  expect([later.verdict, later.exposureSeconds, later.reasons.map(({ kind }) => kind)]).toEqual(["unknown", null, ["unknown"]]);
  expect(summaryNow(SUMMARY, NOW)).toBe(SUMMARY);
});

test("a breach that nobody has looked at since is still one", () => {
  expect(summaryNow({ ...SUMMARY, verdict: "breached", exposureAt: null }, NOW)).toMatchObject({ verdict: "breached", exposureSeconds: null });
});

test("a trend keeps the worst of each half hour of the last day, and unobserved is no zero", () => {
  const first = continueTrend([], new Date("2026-11-08T11:40:00Z"), 4);
  const raised = continueTrend(continueTrend(first, new Date("2026-11-08T11:50:00Z"), 9), new Date("2026-11-08T11:55:00Z"), 3);
  const blind = continueTrend(raised, NOW, null);
  expect(trendOfDay(blind, NOW).slice(-3)).toEqual([null, 9, null]);
  expect(continueTrend(blind, new Date("2026-11-09T12:10:00Z"), 1)).toHaveLength(1);
});

test("the worst comes first: breached, unknown, then whoever has used up most of an objective", () => {
  const named = (name: string, change: Partial<SourceSummary>): SourceSummary => ({ ...SUMMARY, name, ...change });
  const order = [
    named("calm", {}),
    named("near", { exposureSeconds: 290 }),
    named("slow", { predicted: { seconds: 899, drills: 1, lowSeconds: 40, highSeconds: 80 } }),
    named("unseen", { verdict: "unknown" }),
    named("bad", { verdict: "breached" }),
    named("also calm", {}),
  ].toSorted(byUrgency);
  expect(order.map(({ name }) => name)).toEqual(["bad", "unseen", "slow", "near", "also calm", "calm"]);
});
