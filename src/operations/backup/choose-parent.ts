import type { BackupType } from "../../domain/backup-id.ts";
import { chooseParent } from "../../domain/chain.ts";
import type { ClusterFacts, ParentCandidate, ParentChoice } from "../../domain/chain.ts";
import { parseLsn } from "../../domain/lsn.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { DamageError, HoldfastError } from "../../errors.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import { readContents } from "../../repository/contents.ts";
import { keys } from "../../repository/layout.ts";
import { isCluster, isSameBackup, learnMapKeys, readChain, readManifest } from "../../repository/manifest.ts";
import type { ClusterManifest, ManifestListing, StoredManifest } from "../../repository/manifest.ts";
import { ChainReader } from "../../repository/map-reader.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import type { ParentBackup } from "./merge-parent.ts";

/** A copy a backup will go to, and what is there already. */
export interface CopyPlace {
  readonly repository: WritableRepository;
  readonly listing: ManifestListing;
}

export type Parent = { readonly stored: StoredManifest; readonly backup: ParentBackup } | { readonly stored: null; readonly reason: string };

/** The parent of a new backup of a cluster. */
export async function findParent(type: BackupType, places: readonly CopyPlace[], server: ClusterFacts, history: TimelineHistory, context: OperationContext): Promise<Parent> {
  return findWholeParent(places, (backups) => chooseParent(type, backups.filter(isCluster).map(candidateOf), server, history), context);
}

/**
 * The parent of a new backup: one that every copy holds complete. What is missing or damaged of it anywhere rules it out, and the next candidate is tried; without any, the backup
 * becomes a full and says why.
 */
export async function findWholeParent(places: readonly CopyPlace[], choose: (backups: readonly StoredManifest[]) => ParentChoice, context: OperationContext): Promise<Parent> {
  const [first, ...others] = places;
  if (first === undefined) return { stored: null, reason: "there is no copy" };
  const common = first.listing.backups.filter(({ manifest }) => others.every((place) => place.listing.backups.some((other) => isSameBackup(other.manifest, manifest))));
  const ruledOut = new Set<string>();
  for (;;) {
    const choice = choose(common.filter(({ manifest }) => !ruledOut.has(manifest.id)));
    if (choice.parent === null) return { stored: null, reason: ruledOut.size === 0 ? choice.reason : `${choice.reason} (not whole in every copy: ${[...ruledOut].join(", ")})` };
    const stored = common.find(({ manifest }) => manifest.id === choice.parent);
    const backup = stored === undefined ? null : await openIfWhole(places, stored, context);
    if (stored !== undefined && backup !== null) return { stored, backup };
    ruledOut.add(choice.parent);
  }
}

function candidateOf({ manifest }: StoredManifest<ClusterManifest>): ParentCandidate {
  const { postgres } = manifest;
  return {
    ...factsOf(postgres),
    id: manifest.id,
    type: manifest.type,
    timeline: postgres.timeline,
    stopLsn: parseLsn(manifest.stop.lsn),
    corrupt: manifest.state === "complete_with_corruption",
  };
}

function factsOf(postgres: ClusterManifest["postgres"]): ClusterFacts {
  const { systemIdentifier, catalogVersion, blockSize, segmentBlocks, walSegmentBytes, dataChecksums, version } = postgres;
  return { systemIdentifier, major: majorOf(version), catalogVersion, blockSize, segmentBlocks, walSegmentBytes, dataChecksums };
}

/** The parent opened for reading, after a look at every container of its chain in every copy: a child is worth no more than what it refers to. */
async function openIfWhole(places: readonly CopyPlace[], stored: StoredManifest, context: OperationContext): Promise<ParentBackup | null> {
  try {
    for (const { repository } of places) await assertPresent(repository, stored.manifest.source, stored.manifest.id);
    const [{ repository }] = places as [CopyPlace];
    const chain = await readChain(repository, stored);
    await learnMapKeys(repository, chain);
    const reader = new ChainReader(repository, chain);
    const late = new Map<string, FileEntry>();
    for (const ref of (await reader.root(stored.manifest.id)).late) for (const entry of await reader.chunk(ref)) if (entry.type === "file") late.set(entry.path, entry);
    return { id: stored.manifest.id, chain: reader, late };
  } catch (error) {
    // A host without the passphrase reads the maps it made itself, and no others.
    if (!(error instanceof DamageError) && !(error instanceof HoldfastError && error.code === "HF-KEY")) throw error;
    context.onNotice(`${stored.manifest.id} cannot be a parent: ${error.message}`);
    return null;
  }
}

async function assertPresent(repository: WritableRepository, source: string, backup: string): Promise<void> {
  const own = await readChain(repository, await readManifest(repository, source, backup));
  for (const { manifest } of own.values()) {
    const sizes = new Map<string, number>();
    for await (const { key, size } of repository.store.list(keys.backup(source, manifest.id))) sizes.set(key, size);
    for (const line of await readContents(repository, manifest)) {
      const key = keys.backup(source, manifest.id) + line.name;
      const size = sizes.get(key);
      if (size === undefined) throw new DamageError(key, "the object is not there", "missing");
      if (size !== line.bytes) throw new DamageError(key, `it is ${size} bytes long, not ${line.bytes}`);
    }
  }
}
