import { expect, test } from "vitest";
import { estimateRecovery } from "../../../src/domain/recovery-estimate.ts";
import type { MeasuredRecovery } from "../../../src/domain/recovery-estimate.ts";
import { Random } from "../../support/random.ts";

const SEGMENT_MEGABYTES = 16;
const segmentBytes = SEGMENT_MEGABYTES * 1e6;

/** A machine that takes 4 s and 20 ms a megabyte for files, half a second a segment, 1 s and 5 ms a megabyte for checks, and 1 s for everything else; each part up to `noise` off. */
function drillOf(megabytes: number, walSegments: number, noise: number, random: Random): MeasuredRecovery {
  const about = (seconds: number): number => seconds * (1 + (random.integer(-1000, 1000) / 1000) * noise);
  return {
    bytes: megabytes * 1e6,
    walSegments,
    restoreSeconds: about(4 + 0.02 * (megabytes + SEGMENT_MEGABYTES * walSegments)),
    recoverSeconds: about(0.5 * walSegments),
    checkSeconds: about(1 + 0.005 * megabytes),
    otherSeconds: about(1),
  };
}

const secondsOf = ({ restoreSeconds, recoverSeconds, checkSeconds, otherSeconds }: MeasuredRecovery): number => restoreSeconds + recoverSeconds + checkSeconds + otherSeconds;

test("drills of several sizes tell what is fixed from what grows, in files and in everything else", () => {
  const exact = new Random("exact");
  const estimate = estimateRecovery(
    [100, 150, 200, 400].map((megabytes) => drillOf(megabytes, megabytes / 50, 0, exact)),
    { bytes: 4000e6, walSegments: 40, segmentBytes },
  );
  expect(estimate?.seconds).toBeCloseTo(4 + 0.02 * (4000 + 40 * 16) + 20 + 1 + 20 + 1, 3);
});

test("fitted on small drills it predicts ones ten times as large, and its interval holds four of five", () => {
  const random = new Random("ten times");
  const predictions = Array.from({ length: 25 }, () => {
    const small = [100, 160, 230, 310, 400].map((megabytes) => drillOf(megabytes, random.integer(2, 8), 0.15, random));
    const large = drillOf(4000, 50, 0.15, random);
    const estimate = estimateRecovery(small, { ...large, segmentBytes });
    if (estimate === null) throw new Error("no estimate");
    const actual = secondsOf(large);
    return { error: Math.abs(estimate.seconds - actual) / actual, isHeld: estimate.lowSeconds <= actual && actual <= estimate.highSeconds };
  });
  const errors = predictions.map(({ error }) => error).toSorted((a, b) => a - b);
  expect(errors[12]).toBeLessThan(0.3);
  expect(predictions.filter(({ isHeld }) => isHeld).length).toBeGreaterThanOrEqual(20);
});

test("much WAL is counted where it is brought to the target, too, and not only where it is replayed", () => {
  const random = new Random("much WAL");
  const predictions = Array.from({ length: 25 }, () => {
    const small = [100, 160, 230, 310, 400].map((megabytes) => drillOf(megabytes, random.integer(1, 4), 0.15, random));
    const large = drillOf(1000, 1000, 0.15, random);
    const estimate = estimateRecovery(small, { ...large, segmentBytes });
    return Math.abs((estimate?.seconds ?? 0) / secondsOf(large) - 1);
  });
  expect(predictions.toSorted((a, b) => a - b)[12]).toBeLessThan(0.3);
});

test("two drills say less than five: through two points a line always goes", () => {
  const random = new Random("two");
  const width = (drills: readonly MeasuredRecovery[]): number => {
    const estimate = estimateRecovery(drills, { bytes: 4000e6, walSegments: 40, segmentBytes });
    return (estimate?.highSeconds ?? 0) / (estimate?.lowSeconds ?? 1);
  };
  const five = [100, 150, 200, 300, 400].map((megabytes) => drillOf(megabytes, megabytes / 50, 0.02, random));
  expect(width(five)).toBeLessThan(2);
  expect(width([five[0], five[4]].flatMap((drill) => drill ?? []))).toBeGreaterThan(4);
});

test("drills of one size cannot tell, and the interval says so", () => {
  const drill = drillOf(100, 4, 0, new Random("one"));
  const estimate = estimateRecovery([drill, drill, drill], { bytes: 1000e6, walSegments: 4, segmentBytes });
  expect(estimate?.lowSeconds).toBeLessThan(secondsOf(drill));
  expect(estimate?.highSeconds).toBeGreaterThan(6 * drill.restoreSeconds + 10 * (drill.checkSeconds + drill.otherSeconds));
});

test("one slow day does not bend the line", () => {
  const random = new Random("slow day");
  const usual = [100, 150, 200, 300, 400].map((megabytes) => drillOf(megabytes, 4, 0, random));
  const before = estimateRecovery(usual, { bytes: 1000e6, walSegments: 4, segmentBytes })?.seconds ?? 0;
  const slow = usual.map((drill, i) => (i === 2 ? { ...drill, restoreSeconds: 5 * drill.restoreSeconds } : drill));
  expect(estimateRecovery(slow, { bytes: 1000e6, walSegments: 4, segmentBytes })?.seconds).toBeLessThan(1.3 * before);
});
