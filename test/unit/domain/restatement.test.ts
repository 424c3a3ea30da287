import { expect, test } from "vitest";
import { summariseExposure } from "../../../src/domain/exposure-series.ts";
import type { Observation } from "../../../src/domain/exposure-series.ts";
import { planRestatements, restate } from "../../../src/domain/restatement.ts";
import type { SourceInfo } from "../../../src/domain/source-info.ts";

const at = (time: string): string => `2026-11-01T${time}.000Z`;
const GAP = { repository: "onsite", timeline: 1, startLsn: "0/5000000", endLsn: "0/6000000", firstSegment: "a", lastSegment: "a" };
const window = (repository: string, from: string, to: string, startLsn: string, endLsn: string): SourceInfo["windows"][number] => ({
  repository,
  timeline: 1,
  from: at(from),
  to: at(to),
  startLsn,
  endLsn,
});
const BEFORE = window("onsite", "01:00:00", "03:00:00", "0/2000000", "0/5000000");
const AFTER = window("onsite", "06:00:00", "08:00:00", "0/7000000", "0/9000000");
const now = new Date(at("10:00:00"));
/** As a copy was seen while nothing of it was missing. */
const WHOLE = { windows: [window("onsite", "01:00:00", "08:00:00", "0/2000000", "0/9000000")] };
const first = { before: WHOLE, known: [] };

test("a copy was as exposed as the commits it lacks, from the last one before the gap until a backup lay behind it", () => {
  expect(planRestatements({ gaps: [GAP], windows: [BEFORE, AFTER] }, first, now)).toEqual([
    { repository: "onsite", timeline: 1, startLsn: GAP.startLsn, endLsn: GAP.endLsn, from: at("03:00:00"), until: at("06:00:00") },
  ]);
  expect(planRestatements({ gaps: [GAP], windows: [BEFORE] }, first, now)).toMatchObject([{ until: now.toISOString() }]);
});

test("what is on record is not restated again, and neither is what no backup reaches, or another copy", () => {
  const known = planRestatements({ gaps: [GAP], windows: [BEFORE] }, first, now);
  expect(planRestatements({ gaps: [GAP], windows: [BEFORE, AFTER] }, { before: WHOLE, known }, now)).toEqual([]);
  expect(planRestatements({ gaps: [{ ...GAP, endLsn: "0/7000000" }], windows: [BEFORE] }, { before: WHOLE, known }, now)).toHaveLength(1);
  expect(planRestatements({ gaps: [GAP], windows: [AFTER, window("cloud", "01:00:00", "09:00:00", "0/2000000", "0/9000000")] }, first, now)).toEqual([]);
});

test("what a copy was never seen to hold is not restated: it is being filled up, and new WAL is there before old", () => {
  for (const before of [{ windows: [BEFORE] }, { windows: [BEFORE, AFTER] }, null])
    expect(planRestatements({ gaps: [GAP], windows: [BEFORE, AFTER] }, { before, known: [] }, now)).toEqual([]);
});

test("WAL of a timeline that was left is missing in a window that passed through it, up to the fork and not behind it", () => {
  const whole = { ...window("onsite", "01:00:00", "08:00:00", "0/2000000", "0/9000000"), timeline: 2 };
  const through = (lsn: string): Parameters<typeof planRestatements>[1] => ({ before: { windows: [{ ...whole, forks: [{ timeline: 1, lsn }] }] }, known: [] });
  expect(planRestatements({ gaps: [GAP], windows: [BEFORE] }, through("0/7000000"), now)).toMatchObject([{ timeline: 1, from: at("03:00:00"), until: now.toISOString() }]);
  expect(planRestatements({ gaps: [GAP], windows: [BEFORE] }, through("0/5000000"), now)).toEqual([]);
  // Of another history.
  expect(planRestatements({ gaps: [GAP], windows: [BEFORE] }, { before: { windows: [whole] }, known: [] }, now)).toEqual([]);
});

const summarise = (observations: Iterable<Observation>): ReturnType<typeof summariseExposure> =>
  summariseExposure(observations, { from: new Date(at("02:00:00")), to: new Date(at("08:00:00")), objectiveSeconds: 1800, steps: 10 });
const restated = [{ repository: "onsite", timeline: 1, startLsn: "0/5", endLsn: "0/6", from: at("03:00:00"), until: at("06:00:00") }];

test("samples and what was merged of them are restated alike, to the second of the objective", () => {
  const samples: Observation[] = Array.from({ length: 6 * 240 }, (_, i) => ({ at: new Date(Date.parse(at("02:00:00")) + i * 15_000).toISOString(), seconds: 1 }));
  const spans = Array.from({ length: 6 }, (_, i) => ({ at: at(`0${2 + i}:00:00`), until: at(`0${3 + i}:00:00`), seconds: 1, samples: 240 }));
  for (const [observations, withinMs] of [
    [samples, 15_000],
    [spans, 0],
  ] as const) {
    const summary = summarise(restate(observations, restated, 1800));
    expect(summary.samples).toBe(6 * 240);
    expect(summary.unobservedShare).toBe(0);
    expect(summary.breaches).toHaveLength(1);
    expect(Math.abs(Date.parse(summary.breaches[0]?.from ?? "") - Date.parse(at("03:30:00")))).toBeLessThanOrEqual(withinMs);
    expect(summary.breaches[0]?.to).toBe(at("06:00:00"));
    expect(Math.abs((summary.worst?.seconds ?? 0) - 3 * 3600)).toBeLessThanOrEqual(withinMs / 1000);
  }
  expect(summarise(samples).breaches).toEqual([]);
});

test("what nobody observed stays unobserved, and a worse figure stays as it was", () => {
  const summary = summarise(
    restate(
      [
        { at: at("04:00:00"), seconds: null },
        { at: at("04:00:30"), seconds: 50_000 },
      ],
      restated,
      1800,
    ),
  );
  expect(summary.worst?.seconds).toBe(50_000);
  expect(summary.unobservedShare).toBeCloseTo(1 - 60 / (6 * 3600), 6);
});
