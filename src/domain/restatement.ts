import type { Observation } from "./exposure-series.ts";
import { minLsn, parseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import type { SourceInfo, WindowView } from "./source-info.ts";

/**
 * Exposure that was measured, and turned out to have been wrong: WAL that a copy was thought to hold is found missing. What was observed then stays as it was; that it was wrong, and since when, is put on
 * record beside it. So a report can say what was known at a time, and what is known now.
 */
export interface Restatement {
  readonly repository: string;
  readonly timeline: number;
  /** Of the WAL that is missing. */
  readonly startLsn: string;
  readonly endLsn: string;
  /** The newest commit before it: from then on the copy could bring back nothing newer. */
  readonly from: string;
  /** When it could again: a backup behind the gap was there; or when the gap was found, since when it is in what is observed. */
  readonly until: string;
}

/** What is on record of a source besides what was just seen of it. */
export interface SeenBefore {
  /** As it was seen the time before; null: never. */
  readonly before: Pick<SourceInfo, "windows"> | null;
  readonly known: readonly Restatement[];
}

/**
 * What has to be put on record of a source as it was just seen. Only what a copy was seen to hold can turn out to be missing: one that is being filled up, with the newest WAL there before all that
 * is older, was never thought to hold it.
 */
export function planRestatements({ gaps, windows }: Pick<SourceInfo, "gaps" | "windows">, { before: seen, known }: SeenBefore, now: Date): Restatement[] {
  return gaps.flatMap(({ repository, systemIdentifier, timeline, startLsn, endLsn }) => {
    const wasThere = (window: WindowView): boolean => {
      const left = endOn(window, timeline);
      return (
        window.repository === repository &&
        window.systemIdentifier === systemIdentifier &&
        left !== null &&
        parseLsn(window.startLsn) < parseLsn(endLsn) &&
        minLsn(parseLsn(window.endLsn), left) > parseLsn(startLsn)
      );
    };
    if (seen === null || !seen.windows.some(wasThere)) return [];
    if (known.some((other) => other.repository === repository && other.timeline === timeline && other.startLsn === startLsn && parseLsn(other.endLsn) >= parseLsn(endLsn)))
      return [];
    const [start, end] = [parseLsn(startLsn), parseLsn(endLsn)];
    const there = windows.filter((window) => window.repository === repository && window.systemIdentifier === systemIdentifier);
    const before = there.flatMap((window) => (parseLsn(window.endLsn) <= start && window.to !== null ? [window.to] : [])).toSorted();
    const after = there.filter((window) => parseLsn(window.startLsn) >= end).map((window) => window.from);
    const from = before.at(-1);
    // Before the first backup nothing could be brought back anyway.
    if (from === undefined) return [];
    const until = [...after, now.toISOString()].map((at) => new Date(at).toISOString()).toSorted()[0] ?? now.toISOString();
    const restated = { repository, timeline, startLsn, endLsn, from: new Date(from).toISOString(), until };
    return restated.from < restated.until ? [restated] : [];
  });
}

/** Where a window leaves a timeline, or ends on it; null: it was never on it. What was written there behind a fork is another history, and no part of it. */
function endOn({ timeline: last, forks = [], endLsn }: WindowView, timeline: number): Lsn | null {
  if (timeline === last) return parseLsn(endLsn);
  const fork = forks.find((each) => each.timeline === timeline);
  return fork === undefined ? null : parseLsn(fork.lsn);
}

/**
 * Observations of one copy as they are known to have been: within a restated stretch a copy was as exposed as its oldest commit that was missing is old. What nobody observed stays unobserved.
 * `objectiveSeconds`: a merged stretch is divided where it went beyond.
 */
export function restate(observations: Iterable<Observation>, restatements: readonly Restatement[], objectiveSeconds: number): Iterable<Observation> {
  return restatements.length === 0 ? observations : restateEach(observations, restatements, objectiveSeconds);
}

function* restateEach(observations: Iterable<Observation>, restatements: readonly Restatement[], objectiveSeconds: number): Generator<Observation> {
  for (const observation of observations)
    yield* restatements.reduce<Observation[]>((parts, restated) => parts.flatMap((part) => apply(part, restated, objectiveSeconds)), [observation]);
}

function apply(observation: Observation, { from, until }: Restatement, objectiveSeconds: number): Observation[] {
  if (observation.seconds === null) return [observation];
  const [fromMs, untilMs, atMs] = [Date.parse(from), Date.parse(until), Date.parse(observation.at)];
  if (observation.until === undefined) return fromMs <= atMs && atMs < untilMs ? [raise(observation, (atMs - fromMs) / 1000)] : [observation];
  const endMs = Date.parse(observation.until);
  const cuts = [fromMs, Math.min(untilMs, fromMs + objectiveSeconds * 1000), untilMs].filter((ms) => ms > atMs && ms < endMs);
  const edges = [...new Set([atMs, ...cuts, endMs])].toSorted((a, b) => a - b);
  return edges.slice(0, -1).map((startMs, index) => {
    const toMs = edges[index + 1] ?? endMs;
    const part = { ...observation, at: iso(startMs), until: iso(toMs), samples: index === 0 ? (observation.samples ?? 1) : 0 };
    return fromMs <= startMs && startMs < untilMs ? raise(part, (toMs - fromMs) / 1000) : part;
  });
}

function raise(observation: Observation, seconds: number): Observation {
  return { ...observation, seconds: Math.max(observation.seconds ?? 0, seconds) };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
