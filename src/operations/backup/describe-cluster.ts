import { formatLsn } from "../../domain/lsn.ts";
import { segmentAt, segmentBefore, segmentName } from "../../domain/wal-segment.ts";
import type { ClusterManifest, CommonManifest } from "../../repository/manifest.ts";
import type { MadeBackup } from "./commit-backup.ts";
import type { PackedCluster } from "./pack-cluster.ts";

/** A packed cluster as a manifest tells of it: what every backup says, and what only one of a cluster does. */
export function describeCluster(packed: PackedCluster): { made: MadeBackup; own: Omit<ClusterManifest, keyof CommonManifest> } {
  const { backup, start, stop, totals, corrupt } = packed;
  const { state, request, parent } = backup;
  const { walSegmentBytes } = state.facts;
  return {
    made: {
      source: request.source.name,
      id: backup.id,
      type: backup.type,
      parent,
      changeSource: packed.changeSource,
      changeSourceReason: packed.changeSourceReason,
      state: corrupt.length === 0 ? "complete" : "complete_with_corruption",
      corruptPages: corrupt.length,
      sizes: { sourceBytes: totals.sourceBytes, readBytes: totals.readBytes, files: totals.files, extents: packed.extents, changedBlocks: packed.changedBlocks },
      root: packed.root,
      ancestors: packed.ancestors,
      startedAt: packed.startedAt,
      elapsedSeconds: packed.elapsedSeconds,
      reader: packed.readerKind,
    },
    own: {
      kind: "postgres",
      postgres: {
        systemIdentifier: state.facts.systemIdentifier,
        version: state.identity.version,
        catalogVersion: state.facts.catalogVersion,
        blockSize: state.facts.blockSize,
        segmentBlocks: state.facts.segmentBlocks,
        walSegmentBytes,
        dataChecksums: state.facts.dataChecksums,
        timeline: start.timeline,
        inRecovery: state.identity.inRecovery,
        bootstrapRole: state.captured.bootstrapRole,
      },
      start: { lsn: formatLsn(start.lsn), at: start.at.toISOString(), checkpoint: formatLsn(start.checkpoint) },
      stop: { lsn: formatLsn(stop.lsn), at: stop.at.toISOString() },
      wal: {
        timeline: start.timeline,
        first: segmentName(segmentAt(start.timeline, start.lsn, walSegmentBytes), walSegmentBytes),
        last: segmentName(segmentBefore(start.timeline, stop.lsn, walSegmentBytes), walSegmentBytes),
      },
    },
  };
}
