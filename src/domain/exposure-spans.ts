import { stretchesOf } from "./exposure-stretches.ts";

/**
 * A stretch of observed time in which a copy was never more exposed than `seconds`: what is left of samples once they are old. Samples that were within the objective are merged, those beyond it never,
 * so that for the objective that held when they were merged every share, breach and worst value stays exact; for a stricter one a merged stretch counts with its worst
 * value, which looks worse than its samples, if anything.
 */
export interface ExposureSpan {
  readonly at: string;
  /** Until when it is known to have been so: the next sample, or as long as a sample holds. */
  readonly until: string;
  /** The worst in it. */
  readonly seconds: number;
  readonly bytes: number | null;
  readonly samples: number;
}

interface Sample {
  readonly at: string;
  /** Null: could not be observed. */
  readonly seconds: number | null;
  readonly bytes: number | null;
}

/**
 * Samples in order of time as spans; what could not be observed becomes a hole between them. `before`: where the span ends that comes before these; `next`: when the first sample after these was
 * taken.
 */
export function spansOf(samples: readonly Sample[], { before, next, objectiveSeconds }: { before: string | null; next: string | null; objectiveSeconds: number }): ExposureSpan[] {
  const [knownUntilMs, nextMs] = [before, next].map((at) => (at === null ? null : Date.parse(at))) as [number | null, number | null];
  return [...stretchesOf(samples, { objectiveSeconds, knownUntilMs, nextMs })].map(({ fromMs, toMs, seconds, samples: taken, of }) => ({
    at: new Date(fromMs).toISOString(),
    until: new Date(toMs).toISOString(),
    seconds,
    bytes: taken === 0 ? null : of.bytes,
    samples: taken,
  }));
}

/** Neighbours without a hole between them become one, within steps of `stepMs` and as long as both were within the objective. */
export function mergeSpans(spans: readonly ExposureSpan[], stepMs: number, objectiveSeconds: number): ExposureSpan[] {
  const merged: ExposureSpan[] = [];
  for (const span of spans) {
    const last = merged.at(-1);
    const together = last !== undefined && last.until === span.at && isQuiet(last) && isQuiet(span) && stepOf(last.at) === stepOf(span.at);
    if (together) merged[merged.length - 1] = joined(last, span);
    else merged.push(span);
  }
  return merged;

  function isQuiet({ seconds }: ExposureSpan): boolean {
    return seconds <= objectiveSeconds;
  }

  function stepOf(at: string): number {
    return Math.floor(Date.parse(at) / stepMs);
  }
}

function joined(a: ExposureSpan, b: ExposureSpan): ExposureSpan {
  const bytes = a.bytes === null || b.bytes === null ? (a.bytes ?? b.bytes) : Math.max(a.bytes, b.bytes);
  return { at: a.at, until: b.until, seconds: Math.max(a.seconds, b.seconds), bytes, samples: a.samples + b.samples };
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How long history is kept in which resolution. All samples for days; but no more than there is room for: two million are about 300 MB. */
const FULL_RESOLUTION_MS = { least: HOUR_MS, most: 3 * DAY_MS } as const;
const MOST_SAMPLES = 2_000_000;
export const BY_HOUR_MS = 35 * DAY_MS;
export const SPAN_STEPS_MS = { hour: HOUR_MS, day: DAY_MS } as const;

/** How long every single sample is kept, where so many come in a second over all copies. */
export function fullResolutionMs(samplesPerSecond: number): number {
  const room = samplesPerSecond <= 0 ? FULL_RESOLUTION_MS.most : (MOST_SAMPLES / samplesPerSecond) * 1000;
  return Math.min(FULL_RESOLUTION_MS.most, Math.max(FULL_RESOLUTION_MS.least, Math.floor(room)));
}
