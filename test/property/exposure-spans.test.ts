import fc from "fast-check";
import { expect, test } from "vitest";
import { summariseExposure } from "../../src/domain/exposure-series.ts";
import { fullResolutionMs, mergeSpans, spansOf } from "../../src/domain/exposure-spans.ts";

const OBJECTIVE_SECONDS = 300;
const FROM = Date.parse("2026-11-20T00:00:00Z");
const HOUR_MS = 3_600_000;

/** Samples at any distance, some beyond the objective, some that could not be observed. */
const samples = fc
  .array(
    fc.record({
      afterMs: fc.integer({ min: 1000, max: 150_000 }),
      seconds: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 0, max: 320 }) }, { weight: 1, arbitrary: fc.constant(null) }),
    }),
    { maxLength: 120 },
  )
  .map((steps) => {
    let ms = FROM;
    return steps.map(({ afterMs, seconds }) => ({ at: new Date((ms += afterMs)).toISOString(), seconds, bytes: seconds }));
  });

/** For how many milliseconds samples say that it was beyond, each until the next one: without what a sample says of the time before it. */
function heldBeyond(all: readonly { readonly at: string; readonly seconds: number | null }[], objectiveSeconds: number): number {
  const held = (at: string, next: string | undefined): number => Math.min(60_000, next === undefined ? Infinity : Date.parse(next) - Date.parse(at));
  return all.reduce((sum, { at, seconds }, i) => sum + (seconds !== null && seconds > objectiveSeconds ? held(at, all[i + 1]?.at) : 0), 0);
}

test("merged samples say the same of shares, breaches, worst and number; of a stricter objective nothing is within that a sample showed beyond", () => {
  fc.assert(
    fc.property(samples, fc.constantFrom(HOUR_MS / 4, HOUR_MS), (all, stepMs) => {
      const to = new Date(Date.parse(all.at(-1)?.at ?? new Date(FROM).toISOString()) + 60_000);
      const summary = (of: Parameters<typeof summariseExposure>[0], objectiveSeconds: number): ReturnType<typeof summariseExposure> =>
        summariseExposure(of, { from: new Date(FROM), to, objectiveSeconds, steps: 20 });
      const spans = mergeSpans(spansOf(all, { before: null, next: null, objectiveSeconds: OBJECTIVE_SECONDS }), stepMs, OBJECTIVE_SECONDS);
      // Twice, as by the day after by the hour.
      const again = mergeSpans(spans, 24 * HOUR_MS, OBJECTIVE_SECONDS);
      for (const merged of [spans, again]) {
        const [before, after] = [summary(all, OBJECTIVE_SECONDS), summary(merged, OBJECTIVE_SECONDS)];
        for (const share of ["withinObjectiveShare", "beyondObjectiveShare", "unobservedShare"] as const) expect(after[share]).toBe(before[share]);
        expect([after.samples, after.worst?.seconds, after.breaches]).toEqual([before.samples, before.worst?.seconds, before.breaches]);
        expect((1 - (summary(merged, 100).withinObjectiveShare ?? 0)) * (to.getTime() - FROM)).toBeGreaterThanOrEqual(heldBeyond(all, 100) - 1);
      }
    }),
    { numRuns: 150 },
  );
});

test("samples are kept one by one for days where there are few, and never for less than an hour", () => {
  expect(fullResolutionMs(2 / 15)).toBe(3 * 24 * HOUR_MS);
  expect(fullResolutionMs(2000 / 15)).toBeCloseTo(15_000_000, -2);
  expect(fullResolutionMs(1e6)).toBe(HOUR_MS);
  expect(fullResolutionMs(0)).toBe(3 * 24 * HOUR_MS);
});
