import { formatLsn, maxLsn, parseLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { parseHistory, spansOf } from "../../domain/timeline.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import type { WalInventory } from "../../domain/wal-coverage.ts";
import { parseSegmentName, segmentAt, segmentStart } from "../../domain/wal-segment.ts";
import { HoldfastError } from "../../errors.ts";
import { reportedDurable } from "../../repository/stream-position.ts";
import { listWal } from "../../repository/wal-archive.ts";
import { TimelineStream } from "./timeline-stream.ts";
import type { StreamTask } from "./timeline-stream.ts";
import { storeHistoryEverywhere } from "./wal-store.ts";

/** Streams WAL into the repositories until the signal aborts, following timelines. Whatever is reported to the server as flushed is durable. */
export async function streamWal(task: StreamTask): Promise<void> {
  const system = await task.receiver.identify();
  // Another connection than the one that was asked who it is: behind an address that moves, it may be another server.
  if (system.systemIdentifier !== task.store.place.systemIdentifier)
    throw new HoldfastError("HF-OTHER-CLUSTER", `WAL would come from cluster ${system.systemIdentifier}, and the source is ${task.store.place.systemIdentifier}`, {
      hint: "the address leads to several servers; give each its own",
    });
  const history = await storeHistories(task, system.timeline);
  let at = await resumePoint(task, history, system.position);
  for (;;) {
    const end = await streamTimeline(task, at.timeline, at.start, { timeline: system.timeline, position: beginning(task, history, system.position) });
    if (end === null || task.signal.aborted) return;
    await storeHistories(task, end.nextTimeline);
    at = { timeline: end.nextTimeline, start: segmentStart(segmentAt(end.nextTimeline, end.switchpoint, task.store.place.segmentBytes), task.store.place.segmentBytes) };
  }
}

/** A history file is in the repository before the first byte of its timeline. */
async function storeHistories(task: StreamTask, timeline: number): Promise<TimelineHistory> {
  if (timeline === 1) return { timeline, forks: [] };
  const content = await task.receiver.history(timeline);
  const history = parseHistory(timeline, content.toString("utf8"));
  if (history === null) throw new HoldfastError("HF-WAL", `the server's history of timeline ${timeline} is not readable`);
  for (const fork of history.forks) if (fork.timeline > 1) await storeHistoryEverywhere(task.store, fork.timeline, await task.receiver.history(fork.timeline));
  await storeHistoryEverywhere(task.store, timeline, content);
  return history;
}

/**
 * Where we left off on the newest timeline of this history that we were on; else where the server is now. Not there at once: whoever reported a position counts on nothing
 * being passed over from it on, also where it lies at the start of a segment and nothing had to be stored.
 */
async function resumePoint(task: StreamTask, history: TimelineHistory, position: Lsn): Promise<{ timeline: number; start: Lsn }> {
  const { segmentBytes } = task.store.place;
  const inventory = await listWal(task.store.repositories[0], task.store.place);
  for (const span of spansOf(history).toReversed()) {
    const start = nextSegment(inventory, span.timeline) ?? reportedSegment(task, span.timeline);
    if (start === null) continue;
    // Beyond the fork, what we hold of the old timeline never happened on this one (a failover to a standby that lagged): both are kept.
    if (span.end !== null && start > span.end) return { timeline: history.timeline, start: startOfSegment(history.timeline, span.end, segmentBytes) };
    if (start > position) throw behind(start, position);
    return { timeline: span.timeline, start };
  }
  return { timeline: history.timeline, start: startOfSegment(history.timeline, beginning(task, history, position), segmentBytes) };
}

/** Where a repository begins that holds nothing that follows: where the server has kept WAL from, for another repository may be waiting for it; else where the server is. */
function beginning({ keptFrom = null }: StreamTask, history: TimelineHistory, position: Lsn): Lsn {
  const fork = history.forks.at(-1)?.switchpoint ?? null;
  return keptFrom === null || keptFrom > position || (fork !== null && keptFrom < fork) ? position : keptFrom;
}

/** The start of the first segment on a timeline that is not complete, behind all that we hold of it: parts of it may be there. Null where we hold nothing. */
function nextSegment({ segmentBytes, segments, parts }: WalInventory, timeline: number): Lsn | null {
  const startsOf = (names: Iterable<string>, skipped: bigint): Lsn[] =>
    [...names].flatMap((name) => {
      const segment = parseSegmentName(name, segmentBytes);
      return segment?.timeline === timeline ? [segmentStart({ timeline, number: segment.number + skipped }, segmentBytes)] : [];
    });
  const starts = [...startsOf(segments.keys(), 1n), ...startsOf(parts.keys(), 0n)];
  return starts.length === 0 ? null : starts.reduce(maxLsn);
}

/** The start of the segment in which the last position lies that was reported of a timeline. */
function reportedSegment({ lease, store }: StreamTask, timeline: number): Lsn | null {
  const reported = reportedDurable(lease.position, { systemIdentifier: store.place.systemIdentifier, timeline });
  return reported === null ? null : startOfSegment(timeline, parseLsn(reported), store.place.segmentBytes);
}

function behind(ours: Lsn, server: Lsn): HoldfastError {
  return new HoldfastError("HF-DIVERGED", `the server is at ${formatLsn(server)}, and we already hold WAL up to ${formatLsn(ours)} of this timeline`, {
    hint: "the server was restored or replaced without a new timeline; what was stored is kept. Take a full backup under a new source name",
  });
}

function startOfSegment(timeline: number, position: Lsn, segmentBytes: number): Lsn {
  return segmentStart(segmentAt(timeline, position, segmentBytes), segmentBytes);
}

const WAL_REMOVED = "58P01";

async function streamTimeline(
  task: StreamTask,
  timeline: number,
  start: Lsn,
  server: { timeline: number; position: Lsn },
): Promise<{ nextTimeline: number; switchpoint: Lsn } | null> {
  try {
    return await new TimelineStream(task, timeline, start).run();
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.facts["sqlState"] !== WAL_REMOVED) throw error;
    // The server no longer has what we need next: a gap, on record, and we go on from where it still has WAL, on the timeline it is on now.
    const from = startOfSegment(server.timeline, server.position, task.store.place.segmentBytes);
    await task.onGap({ timeline, from: start, to: from });
    return new TimelineStream(task, server.timeline, from).run();
  }
}
