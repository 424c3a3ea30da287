import { formatLsn, parseLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import type { WindowView } from "../../domain/source-info.ts";
import { fromDate, parseMicros } from "../../domain/timestamp.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { parseSegmentName, segmentEnd, segmentStart } from "../../domain/wal-segment.ts";
import { DamageError, HoldfastError, must } from "../../errors.ts";
import { markOf, WalWalker } from "../../postgres/wal-records.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";

/** A stretch of one timeline, any point of which a copy can bring back. A backup whose WAL does not reach the next one is a window of one point. */
export interface RecoveryWindow {
  readonly timeline: number;
  /** Timelines that it was on before, and where it left each. */
  readonly forks: TimelineHistory["forks"];
  readonly start: Lsn;
  readonly end: Lsn;
  readonly from: Micros;
  /** Until when everything committed is in it; null where that is not known. */
  readonly to: Micros | null;
  readonly oldestBackup: string;
}

/** The windows on the history of one timeline, oldest first. */
export async function findWindows(view: CopyView, history: TimelineHistory): Promise<RecoveryWindow[]> {
  const stretches: { first: ClusterManifest; end: Lsn; names: string[]; timeline: number }[] = [];
  for (const { manifest } of view.backupsOn(history)) {
    const { end, names, timeline } = view.reach(history, parseLsn(manifest.start.lsn));
    if (end < parseLsn(manifest.stop.lsn)) continue;
    const last = stretches.at(-1);
    if (last !== undefined && last.end >= parseLsn(manifest.stop.lsn)) Object.assign(last, { end, names, timeline });
    else stretches.push({ first: manifest, end, names, timeline });
  }
  const windows: RecoveryWindow[] = [];
  for (const { first, end, names, timeline } of stretches) {
    const from = fromDate(new Date(first.stop.at));
    const to = await completeUntil(view, history, names, end);
    const forks = history.forks.filter((fork) => fork.timeline < timeline && fork.switchpoint > parseLsn(first.stop.lsn));
    windows.push({ timeline, forks, start: parseLsn(first.stop.lsn), end, from, to: to === null || to < from ? from : to, oldestBackup: first.id });
  }
  return windows;
}

const SEGMENTS_LOOKED_BACK = 16;

/** Until when a stretch of WAL that ends at `end` is known to hold everything: where the stream stood there, or the newest transaction in it. */
async function completeUntil(view: CopyView, history: TimelineHistory, names: readonly string[], end: Lsn): Promise<Micros | null> {
  const covered = view.coveredUntil(history, end);
  for (let i = names.length - 1; i >= Math.max(0, names.length - SEGMENTS_LOOKED_BACK); i--) {
    const newest = await newestTransaction(view, { names, end }, i);
    if (newest !== null) return covered !== null && covered > newest ? covered : newest;
  }
  return covered;
}

async function newestTransaction(view: CopyView, { names, end }: { names: readonly string[]; end: Lsn }, index: number): Promise<Micros | null> {
  const name = must(names[index], "a segment");
  const { segmentBytes } = view.place;
  try {
    // A segment that is left at a fork holds more than counts here.
    const isWhole = segmentEnd(must(parseSegmentName(name, segmentBytes), "a segment"), segmentBytes) <= end;
    const ledger = isWhole ? await view.ledger(name) : null;
    if (ledger !== null) return ledger.maxCommitAt === null ? null : parseMicros(ledger.maxCommitAt);
    // Unfinished: no ledger yet, so its records are read; one may begin in the segment before.
    const begin = names[Math.max(0, index - 1)] ?? name;
    const segment = must(parseSegmentName(begin, segmentBytes), "a segment");
    let newest: Micros | null = null;
    const walker = new WalWalker(segmentStart(segment, segmentBytes), {
      segmentBytes,
      checkCrc: true,
      visit: (record) => {
        const mark = markOf(record);
        if (mark !== null && (newest === null || mark.at > newest)) newest = mark.at;
      },
    });
    for (const part of begin === name ? [name] : [begin, name]) walker.push(await view.readUntil(part, end));
    return newest;
  } catch (error) {
    // What cannot be read says nothing about time: verification names what is damaged, and a host without a key opens nothing.
    if (error instanceof DamageError || (error instanceof HoldfastError && error.code === "HF-KEY")) return null;
    throw error;
  }
}

export function describeWindow(repository: string, window: RecoveryWindow): Pick<WindowView, "repository" | "timeline" | "forks" | "startLsn" | "endLsn"> {
  const forks = window.forks.map(({ timeline, switchpoint }) => ({ timeline, lsn: formatLsn(switchpoint) }));
  return { repository, timeline: window.timeline, ...(forks.length === 0 ? {} : { forks }), startLsn: formatLsn(window.start), endLsn: formatLsn(window.end) };
}
