import type { BackupType } from "./backup-id.ts";
import type { Lsn } from "./lsn.ts";
import { isOnHistory } from "./timeline.ts";
import type { TimelineHistory } from "./timeline.ts";

/** What choosing a parent looks at, of a backup set or of the server as it is now. */
export interface ClusterFacts {
  readonly systemIdentifier: string;
  readonly major: number;
  readonly catalogVersion: number;
  readonly blockSize: number;
  readonly segmentBlocks: number;
  readonly walSegmentBytes: number;
  readonly dataChecksums: boolean;
}

export interface ParentCandidate extends ClusterFacts {
  readonly id: string;
  readonly type: BackupType;
  readonly timeline: number;
  readonly stopLsn: Lsn;
  readonly corrupt: boolean;
}

export type ParentChoice = { readonly parent: string; readonly reason: null } | { readonly parent: null; readonly reason: string };

/**
 * The parent of a new backup, or why there is none and it becomes a full. A differential refers to the last full; an incremental to the last full or incremental, never to a
 * differential, whose life is short. A parent is usable only if it is of this cluster, of the same shape, clean, and on the history that led to where the server is now.
 */
export function chooseParent(type: BackupType, candidates: readonly ParentCandidate[], server: ClusterFacts, history: TimelineHistory): ParentChoice {
  if (type === "full") return { parent: null, reason: "a full backup was asked for" };
  const wanted = candidates.filter((candidate) => isParentOf(type, candidate.type));
  if (wanted.length === 0) return { parent: null, reason: "there is no full backup yet" };
  const reasons: string[] = [];
  for (const candidate of wanted.toReversed()) {
    const problem = whyUnusable(candidate, server, history);
    if (problem === null) return { parent: candidate.id, reason: null };
    reasons.push(`${candidate.id} ${problem}`);
  }
  return { parent: null, reason: `no earlier backup can be its parent: ${reasons[0]}` };
}

/** The parent of a new backup of a file tree: any of the same shape will do, for every file is compared with what it has of it. */
export function chooseTreeParent(
  type: BackupType,
  candidates: readonly { readonly id: string; readonly type: BackupType; readonly blockSize: number }[],
  blockSize: number,
): ParentChoice {
  if (type === "full") return { parent: null, reason: "a full backup was asked for" };
  const wanted = candidates.findLast((candidate) => isParentOf(type, candidate.type) && candidate.blockSize === blockSize);
  return wanted === undefined ? { parent: null, reason: "there is no full backup yet" } : { parent: wanted.id, reason: null };
}

function isParentOf(type: BackupType, candidate: BackupType): boolean {
  return candidate === "full" || (type === "incremental" && candidate === "incremental");
}

function whyUnusable(candidate: ParentCandidate, server: ClusterFacts, history: TimelineHistory): string | null {
  if (candidate.corrupt) return "holds corrupt pages";
  if (candidate.systemIdentifier !== server.systemIdentifier) return "is of another cluster";
  if (candidate.major !== server.major || candidate.catalogVersion !== server.catalogVersion) return "is of another PostgreSQL version";
  if (candidate.blockSize !== server.blockSize || candidate.segmentBlocks !== server.segmentBlocks || candidate.walSegmentBytes !== server.walSegmentBytes)
    return "has files of another shape";
  if (candidate.dataChecksums !== server.dataChecksums) return `was made with data checksums ${candidate.dataChecksums ? "on" : "off"}`;
  if (!isOnHistory(history, candidate.timeline, candidate.stopLsn)) return `is not on the history of timeline ${history.timeline}`;
  return null;
}
