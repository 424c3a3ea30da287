/**
 * What samples of exposure say of the time between them. Exposure grows by a second a second as long as nothing reaches the copy, and falls when something does; it never grows faster. So a sample
 * of `e` at `t` says that until `t + x` it was not more than `e + x`, and since `t - x` not less than `e - x`.
 */

/** A sample says how it is until the next one, but not for longer than this: after it, nothing is known. */
export const SAMPLE_HOLDS_SECONDS = 60;
/** Figures are good to about a second: so long a sample that is as large as the objective is within it. */
const AT_LEAST_SECONDS = 1;

interface Seen {
  readonly at: string;
  readonly seconds: number | null;
  /** Of samples that were merged (exposure-spans.ts): until when it was so, and how many there were. */
  readonly until?: string;
  readonly samples?: number;
}

/** A stretch of time of which it is known whether exposure was within the objective, in milliseconds since 1970. */
export interface Stretch<S> {
  readonly fromMs: number;
  readonly toMs: number;
  readonly seconds: number;
  /** How many samples were taken in it; none where it is known from what was seen afterwards. */
  readonly samples: number;
  readonly of: S;
}

export interface StretchOptions {
  readonly objectiveSeconds: number;
  /** Until when it is known what came before these; null: nothing did. */
  readonly knownUntilMs: number | null;
  /** When the first sample after these was taken; null: there is none. */
  readonly nextMs: number | null;
}

/** In order of time, and of time that is observed only: what cannot be told is a hole between them. */
export function* stretchesOf<S extends Seen>(observations: Iterable<S>, { objectiveSeconds, knownUntilMs, nextMs }: StretchOptions): Generator<Stretch<S>> {
  let known = knownUntilMs;
  let last: S | null = null;
  for (const observation of observations) {
    const atMs = Date.parse(observation.at);
    if (last !== null) {
      const stretch = heldBy(last, atMs, objectiveSeconds);
      if (stretch !== null) yield stretch;
      if (stretch !== null) known = stretch.toMs;
    }
    last = observation;
    const before = known === null ? null : seenAfterwards(observation, known, objectiveSeconds);
    if (before !== null) yield before;
  }
  const rest = last === null ? null : heldBy(last, nextMs ?? Infinity, objectiveSeconds);
  if (rest !== null) yield rest;
}

/** What a sample says of the time after it. */
function heldBy<S extends Seen>(of: S, nextMs: number, objectiveSeconds: number): Stretch<S> | null {
  const { at, seconds, until, samples = 1 } = of;
  if (seconds === null) return null;
  const fromMs = Date.parse(at);
  const toMs = Math.min(nextMs, until === undefined ? fromMs + holdsSeconds(seconds, objectiveSeconds) * 1000 : Date.parse(until));
  return toMs > fromMs ? { fromMs, toMs, seconds, samples, of } : null;
}

function holdsSeconds(seconds: number, objectiveSeconds: number): number {
  return seconds > objectiveSeconds ? SAMPLE_HOLDS_SECONDS : Math.min(SAMPLE_HOLDS_SECONDS, Math.max(AT_LEAST_SECONDS, objectiveSeconds - seconds));
}

/** What a sample beyond the objective says of the time before it, also of time in which nobody looked. The value is that of its middle. What was merged has such stretches of its own. */
function seenAfterwards<S extends Seen>(of: S, knownMs: number, objectiveSeconds: number): Stretch<S> | null {
  const { at, seconds, until } = of;
  if (seconds === null || until !== undefined || seconds <= objectiveSeconds) return null;
  const toMs = Date.parse(at);
  const fromMs = Math.max(knownMs, Math.ceil(toMs - (seconds - objectiveSeconds) * 1000));
  return toMs > fromMs ? { fromMs, toMs, seconds: Math.max(objectiveSeconds, seconds - (toMs - fromMs) / 1000) / 2 + seconds / 2, samples: 0, of } : null;
}
