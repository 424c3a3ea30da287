import { stretchesOf } from "./exposure-stretches.ts";

/** How exposed one copy was over a period, from samples. Time that nobody observed is counted by itself, and never as compliant. */

/** How a copy stood at one moment; null: it could not be observed. */
export interface Observation {
  readonly at: string;
  readonly seconds: number | null;
  /** Of samples that were merged (exposure-spans.ts): until when it was so, and how many there were. */
  readonly until?: string;
  readonly samples?: number;
}

export interface ExposureSummary {
  readonly objectiveSeconds: number;
  /** Samples with a value. */
  readonly samples: number;
  readonly worst: { readonly seconds: number; readonly at: string } | null;
  /** The last that was seen. */
  readonly last: { readonly seconds: number; readonly at: string } | null;
  /** Shares of the measured time, which add up to 1; null where no time was measured (the period lies ahead). */
  readonly withinObjectiveShare: number | null;
  readonly beyondObjectiveShare: number | null;
  readonly unobservedShare: number | null;
  readonly breaches: readonly Breach[];
  readonly series: ExposureSeries;
}

/** A stretch of time in which exposure was seen beyond the objective. */
interface Breach {
  readonly from: string;
  readonly to: string;
  readonly peakSeconds: number;
  /** How it ended: seen within the objective again; no longer observed; or it lasted at the end of the measured time. */
  readonly end: "recovered" | "unobserved" | "open";
}

/** The worst that was seen in each of equal steps of time, for drawing; null where nothing was. */
export interface ExposureSeries {
  readonly stepSeconds: number;
  readonly points: readonly { readonly at: string; readonly worstSeconds: number | null }[];
}

export interface SummaryOptions {
  readonly from: Date;
  /** End of the measured time, not later than now. */
  readonly to: Date;
  readonly objectiveSeconds: number;
  /** How many steps the series has at most. */
  readonly steps: number;
}

/** `observations` in order of time; those from up to `SAMPLE_HOLDS_SECONDS` before the period count for as long as they hold into it. */
export function summariseExposure(observations: Iterable<Observation>, options: SummaryOptions): ExposureSummary {
  const [fromMs, toMs] = [options.from.getTime(), options.to.getTime()];
  const tally = new Tally(options);
  for (const stretch of stretchesOf(observations, { objectiveSeconds: options.objectiveSeconds, knownUntilMs: null, nextMs: null })) {
    const clipped = { ...stretch, fromMs: Math.max(stretch.fromMs, fromMs), toMs: Math.min(stretch.toMs, toMs) };
    if (clipped.toMs > clipped.fromMs) tally.add(clipped);
  }
  return tally.summary(Math.max(0, toMs - fromMs));
}

/** True if the copy was beyond its objective when it was last seen: whatever came after, nothing shows that it recovered. */
export function beyondObjective({ last, objectiveSeconds }: ExposureSummary): boolean {
  return last !== null && last.seconds > objectiveSeconds;
}

/** A stretch of observed time, in milliseconds since 1970. */
interface Stretch {
  readonly fromMs: number;
  readonly toMs: number;
  readonly seconds: number;
  readonly samples: number;
}

class Tally {
  readonly #options: SummaryOptions;
  readonly #stepMs: number;
  readonly #steps: (number | null)[];
  readonly #breaches: Breach[] = [];
  #open: { fromMs: number; toMs: number; peakSeconds: number } | null = null;
  #samples = 0;
  #withinMs = 0;
  #beyondMs = 0;
  #worst: { seconds: number; atMs: number } | null = null;
  #last: { seconds: number; atMs: number } | null = null;

  constructor(options: SummaryOptions) {
    const periodMs = Math.max(0, options.to.getTime() - options.from.getTime());
    this.#options = options;
    this.#stepMs = Math.max(1000, Math.ceil(periodMs / options.steps / 1000) * 1000);
    this.#steps = Array.from({ length: Math.ceil(periodMs / this.#stepMs) }, () => null);
  }

  add(stretch: Stretch): void {
    this.#samples += stretch.samples;
    this.#last = { seconds: stretch.seconds, atMs: stretch.fromMs };
    if (this.#worst === null || stretch.seconds > this.#worst.seconds) this.#worst = this.#last;
    const beyond = stretch.seconds > this.#options.objectiveSeconds;
    if (beyond) this.#beyondMs += stretch.toMs - stretch.fromMs;
    else this.#withinMs += stretch.toMs - stretch.fromMs;
    this.#follow(stretch, beyond);
    this.#draw(stretch);
  }

  summary(periodMs: number): ExposureSummary {
    this.#close(this.#open?.toMs === this.#options.to.getTime() ? "open" : "unobserved");
    const share = (ms: number): number | null => (periodMs === 0 ? null : ms / periodMs);
    return {
      objectiveSeconds: this.#options.objectiveSeconds,
      samples: this.#samples,
      worst: seen(this.#worst),
      last: seen(this.#last),
      withinObjectiveShare: share(this.#withinMs),
      beyondObjectiveShare: share(this.#beyondMs),
      unobservedShare: share(periodMs - this.#withinMs - this.#beyondMs),
      breaches: this.#breaches,
      series: {
        stepSeconds: this.#stepMs / 1000,
        points: this.#steps.map((worstSeconds, step) => ({ at: iso(this.#options.from.getTime() + step * this.#stepMs), worstSeconds })),
      },
    };
  }

  #follow(stretch: Stretch, beyond: boolean): void {
    const continues = this.#open !== null && this.#open.toMs === stretch.fromMs;
    if (this.#open !== null && !(continues && beyond)) this.#close(continues ? "recovered" : "unobserved");
    if (!beyond) return;
    this.#open = { fromMs: this.#open?.fromMs ?? stretch.fromMs, toMs: stretch.toMs, peakSeconds: Math.max(this.#open?.peakSeconds ?? 0, stretch.seconds) };
  }

  #close(end: Breach["end"]): void {
    if (this.#open === null) return;
    this.#breaches.push({ from: iso(this.#open.fromMs), to: iso(this.#open.toMs), peakSeconds: this.#open.peakSeconds, end });
    this.#open = null;
  }

  #draw({ fromMs, toMs, seconds }: Stretch): void {
    const startMs = this.#options.from.getTime();
    const last = Math.floor((toMs - 1 - startMs) / this.#stepMs);
    for (let step = Math.floor((fromMs - startMs) / this.#stepMs); step <= last; step++) this.#steps[step] = Math.max(this.#steps[step] ?? 0, seconds);
  }
}

function seen(value: { seconds: number; atMs: number } | null): ExposureSummary["worst"] {
  return value === null ? null : { seconds: value.seconds, at: iso(value.atMs) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
