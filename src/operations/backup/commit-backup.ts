import { crashPoint } from "../../crash-points.ts";
import { formatLsn } from "../../domain/lsn.ts";
import { segmentAt, segmentBefore, segmentName } from "../../domain/wal-segment.ts";
import { assert, HoldfastError, must } from "../../errors.ts";
import { withdrawIntent } from "../../repository/attempts.ts";
import type { BackupCopy } from "../../repository/backup-copies.ts";
import { writeContents } from "../../repository/contents.ts";
import { writeDocument } from "../../repository/document.ts";
import { seal } from "../../repository/identity.ts";
import { keys } from "../../repository/layout.ts";
import type { Lease } from "../../repository/lease.ts";
import { listManifests, manifestSchema, nextInSequence, readManifest, referenceTo } from "../../repository/manifest.ts";
import type { Manifest, StoredManifest } from "../../repository/manifest.ts";
import { VERSION } from "../../version.ts";
import type { CopyOutcome } from "./backup-types.ts";
import type { OperationContext } from "../context.ts";
import type { PackedCluster } from "./pack-cluster.ts";

/** Makes one copy of the backup exist: its list of contents, and then, last of all, its manifest. A copy that failed before stays a failed copy. */
export async function commitBackup(copy: BackupCopy, lease: Lease, packed: PackedCluster, context: OperationContext): Promise<CopyOutcome> {
  const { repository } = copy;
  const { request, id } = packed.backup;
  if (copy.failure !== null) return { repository: repository.name, stored: null, storedBytes: 0, error: copy.failure };
  try {
    const contents = await writeContents(repository, { source: request.source.name, backup: id }, copy.contents);
    if (contents === "exists") throw taken(id);
    const manifest = await describe(copy, packed, contents, context);
    assert(manifestSchema.safeParse(manifest).success, "the manifest is complete");
    crashPoint("backup.before-manifest");
    await lease.assertHeld();
    context.signal.throwIfAborted();
    if ((await writeDocument(repository, keys.manifest(request.source.name, id), "manifest", manifest, repository.signer)) === "exists") throw taken(id);
    crashPoint("backup.after-manifest");
    await withdrawIntent(repository, request.source.name, id);
    // Read back what we wrote: what cannot be read now will not be readable later.
    return { repository: repository.name, stored: await readManifest(repository, request.source.name, id), storedBytes: copy.storedBytes, error: null };
  } catch (error) {
    context.signal.throwIfAborted();
    return { repository: repository.name, stored: null, storedBytes: copy.storedBytes, error };
  }
}

function taken(id: string): HoldfastError {
  return new HoldfastError("HF-BUSY", `${id} was given up by another process while this one was making it`, { hint: "run the backup again" });
}

async function describe(copy: BackupCopy, packed: PackedCluster, contents: Manifest["contents"], context: OperationContext): Promise<Manifest> {
  const { repository } = copy;
  const { backup, start, stop, totals, corrupt } = packed;
  const { state, request, parent } = backup;
  const { source } = request;
  const history = await listManifests(repository, source.name);
  const { walSegmentBytes } = state.facts;
  return {
    source: source.name,
    id: backup.id,
    type: backup.type,
    ...nextInSequence(history),
    parent: parent.stored === null ? null : referenceTo(findIn(history.backups, parent.stored.manifest.id)),
    ancestors: [...packed.ancestors].toSorted().map((id) => referenceTo(findIn(history.backups, id))),
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
    changeSource: packed.changeSource,
    changeSourceReason: packed.changeSourceReason,
    state: corrupt.length === 0 ? "complete" : "complete_with_corruption",
    corruptPages: corrupt.length,
    sizes: {
      sourceBytes: totals.sourceBytes,
      readBytes: totals.readBytes,
      storedBytes: copy.storedBytes,
      files: totals.files,
      extents: packed.extents,
      changedBlocks: packed.changedBlocks,
    },
    contents,
    root: packed.root,
    dataKey: { keyId: copy.dataKey.keyId, sealed: copy.dataKey.sealed },
    mapKey: { id: repository.mapKey.id, keyId: repository.keyRing.current.keyId, sealed: await seal(repository.mapKey.key, repository.keyRing.current.recipient) },
    startedAt: packed.startedAt.toISOString(),
    finishedAt: context.clock.now().toISOString(),
    durationSeconds: packed.elapsedSeconds(),
    writer: repository.signer.fingerprint,
    reader: packed.readerKind,
    program: `holdfast ${VERSION}`,
  };
}

function findIn(backups: readonly StoredManifest[], id: string): StoredManifest {
  return must(
    backups.find(({ manifest }) => manifest.id === id),
    `the manifest of ancestor ${id}`,
  );
}
