import type { Manifest, StoredManifest } from "../repository/manifest.ts";

/** A backup as commands and the API show it: one set, with its copies. */
export interface BackupView {
  readonly id: string;
  readonly type: Manifest["type"];
  readonly state: Manifest["state"] | "failed";
  readonly parentId: string | null;
  readonly startLsn: string;
  readonly stopLsn: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly sourceBytes: number;
  readonly readBytes: number;
  readonly storedBytes: number;
  readonly durationSeconds: number;
  readonly changeSource: Manifest["changeSource"];
  readonly changeSourceReason: string;
  readonly corruptPages: number;
  readonly copies: readonly BackupCopyView[];
}

export interface BackupCopyView {
  readonly repository: string;
  readonly state: "complete" | "failed" | "damaged" | "expiring";
  readonly verifiedTier: string | null;
  readonly verifiedAt: string | null;
  readonly error: string | null;
}

export function describeBackup({ manifest }: StoredManifest, copies: readonly BackupCopyView[]): BackupView {
  const { sizes } = manifest;
  return {
    id: manifest.id,
    type: manifest.type,
    state: manifest.state,
    parentId: manifest.parent?.id ?? null,
    startLsn: manifest.start.lsn,
    stopLsn: manifest.stop.lsn,
    startedAt: manifest.startedAt,
    finishedAt: manifest.finishedAt,
    sourceBytes: sizes.sourceBytes,
    readBytes: sizes.readBytes,
    storedBytes: sizes.storedBytes,
    durationSeconds: manifest.durationSeconds,
    changeSource: manifest.changeSource,
    changeSourceReason: manifest.changeSourceReason,
    corruptPages: manifest.corruptPages,
    copies,
  };
}
