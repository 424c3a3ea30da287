import type { BackupCopyView, BackupView } from "../../domain/source-info.ts";
import type { StoredManifest } from "../../repository/manifest.ts";

/** A backup as commands and the API show it: one set, with its copies. */
export function describeBackup({ manifest }: StoredManifest, copies: readonly BackupCopyView[]): BackupView {
  const { sizes } = manifest;
  return {
    id: manifest.id,
    type: manifest.type,
    state: manifest.state,
    parentId: manifest.parent?.id ?? null,
    startLsn: manifest.kind === "postgres" ? manifest.start.lsn : null,
    stopLsn: manifest.kind === "postgres" ? manifest.stop.lsn : null,
    startedAt: manifest.startedAt,
    finishedAt: manifest.finishedAt,
    sourceBytes: sizes.sourceBytes,
    readBytes: sizes.readBytes,
    storedBytes: sizes.storedBytes,
    durationSeconds: manifest.durationSeconds,
    changeSource: manifest.changeSource,
    changeSourceReason: manifest.changeSourceReason,
    corruptPages: manifest.corruptPages,
    tree: manifest.kind === "files" ? { skipped: manifest.tree.skipped, changed: manifest.tree.changed, unread: manifest.tree.unread } : null,
    copies,
  };
}
