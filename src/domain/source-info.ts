import type { BackupType } from "./backup-id.ts";
import type { SourceKind } from "./source-kind.ts";
import type { HoldMark } from "./hold.ts";
import type { SizeCheck } from "./size-check.ts";
import type { LedgerSummary } from "./verify-ledger.ts";

/** Everything about one source that its repositories tell, as commands, API and reports show it. Plain data: LSNs as text, times RFC 3339, unknown is null. */
export interface SourceInfo {
  readonly name: string;
  /** Absent where an earlier version looked, or nothing is there yet. */
  readonly kind?: SourceKind | null;
  readonly systemIdentifier: string | null;
  /** Clusters that the source was bound to before, newest first, of which something is there. Absent where an earlier version looked. */
  readonly formerClusters?: readonly FormerClusterView[];
  /** Absent where an earlier version looked. */
  readonly walSegmentBytes?: number | null;
  readonly timeline: number | null;
  /** Legal hold on all of it. */
  readonly held: HoldMark | null;
  readonly backups: readonly ListedBackup[];
  readonly windows: readonly WindowView[];
  readonly gaps: readonly GapView[];
  readonly exposure: readonly ExposureView[];
  readonly lastProof: LastProof | null;
  /** Whether commits of the server wait for our WAL stream, and whether that runs. Null: the server did not answer, or there is none; absent in what an older version observed. */
  readonly commits?: CommitsView | null;
  /** Repositories that lack something that another holds and the policy wants there too; those that could not be looked at are not named. Absent in what an older version observed. */
  readonly lagging?: readonly LagView[];
  /** How far verification is, piece by piece, as of the last look at what there is to verify; a repository that was never looked at is not named. Absent in what an older version observed. */
  readonly verification?: readonly VerificationView[];
  /** When the stores were last asked until when all of its backups are locked. Absent where nobody asked. */
  readonly locksAskedAt?: string;
}

export interface FormerClusterView {
  readonly systemIdentifier: string;
  /** When the source was bound to it, and when to another. */
  readonly from: string;
  readonly until: string;
}

interface CommitsView {
  /** `alone`: no other standby can stand in for us. */
  readonly wait: "none" | "with-others" | "alone";
  /** As the server sees it: our stream is connected, and has caught up. */
  readonly streaming: boolean;
}

export interface VerificationView extends LedgerSummary {
  readonly repository: string;
}

export interface LagView {
  readonly repository: string;
  /** Ids of the backups that it lacks. */
  readonly backups: readonly string[];
  readonly walSegments: number;
}

/** A backup set with its copies. */
export interface BackupView {
  readonly id: string;
  readonly type: BackupType;
  readonly state: "complete" | "complete_with_corruption";
  readonly parentId: string | null;
  /** Null: it is of no cluster. */
  readonly startLsn: string | null;
  readonly stopLsn: string | null;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly sourceBytes: number;
  readonly readBytes: number;
  readonly storedBytes: number;
  readonly durationSeconds: number;
  readonly changeSource: "everything" | "digests" | "server-summaries" | "wal-summaries" | "file-times";
  readonly changeSourceReason: string;
  readonly corruptPages: number;
  /** Of a file tree only: how much of it was left out, was written to while it was read, or could not be read. Null: it is none; absent in what an older version observed. */
  readonly tree?: { readonly skipped: number; readonly changed: number; readonly unread: number } | null;
  readonly copies: readonly BackupCopyView[];
}

export interface BackupCopyView {
  readonly repository: string;
  readonly state: "complete" | "failed" | "damaged";
  readonly verifiedTier: string | null;
  readonly verifiedAt: string | null;
  readonly error: string | null;
  /** Until when nobody can delete it, which may be over; null: it is not locked. Absent where nobody asked the store. */
  readonly lockedUntil?: string | null;
}

interface ListedBackup extends BackupView {
  /** Kept backups that were made from it. */
  readonly heldBy: readonly string[];
  /** By whom, since when and why, in any of its copies. */
  readonly pinned: HoldMark | null;
  /** Under legal hold, by itself or with all of the source. */
  readonly held: HoldMark | null;
  readonly expiresAt: string | null;
  /** Beside others of its type. Absent in what an older version observed. */
  readonly sizeCheck?: SizeCheck;
}

export interface WindowView {
  readonly repository: string;
  /** Of a former cluster; absent: of the one that the source is bound to. */
  readonly systemIdentifier?: string;
  /** On which it ends. */
  readonly timeline: number;
  /** Timelines that it was on before, and where it left each. Absent: none, or an earlier version looked. */
  readonly forks?: readonly { readonly timeline: number; readonly lsn: string }[];
  readonly from: string;
  readonly to: string | null;
  readonly startLsn: string;
  readonly endLsn: string;
}

export interface GapView {
  readonly repository: string;
  /** Of a former cluster; absent: of the one that the source is bound to. */
  readonly systemIdentifier?: string;
  readonly timeline: number;
  readonly startLsn: string;
  readonly endLsn: string;
  readonly firstSegment: string;
  readonly lastSegment: string;
}

export interface ExposureView {
  readonly repository: string;
  /** Null: not observed, never 0. */
  readonly seconds: number | null;
  readonly bytes: number | null;
  /** When the copy was last looked at: it grows where that is long ago, for nothing new is known to be there. */
  readonly observedAt: string | null;
  /** How far it could bring the source back, and until when all that was committed is in that. Absent in what an older version observed. */
  readonly recoverableLsn?: string | null;
  readonly completeUntil?: string | null;
}

export interface LastProof {
  readonly at: string;
  readonly drill: string;
  readonly verdict: string;
  readonly backupId: string | null;
  readonly rtoSeconds: number | null;
}
