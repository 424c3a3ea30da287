import { crashPoint } from "../../crash-points.ts";
import { assert, HoldfastError, must } from "../../errors.ts";
import { withdrawIntent } from "../../repository/attempts.ts";
import type { BackupCopy } from "../../repository/backup-copies.ts";
import { writeContents } from "../../repository/contents.ts";
import { writeDocument } from "../../repository/document.ts";
import { seal } from "../../repository/identity.ts";
import { keys } from "../../repository/layout.ts";
import type { Lease } from "../../repository/lease.ts";
import { listManifests, manifestSchema, nextInSequence, readManifest, referenceTo } from "../../repository/manifest.ts";
import type { CommonManifest, Manifest, ManifestListing, StoredManifest } from "../../repository/manifest.ts";
import { VERSION } from "../../version.ts";
import type { CopyOutcome } from "./backup-types.ts";
import type { OperationContext } from "../context.ts";
import type { Parent } from "./choose-parent.ts";

/** What every kind of backup says of itself in a manifest, and how it was made: the rest is the kind's own. */
export interface MadeBackup {
  readonly source: string;
  readonly id: string;
  readonly type: Manifest["type"];
  readonly parent: Parent;
  readonly changeSource: Manifest["changeSource"];
  readonly changeSourceReason: string;
  readonly state: Manifest["state"];
  readonly corruptPages: number;
  readonly sizes: Omit<Manifest["sizes"], "storedBytes">;
  readonly root: Manifest["root"];
  readonly ancestors: ReadonlySet<string>;
  readonly startedAt: Date;
  readonly elapsedSeconds: () => number;
  readonly reader: Manifest["reader"];
}

/** What a manifest says by its kind. */
export type OwnPart = DistributiveOmit<Manifest, keyof CommonManifest>;
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** Under which lease a copy is written, and what was there when it began. */
export interface CommitPlace {
  readonly lease: Lease;
  readonly listing: ManifestListing;
}

/** Makes one copy of the backup exist: its list of contents, and then, last of all, its manifest. A copy that failed before stays a failed copy. */
export async function commitBackup(copy: BackupCopy, { lease, listing }: CommitPlace, made: MadeBackup, own: OwnPart, context: OperationContext): Promise<CopyOutcome> {
  const { repository } = copy;
  const { source, id } = made;
  if (copy.failure !== null) return { repository: repository.name, stored: null, storedBytes: 0, error: copy.failure };
  try {
    const [contents, history] = await Promise.all([
      writeContents(repository, { source, backup: id }, copy.contents),
      // What was there is known; what came since is not: a copy that was filled up meanwhile.
      listManifests(repository, source, [...listing.backups, ...listing.dying]),
    ]);
    if (contents === "exists") throw taken(id);
    const manifest = { ...(await describe(copy, made, { contents, history }, context)), ...own };
    assert(manifestSchema.safeParse(manifest).success, "the manifest is complete");
    crashPoint("backup.before-manifest");
    await lease.assertHeld();
    context.signal.throwIfAborted();
    if ((await writeDocument(repository, keys.manifest(source, id), "manifest", manifest, repository.signer)) === "exists") throw taken(id);
    crashPoint("backup.after-manifest");
    // Read back what we wrote: what cannot be read now will not be readable later.
    const [stored] = await Promise.all([readManifest(repository, source, id), withdrawIntent(repository, source, id)]);
    return { repository: repository.name, stored, storedBytes: copy.storedBytes, error: null };
  } catch (error) {
    context.signal.throwIfAborted();
    return { repository: repository.name, stored: null, storedBytes: copy.storedBytes, error };
  }
}

function taken(id: string): HoldfastError {
  return new HoldfastError("HF-BUSY", `${id} was given up by another process while this one was making it`, { hint: "run the backup again" });
}

async function describe(
  copy: BackupCopy,
  made: MadeBackup,
  { contents, history }: { contents: Manifest["contents"]; history: ManifestListing },
  context: OperationContext,
): Promise<CommonManifest> {
  const { repository } = copy;
  const { source, id, type, parent } = made;
  return {
    source,
    id,
    type,
    ...nextInSequence(history),
    parent: parent.stored === null ? null : referenceTo(findIn(history.backups, parent.stored.manifest.id)),
    ancestors: [...made.ancestors].toSorted().map((ancestor) => referenceTo(findIn(history.backups, ancestor))),
    changeSource: made.changeSource,
    changeSourceReason: made.changeSourceReason,
    state: made.state,
    corruptPages: made.corruptPages,
    sizes: { ...made.sizes, storedBytes: copy.storedBytes },
    contents,
    root: made.root,
    dataKey: { keyId: copy.dataKey.keyId, sealed: copy.dataKey.sealed },
    mapKey: { id: repository.mapKey.id, keyId: repository.keyRing.current.keyId, sealed: await seal(repository.mapKey.key, repository.keyRing.current.recipient) },
    startedAt: made.startedAt.toISOString(),
    finishedAt: context.clock.now().toISOString(),
    durationSeconds: made.elapsedSeconds(),
    writer: repository.signer.fingerprint,
    reader: made.reader,
    program: `holdfast ${VERSION}`,
  };
}

function findIn(backups: readonly StoredManifest[], id: string): StoredManifest {
  return must(
    backups.find(({ manifest }) => manifest.id === id),
    `the manifest of ancestor ${id}`,
  );
}
