import { tryParseLsn } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";

/** One fork in the past of a timeline: `timeline` was left at `switchpoint`. */
interface TimelineFork {
  readonly timeline: number;
  readonly switchpoint: Lsn;
}

/** The past of one timeline, oldest first, as its history file tells it. Timeline 1 has none. */
export interface TimelineHistory {
  readonly timeline: number;
  readonly forks: readonly TimelineFork[];
}

/** A stretch of WAL on one timeline; `end` null means that the timeline is still the one we follow. */
export interface TimelineSpan {
  readonly timeline: number;
  readonly start: Lsn;
  readonly end: Lsn | null;
}

/**
 * Parses a history file. Null if any line is not of its form, or timelines do not ascend: then nothing may be concluded from it.
 *
 * A server that recovered towards a timeline, and ended before that one began, writes a fork from it that lies before its beginning. It never was on it: such timelines are left out, and the one that it was
 * on was left where it ended.
 */
export function parseHistory(timeline: number, text: string): TimelineHistory | null {
  let forks: TimelineFork[] = [];
  for (const line of text.split("\n")) {
    const bare = line.trim();
    if (bare === "" || bare.startsWith("#")) continue;
    const match = /^(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(bare);
    const switchpoint = match?.[2] === undefined ? null : tryParseLsn(match[2]);
    if (match?.[1] === undefined || switchpoint === null) return null;
    const last = forks.at(-1);
    const fork = { timeline: Number(match[1]), switchpoint };
    if (fork.timeline >= timeline || (last !== undefined && fork.timeline <= last.timeline)) return null;
    const neverReached = forks.find(({ switchpoint: end }) => end > fork.switchpoint);
    if (neverReached === undefined) forks.push(fork);
    else forks = [...forks.slice(0, forks.indexOf(neverReached)), { timeline: neverReached.timeline, switchpoint: fork.switchpoint }];
  }
  return { timeline, forks };
}

export function emptyHistory(timeline: number): TimelineHistory {
  return { timeline, forks: [] };
}

/** The stretches of WAL that lead to the end of this timeline, oldest first. */
export function spansOf(history: TimelineHistory): TimelineSpan[] {
  const spans: TimelineSpan[] = [];
  let start = 0n as Lsn;
  for (const fork of history.forks) {
    spans.push({ timeline: fork.timeline, start, end: fork.switchpoint });
    start = fork.switchpoint;
  }
  return [...spans, { timeline: history.timeline, start, end: null }];
}

/** The timeline that a history is on at a position; at a fork, the one that begins there. */
export function timelineAt(history: TimelineHistory, position: Lsn): number {
  return spansOf(history).find(({ end }) => end === null || position < end)?.timeline ?? history.timeline;
}

/** True if the point (timeline, lsn) lies on the way to the end of this history. */
export function isOnHistory(history: TimelineHistory, timeline: number, position: Lsn): boolean {
  const span = spansOf(history).find((candidate) => candidate.timeline === timeline);
  return span !== undefined && (span.end === null || position <= span.end);
}
