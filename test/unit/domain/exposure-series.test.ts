import { expect, test } from "vitest";
import { beyondObjective, summariseExposure } from "../../../src/domain/exposure-series.ts";
import type { ExposureSummary, Observation } from "../../../src/domain/exposure-series.ts";

const FROM = new Date("2026-11-21T10:00:00Z");
const TO = new Date("2026-11-21T10:10:00Z");

/** Observations by seconds after ten o'clock. */
function summarise(observations: readonly (readonly [number, number | null])[], options: { to?: Date; objectiveSeconds?: number; steps?: number } = {}): ExposureSummary {
  const series: Observation[] = observations.map(([second, seconds]) => ({ at: new Date(FROM.getTime() + second * 1000).toISOString(), seconds }));
  return summariseExposure(series, { from: FROM, to: TO, objectiveSeconds: 300, steps: 10, ...options });
}

const every = (step: number, from: number, to: number, seconds: (at: number) => number | null): [number, number | null][] =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => [from + index * step, seconds(from + index * step)]);

test("without samples everything is unobserved, and nothing is compliant", () => {
  expect(summarise([])).toMatchObject({ samples: 0, worst: null, last: null, withinObjectiveShare: 0, beyondObjectiveShare: 0, unobservedShare: 1, breaches: [] });
});

test("samples without a break cover the period", () => {
  expect(summarise(every(15, 0, 600, () => 2))).toMatchObject({ samples: 40, withinObjectiveShare: 1, beyondObjectiveShare: 0, unobservedShare: 0 });
});

test("a sample holds for sixty seconds and not longer", () => {
  expect(summarise([[0, 1]])).toMatchObject({ withinObjectiveShare: 0.1, unobservedShare: 0.9 });
  expect(
    summarise([
      [0, 1],
      [61, 1],
    ]).unobservedShare,
  ).toBeCloseTo(1 - 120 / 600, 10);
});

test("time before the first sample is unobserved, and a sample just before the period holds into it", () => {
  expect(summarise(every(15, 300, 600, () => 0))).toMatchObject({ withinObjectiveShare: 0.5, unobservedShare: 0.5 });
  expect(summarise([[-30, 7]])).toMatchObject({ samples: 1, withinObjectiveShare: 30 / 600, worst: { seconds: 7, at: "2026-11-21T10:00:00.000Z" } });
  expect(summarise([[-61, 7]])).toMatchObject({ samples: 0, unobservedShare: 1 });
});

test("a sample that observed nothing ends the one before it", () => {
  expect(
    summarise([
      [0, 1],
      [30, null],
    ]),
  ).toMatchObject({ samples: 1, withinObjectiveShare: 30 / 600, unobservedShare: 570 / 600 });
});

test("a sample at the end of the period holds to its end", () => {
  expect(summarise([[590, 1]]).withinObjectiveShare).toBeCloseTo(10 / 600, 10);
});

test("the objective itself is within, and anything above it is a breach with its peak", () => {
  expect(summarise(every(15, 0, 600, () => 300)).breaches).toEqual([]);
  const breached = summarise(every(15, 0, 600, (at) => (at >= 120 && at < 240 ? 300 + at : 5)));
  expect(breached.breaches).toEqual([{ from: "2026-11-21T10:02:00.000Z", to: "2026-11-21T10:04:00.000Z", peakSeconds: 525, end: "recovered" }]);
  expect(breached).toMatchObject({ withinObjectiveShare: 0.8, beyondObjectiveShare: 0.2, unobservedShare: 0, worst: { seconds: 525, at: "2026-11-21T10:03:45.000Z" } });
  expect(beyondObjective(breached)).toBe(false);
});

test("a breach that nobody saw end has ended unobserved, and still stands", () => {
  const dark = summarise(every(15, 0, 120, () => 900));
  expect(dark.breaches).toEqual([{ from: "2026-11-21T10:00:00.000Z", to: "2026-11-21T10:02:45.000Z", peakSeconds: 900, end: "unobserved" }]);
  expect(beyondObjective(dark)).toBe(true);
});

test("unobserved time between two breaches makes two of one, unless the second shows that it was the same", () => {
  const twice = (second: number): unknown => summarise([...every(15, 0, 60, () => 900), [60, null], ...every(15, 120, 180, () => second), [180, 1]]).breaches.map(({ end }) => end);
  expect(twice(310)).toEqual(["unobserved", "recovered"]);
  expect(twice(901)).toEqual(["recovered"]);
});

test("a breach at the end of the measured time is open", () => {
  const open = summarise(every(15, 300, 600, () => 400));
  expect(open.breaches).toEqual([{ from: "2026-11-21T10:05:00.000Z", to: "2026-11-21T10:10:00.000Z", peakSeconds: 400, end: "open" }]);
  expect(beyondObjective(open)).toBe(true);
});

test("a period that lies ahead has no shares", () => {
  expect(summarise([], { to: FROM })).toMatchObject({ withinObjectiveShare: null, beyondObjectiveShare: null, unobservedShare: null, series: { points: [] } });
});

test("the series holds the worst of each step, and nothing where nothing was seen", () => {
  const { series } = summarise([...every(15, 0, 60, (at) => at), ...every(15, 120, 180, () => 0)]);
  expect(series.stepSeconds).toBe(60);
  expect(series.points.map(({ worstSeconds }) => worstSeconds)).toEqual([45, 45, 0, 0, null, null, null, null, null, null]);
  expect(series.points[1]?.at).toBe("2026-11-21T10:01:00.000Z");
});

test("shares add up to one whatever is observed", () => {
  const summary = summarise(every(7, 3, 580, (at) => (at % 5 === 0 ? null : at)));
  expect((summary.withinObjectiveShare ?? 0) + (summary.beyondObjectiveShare ?? 0) + (summary.unobservedShare ?? 0)).toBeCloseTo(1, 12);
});

test("between two samples exposure grew by a second a second at most: what that leaves open is unobserved, and what it shows is known", () => {
  // Nobody looked for 100 s, and then the oldest commit that was missing was 100 s old: it was missing all that time, and beyond 20 s for 80 of them.
  const grew = summarise(
    [
      [0, 0],
      [100, 100],
      [101, 0],
    ],
    { objectiveSeconds: 20, to: new Date(FROM.getTime() + 110_000) },
  );
  expect(grew.breaches).toEqual([{ from: "2026-11-21T10:00:20.000Z", to: "2026-11-21T10:01:41.000Z", peakSeconds: 100, end: "recovered" }]);
  expect(grew).toMatchObject({ worst: { seconds: 100, at: "2026-11-21T10:01:40.000Z" }, unobservedShare: 0, samples: 3 });
  // Here it was not missing any more: between 20 s and 100 s it may have been beyond, or not.
  const fell = summarise(
    [
      [0, 0],
      [100, 2],
    ],
    { objectiveSeconds: 20, to: new Date(FROM.getTime() + 110_000) },
  );
  expect(fell).toMatchObject({ breaches: [], worst: { seconds: 2 } });
  expect(fell.unobservedShare).toBeCloseTo(80 / 110, 6);
});

test("what is seen after a time in which nothing could be observed tells of that time", () => {
  const { breaches, unobservedShare } = summarise(
    [
      [0, 0],
      [10, null],
      [20, null],
      [300, 100],
      [301, 1],
    ],
    { objectiveSeconds: 20, to: new Date(FROM.getTime() + 310_000) },
  );
  expect(breaches).toMatchObject([{ from: "2026-11-21T10:03:40.000Z", to: "2026-11-21T10:05:01.000Z", end: "recovered" }]);
  expect(unobservedShare).toBeCloseTo(210 / 310, 6);
});
