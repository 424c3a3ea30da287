import type { BackupType } from "./backup-id.ts";

/** Everything about one source that its repositories tell, as commands, API and reports show it. Plain data: LSNs as text, times RFC 3339, unknown is null. */
export interface SourceInfo {
  readonly name: string;
  readonly systemIdentifier: string | null;
  readonly timeline: number | null;
  readonly backups: readonly ListedBackup[];
  readonly windows: readonly WindowView[];
  readonly gaps: readonly GapView[];
  readonly exposure: readonly ExposureView[];
  readonly lastProof: LastProof | null;
}

/** A backup set with its copies. */
export interface BackupView {
  readonly id: string;
  readonly type: BackupType;
  readonly state: "complete" | "complete_with_corruption";
  readonly parentId: string | null;
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly sourceBytes: number;
  readonly readBytes: number;
  readonly storedBytes: number;
  readonly durationSeconds: number;
  readonly changeSource: "everything" | "digests" | "server-summaries" | "wal-summaries";
  readonly changeSourceReason: string;
  readonly corruptPages: number;
  readonly copies: readonly BackupCopyView[];
}

export interface BackupCopyView {
  readonly repository: string;
  readonly state: "complete" | "failed" | "damaged";
  readonly verifiedTier: string | null;
  readonly verifiedAt: string | null;
  readonly error: string | null;
}

interface ListedBackup extends BackupView {
  /** Kept backups that were made from it. */
  readonly heldBy: readonly string[];
  readonly expiresAt: string | null;
}

export interface WindowView {
  readonly repository: string;
  readonly timeline: number;
  readonly from: string;
  readonly to: string | null;
  readonly startLsn: string;
  readonly endLsn: string;
}

export interface GapView {
  readonly repository: string;
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
  readonly observedAt: string | null;
}

export interface LastProof {
  readonly at: string;
  readonly drill: string;
  readonly verdict: string;
  readonly backupId: string | null;
  readonly rtoSeconds: number | null;
}
