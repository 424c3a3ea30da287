import { addBytes, alignRecord, formatLsn, maxLsn, parseLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { describeTarget } from "../../domain/restore-target.ts";
import type { RestoreTarget } from "../../domain/restore-target.ts";
import { timelineAt } from "../../domain/timeline.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { formatMicros, parseMicros } from "../../domain/timestamp.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { parseSegmentName, segmentBefore, segmentStart } from "../../domain/wal-segment.ts";
import { HoldfastError } from "../../errors.ts";
import { markOf, WalWalker } from "../../postgres/wal-records.ts";
import type { WalMark, WalRecord } from "../../postgres/wal-records.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";

/** The point a restore ends at: after this record, on this timeline. */
export interface ResolvedTarget {
  /** The one that the history is on there: before a fork, the older one. A server that recovers towards a newer one than it reaches writes a history in which it was on that. */
  readonly timeline: number;
  /** Start of the last record to apply: what `recovery_target_lsn` takes. */
  readonly record: Lsn;
  /** Where that record ends: what must have been reached afterwards. */
  readonly end: Lsn;
  /** The last transaction that will be there, and the first that will not; null where none is known. */
  readonly lastCommit: WalMark | null;
  readonly nextCommit: WalMark | null;
  /** How far the WAL reaches that this was found in. */
  readonly walEnd: Lsn;
  /** Segments needed, in order; the last may be unfinished. */
  readonly segments: readonly string[];
}

interface Stretch {
  readonly view: CopyView;
  readonly history: TimelineHistory;
  readonly backup: ClusterManifest;
  /** All segments from the backup's start as far as they reach. */
  readonly names: readonly string[];
  readonly end: Lsn;
  readonly timeline: number;
}

/**
 * Resolves a target by reading our own WAL, from one backup. PostgreSQL itself would take anything up to exit code 125 of its restore command for the end of WAL, promote there, and say
 * nothing: so it is always told one LSN.
 */
export async function resolveTarget(
  view: CopyView,
  history: TimelineHistory,
  backup: ClusterManifest,
  target: RestoreTarget,
  options: { exclusive: boolean; acceptGap: boolean },
): Promise<ResolvedTarget> {
  const { end, names, timeline } = view.reach(history, parseLsn(backup.start.lsn));
  const stretch = { view, history, backup, names, end, timeline };
  const stop = parseLsn(backup.stop.lsn);
  if (end < stop) throw unreachable(`${backup.id} lacks WAL of its own: it needs ${formatLsn(stop)}, and there is a hole at ${formatLsn(end)}`, stretch);
  switch (target.kind) {
    case "latest":
      return resolveLatest(stretch, options.acceptGap);
    case "immediate":
      return build(stretch, await findRecord(stretch, stop, (record) => record.end >= stop));
    case "lsn":
      return resolveLsn(stretch, target.lsn, options.exclusive);
    case "time":
      return resolveTime(stretch, target.time);
    case "name":
      return resolveMark(stretch, target, (mark) => mark.kind === "restore-point" && mark.name === target.name, options.exclusive);
    case "xid":
      return resolveMark(stretch, target, (mark) => mark.kind !== "restore-point" && mark.xid === target.xid, options.exclusive);
  }
}

async function resolveLatest(stretch: Stretch, acceptGap: boolean): Promise<ResolvedTarget> {
  const all = stretch.view.endOfWal(stretch.history);
  if (all > stretch.end && !acceptGap)
    throw unreachable(
      `there is a gap in WAL at ${formatLsn(stretch.end)}; what follows it, up to ${formatLsn(all)}, cannot be reached`,
      stretch,
      "restore from another copy, or take what is before the gap with --accept-gap",
    );
  const lost = stretch.view.lostEnd(stretch.history);
  if (lost !== null && !acceptGap)
    throw unreachable(
      `WAL was reported durable up to ${formatLsn(lost)}, and is there up to ${formatLsn(stretch.end)} only`,
      stretch,
      "restore from another copy, or take what is there with --accept-gap",
    );
  return build(stretch, await lastRecord(stretch));
}

async function resolveLsn(stretch: Stretch, lsn: Lsn, exclusive: boolean): Promise<ResolvedTarget> {
  const stop = parseLsn(stretch.backup.stop.lsn);
  if (lsn < stop) throw unreachable(`${formatLsn(lsn)} lies before the end of ${stretch.backup.id} (${formatLsn(stop)})`, stretch);
  if (lsn > stretch.end) throw unreachable(`${formatLsn(lsn)} lies beyond the WAL that is there (${formatLsn(stretch.end)})`, stretch);
  const found = await findRecordOrNull(stretch, lsn, (record) => record.start >= lsn);
  if (found === null) return build(stretch, await lastRecord(stretch));
  return build(stretch, exclusive ? await findRecord(stretch, found.prev, (record) => record.start === found.prev) : found);
}

/** The last record before the first transaction that ended after the given moment, by the order of WAL: commit times are not in order. */
async function resolveTime(stretch: Stretch, time: Micros): Promise<ResolvedTarget> {
  const { start, stop } = stretch.backup;
  const after = await firstMark(
    stretch,
    parseLsn(start.lsn),
    (mark) => mark.kind !== "restore-point" && mark.at > time,
    async (name) => {
      const ledger = await stretch.view.ledger(name);
      return ledger === null || !ledger.whole || (ledger.maxCommitAt !== null && parseMicros(ledger.maxCommitAt) > time);
    },
  );
  if (after !== null && after.start < parseLsn(stop.lsn))
    throw unreachable(`a transaction of ${formatMicros(after.at)} ended before ${stretch.backup.id} did: it holds what was committed after ${formatMicros(time)}`, stretch);
  if (after !== null) {
    const record = await findRecord(stretch, after.prev, (candidate) => candidate.start === after.prev);
    return { ...(await build(stretch, record)), nextCommit: after };
  }
  const last = await build(stretch, await lastRecord(stretch));
  const covered = stretch.view.coveredUntil(stretch.history, stretch.end);
  const gap = stretch.view.endOfWal(stretch.history) > stretch.end;
  if (gap) throw unreachable(`${formatMicros(time)} lies in or behind a gap in WAL that begins at ${formatLsn(stretch.end)}`, stretch);
  if (last.lastCommit !== null && last.lastCommit.at >= time) return last;
  if (covered !== null && covered >= time) return last;
  const known = covered ?? last.lastCommit?.at ?? null;
  throw unreachable(
    `${formatMicros(time)} lies after what this copy covers${known === null ? "" : ` (until ${formatMicros(known)})`}`,
    stretch,
    "choose an earlier time, or 'latest'",
  );
}

async function resolveMark(stretch: Stretch, target: RestoreTarget, matches: (mark: WalMark) => boolean, exclusive: boolean): Promise<ResolvedTarget> {
  const stop = parseLsn(stretch.backup.stop.lsn);
  const marks: WalMark[] = [];
  await walk(stretch, stop, (record) => {
    const mark = markOf(record);
    if (mark !== null && record.start >= stop && matches(mark)) marks.push(mark);
    return false;
  });
  const [mark, second] = marks;
  if (mark === undefined)
    throw unreachable(`${describeTarget(target)} is not in the WAL that follows ${stretch.backup.id}`, stretch, "an earlier backup may lead to it: --backup ID");
  if (second !== undefined)
    throw new HoldfastError("HF-TARGET", `${describeTarget(target)} is there ${marks.length} times: ${marks.map((one) => formatLsn(one.start)).join(", ")}`, {
      hint: "choose one of them with --to lsn:…",
    });
  const start = exclusive ? mark.prev : mark.start;
  return build(stretch, await findRecord(stretch, start, (record) => record.start === start));
}

interface FoundRecord {
  readonly start: Lsn;
  readonly end: Lsn;
  readonly prev: Lsn;
}

/** Completes the picture around the last record to apply: its neighbouring transactions and the segments needed. */
async function build(stretch: Stretch, record: FoundRecord): Promise<ResolvedTarget> {
  const { backup, names, view, history, timeline } = stretch;
  if (record.end < parseLsn(backup.stop.lsn)) throw unreachable(`the target lies before ${backup.id} is consistent`, stretch);
  const { segmentBytes } = view.place;
  const lastNumber = segmentBefore(timeline, record.end, segmentBytes).number;
  const segments = names.filter((name) => (parseSegmentName(name, segmentBytes)?.number ?? 0n) <= lastNumber);
  const around = await marksAround(stretch, record.start);
  return { timeline: timelineAt(history, alignRecord(record.end)), record: record.start, end: record.end, ...around, walEnd: stretch.end, segments };
}

/** How far back and ahead neighbours are looked for: for the plan only, so it need not be far. */
const NEIGHBOUR_SEGMENTS = 4;

async function marksAround(stretch: Stretch, target: Lsn): Promise<{ lastCommit: WalMark | null; nextCommit: WalMark | null }> {
  const { segmentBytes } = stretch.view.place;
  const from = maxLsn(parseLsn(stretch.backup.start.lsn), addBytes(target, -Math.min(NEIGHBOUR_SEGMENTS * segmentBytes, Number(target))));
  let lastCommit: WalMark | null = null;
  let nextCommit: WalMark | null = null;
  await walk(
    stretch,
    from,
    (record) => {
      const mark = markOf(record);
      if (mark?.kind !== "commit") return false;
      if (record.start <= target) lastCommit = mark;
      else nextCommit = mark;
      return nextCommit !== null;
    },
    NEIGHBOUR_SEGMENTS * 2,
  );
  return { lastCommit, nextCommit };
}

async function lastRecord(stretch: Stretch): Promise<FoundRecord> {
  const { names } = stretch;
  // The last segment may hold no whole record (only the rest of a long one): look further back until one is found.
  for (let back = 2; ; back *= 2) {
    const first = names.at(-Math.min(back, names.length));
    const last: { record: FoundRecord | null } = { record: null };
    if (first !== undefined)
      await walk(stretch, startOf(stretch, first), (record) => {
        last.record = { start: record.start, end: record.end, prev: record.prev };
        return false;
      });
    if (last.record !== null) return last.record;
    if (back >= names.length) throw unreachable("there is no whole WAL record to end at", stretch);
  }
}

async function findRecord(stretch: Stretch, from: Lsn, matches: (record: WalRecord) => boolean): Promise<FoundRecord> {
  const found = await findRecordOrNull(stretch, from, matches);
  if (found === null) throw unreachable(`there is no WAL record at ${formatLsn(from)}`, stretch);
  return found;
}

async function findRecordOrNull(stretch: Stretch, from: Lsn, matches: (record: WalRecord) => boolean): Promise<FoundRecord | null> {
  const found: { record: FoundRecord | null } = { record: null };
  await walk(stretch, from, (record) => {
    if (!matches(record)) return false;
    found.record = { start: record.start, end: record.end, prev: record.prev };
    return true;
  });
  return found.record;
}

/** The first mark at or after `from` that matches; segments that cannot hold one are passed over. */
async function firstMark(stretch: Stretch, from: Lsn, matches: (mark: WalMark) => boolean, mayHold: (name: string) => Promise<boolean>): Promise<WalMark | null> {
  const { names, view } = stretch;
  const first = names.findIndex((name) => startOf(stretch, name) + BigInt(view.place.segmentBytes) > from);
  for (let i = Math.max(first, 0); i < names.length; i++) {
    const name = names[i] as string;
    if (!(await mayHold(name))) continue;
    // A record that ends in this segment may begin in the one before.
    const begin = names[Math.max(0, i - 1)] as string;
    const found: { mark: WalMark | null } = { mark: null };
    const stopAfter = startOf(stretch, name) + BigInt(view.place.segmentBytes);
    await walk(stretch, startOf(stretch, begin), (record) => {
      const mark = markOf(record);
      if (mark !== null && record.start >= from && matches(mark)) found.mark = mark;
      return found.mark !== null || record.start >= stopAfter;
    });
    if (found.mark !== null) return found.mark;
  }
  return null;
}

/**
 * Walks records from the segment that holds `from` until `visit` returns true, checking every CRC. WAL that breaks off before its end is an error: what follows cannot be replayed, and
 * must not be passed over as if nothing were there. Who looks around only (`atMost` segments) takes what there is.
 */
async function walk(stretch: Stretch, from: Lsn, visit: (record: WalRecord) => boolean, atMost: number | null = null): Promise<void> {
  const { names, view } = stretch;
  const { segmentBytes } = view.place;
  const index = names.findIndex((name) => startOf(stretch, name) + BigInt(segmentBytes) > from);
  const first = names[index];
  if (first === undefined) return;
  const state = { done: false };
  const walker = new WalWalker(startOf(stretch, first), {
    segmentBytes,
    checkCrc: true,
    visit: (record) => {
      state.done ||= visit(record);
    },
  });
  for (const name of names.slice(index, atMost === null ? names.length : index + atMost)) {
    const bytes = await view.readUntil(name, stretch.end);
    walker.push(bytes);
    if (state.done) return;
    if (walker.stopped === null) continue;
    // Only where the stream stood when it stopped, or at a fork, can WAL end inside a segment.
    if (atMost !== null || (name === names.at(-1) && bytes.length < segmentBytes)) return;
    throw unreachable(
      `WAL breaks off in ${name} after ${formatLsn(walker.lastEnd ?? from)}: what follows is not its continuation`,
      stretch,
      "restore to a point before it, or from another copy",
    );
  }
}

function startOf(stretch: Stretch, name: string): Lsn {
  const segment = parseSegmentName(name, stretch.view.place.segmentBytes);
  if (segment === null) throw new RangeError(`not a segment: ${name}`);
  return segmentStart(segment, stretch.view.place.segmentBytes);
}

function unreachable(message: string, { view, end, backup }: Stretch, hint = "see 'holdfast info' for the windows that can be reached"): HoldfastError {
  return new HoldfastError("HF-TARGET-UNREACHABLE", message, { hint, facts: { repository: view.repository.name, backup: backup.id, walReaches: formatLsn(end) } });
}
