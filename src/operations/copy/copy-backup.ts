import type { Clock } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { parseLsn } from "../../domain/lsn.ts";
import { contiguousFrom } from "../../domain/wal-coverage.ts";
import { segmentName } from "../../domain/wal-segment.ts";
import { assert, HoldfastError, must } from "../../errors.ts";
import { clearAttempt, declareIntent, readIntents, withdrawIntent } from "../../repository/attempts.ts";
import { readContents, sameContents, writeContents } from "../../repository/contents.ts";
import type { ContentsLine } from "../../repository/contents.ts";
import { writeDocument } from "../../repository/document.ts";
import { seal } from "../../repository/identity.ts";
import type { SealedKey } from "../../repository/key-ring.ts";
import { keys } from "../../repository/layout.ts";
import type { Lease } from "../../repository/lease.ts";
import { isSameBackup, learnMapKeys, listManifests, manifestSchema, nextInSequence, ownSegments, readChain, readManifest, referenceTo } from "../../repository/manifest.ts";
import type { ClusterManifest, Manifest, ManifestListing, StoredManifest } from "../../repository/manifest.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { listWal, readTimelineHistory } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import { VERSION } from "../../version.ts";
import type { OperationContext } from "../context.ts";
import { copyHistories, copySegments } from "../wal/fill-wal.ts";
import type { Filled } from "../wal/fill-wal.ts";
import { WalKeys } from "../wal/wal-keys.ts";
import { copyContainer } from "./copy-container.ts";

/** One backup set, from one repository of the source into another. */
export interface BackupCopyTask {
  readonly from: WritableRepository;
  readonly to: WritableRepository;
  readonly place: WalPlace;
  readonly id: string;
  /** On the repository that is copied to: nobody else writes or removes backups there. */
  readonly lease: Lease;
  readonly runId: string;
  readonly hasEnded: (runId: string) => boolean;
}

export interface CopiedBackup {
  readonly id: string;
  readonly storedBytes: number;
  /** Of these, how much was there already, from a copy that was cut short. */
  readonly presentBytes: number;
  readonly containers: number;
  readonly presentContainers: number;
  readonly walSegments: number;
  readonly sha256: string;
}

/** Copying repeats what the backup did at its fastest, and reads are what takes long. */
const COMPRESSION_LEVEL = 1;

/**
 * Copies a backup set: every frame checked on the way, encrypted for the other repository, under the same id and the same addresses. What it was made from must be there. The order is that of a
 * backup: intent, packs, its WAL, contents, and last of all its manifest. What was cut short is gone on with.
 */
export async function copyBackup(task: BackupCopyTask, context: OperationContext): Promise<CopiedBackup> {
  const { from, to, place, id } = task;
  const stored = await readManifest(from, place.source, id);
  await learnMapKeys(from, await readChain(from, stored));
  const listing = await listManifests(to, place.source);
  const ancestors = stored.manifest.ancestors.map((ancestor) => ancestor.id);
  await assertAncestors(task, ancestors, listing);
  await begin(task, ancestors, context);
  crashPoint("copy.begun");
  const packs = await copyPacks(task, stored, context);
  const wal = stored.manifest.kind === "postgres" ? await copyOwnWal(task, stored.manifest, context) : { segments: 0 };
  const contents = await storeContents(task, packs.lines);
  const manifest = await describe(task, stored, listing, { ...packs, contents }, context.clock);
  assert(manifestSchema.safeParse(manifest).success, "the manifest is complete");
  crashPoint("copy.before-manifest");
  await task.lease.assertHeld();
  context.signal.throwIfAborted();
  if ((await writeDocument(to, keys.manifest(place.source, id), "manifest", manifest, to.signer)) === "exists") throw taken(to, id);
  crashPoint("copy.after-manifest");
  await withdrawIntent(to, place.source, id);
  const { sha256 } = await readManifest(to, place.source, id);
  return { id, ...packs.sizes, walSegments: wal.segments, sha256 };
}

async function assertAncestors({ from, to, place, id }: BackupCopyTask, ancestors: readonly string[], { backups }: ManifestListing): Promise<void> {
  for (const ancestor of ancestors) {
    const here = await readManifest(from, place.source, ancestor);
    const there = backups.find(({ manifest }) => manifest.id === ancestor);
    if (there === undefined || !isSameBackup(here.manifest, there.manifest))
      throw new HoldfastError("HF-COPIES", `${id} was made from ${ancestor}, which ${to.name} does not hold`, { hint: "copy that first" });
  }
}

/** What another attempt at this backup left is cleared away, if it is known that nobody is at it. What a copy left is gone on with. */
async function begin({ to, from, place, id, runId, hasEnded }: BackupCopyTask, ancestors: readonly string[], context: OperationContext): Promise<void> {
  const found = (await readIntents(to, place.source)).find(({ backup }) => backup === id);
  if (found !== undefined && found.copiedFrom === undefined) {
    if (!hasEnded(found.runId))
      throw new HoldfastError("HF-BUSY", `${to.name} holds an attempt at ${id} of run ${found.runId}, which is not known here to have ended`, {
        hint: "where that run is over, 'holdfast expire' gives the attempt up; then a new backup goes to all repositories",
        facts: { repository: to.name, backup: id, runId: found.runId },
      });
    await clearAttempt(to, place.source, id);
  }
  await declareIntent(to, place.source, { backup: id, ancestors: [...ancestors], startedAt: context.clock.now().toISOString(), runId, copiedFrom: from.repositoryId });
}

interface CopiedPacks {
  readonly lines: readonly ContentsLine[];
  readonly dataKey: { readonly keyId: string; readonly sealed: string };
  readonly sizes: Pick<CopiedBackup, "storedBytes" | "presentBytes" | "containers" | "presentContainers">;
}

async function copyPacks({ from, to, place, id }: BackupCopyTask, stored: StoredManifest, context: OperationContext): Promise<CopiedPacks> {
  const wanted = await readContents(from, stored.manifest);
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  let made: Promise<SealedKey> | null = null;
  let before: { readonly keyId: string; readonly sealed: string } | null = null;
  // One key a backup, if this host can open the one that was begun with.
  const dataKey = (): Promise<SealedKey> => (made ??= openKey(to, before));
  const lines: ContentsLine[] = [];
  const sizes = { storedBytes: 0, presentBytes: 0, containers: 0, presentContainers: 0 };
  let doneBytes = 0;
  for (const line of wanted) {
    context.signal.throwIfAborted();
    const copied = await copyContainer({
      from,
      to,
      source: place.source,
      backup: id,
      line,
      dataKey,
      onDataKey: (key) => (before ??= key),
      compressionLevel: COMPRESSION_LEVEL,
      now: context.clock.now(),
      signal: context.signal,
    });
    lines.push(copied.line);
    sizes.containers++;
    sizes.storedBytes += copied.line.bytes;
    if (!copied.isNew) [sizes.presentContainers, sizes.presentBytes] = [sizes.presentContainers + 1, sizes.presentBytes + copied.line.bytes];
    doneBytes += line.bytes;
    context.onProgress({ phase: `copy ${id}`, doneBytes, totalBytes });
  }
  const { keyId, sealed } = await dataKey();
  return { lines, dataKey: { keyId, sealed }, sizes };
}

async function openKey({ keyRing }: WritableRepository, before: { readonly keyId: string; readonly sealed: string } | null): Promise<SealedKey> {
  if (before === null || !keyRing.canOpenData || before.keyId !== keyRing.current.keyId) return keyRing.sealNew();
  return { ...before, key: await keyRing.open(before.keyId, before.sealed) };
}

/** WAL from start to stop: without it the copy is none. */
async function copyOwnWal({ from, to, place, id }: BackupCopyTask, manifest: ClusterManifest, { clock, signal }: OperationContext): Promise<Filled> {
  const request = { from, to, place, walKeys: new WalKeys(clock), clock, signal, unfinished: true };
  await copyHistories(request);
  const { first, last } = must(ownSegments(manifest), "the segments of a backup");
  const numbers = Array.from({ length: Number(last.number - first.number) + 1 }, (_, i) => first.number + BigInt(i));
  const filled = await copySegments(
    request,
    numbers.map((number) => segmentName({ timeline: first.timeline, number }, place.segmentBytes)),
  );
  const history = await readTimelineHistory(to, place, manifest.postgres.timeline);
  const { end } = contiguousFrom(await listWal(to, place), history, parseLsn(manifest.start.lsn));
  if (end < parseLsn(manifest.stop.lsn))
    throw new HoldfastError("HF-WAL", `${from.name} lacks WAL of ${id}: it needs ${manifest.stop.lsn}`, { hint: "run 'holdfast verify'; copy from another repository" });
  return filled;
}

/** The list of containers. One that a copy left which was cut short is the same, or goes. */
async function storeContents({ to, place, id }: BackupCopyTask, lines: readonly ContentsLine[]): Promise<Manifest["contents"]> {
  const where = { source: place.source, backup: id };
  const written = await writeContents(to, where, lines);
  if (written !== "exists") return written;
  const same = await sameContents(to, where, lines);
  if (same !== null) return same;
  await to.store.remove([keys.contents(place.source, id)]);
  const again = await writeContents(to, where, lines);
  if (again === "exists") throw taken(to, id);
  return again;
}

async function describe(
  { from, to }: BackupCopyTask,
  { manifest, sha256 }: StoredManifest,
  listing: ManifestListing,
  { contents, dataKey, sizes }: CopiedPacks & { readonly contents: Manifest["contents"] },
  clock: Clock,
): Promise<Manifest> {
  const there = (id: string): { id: string; sha256: string } =>
    referenceTo(
      must(
        listing.backups.find((other) => other.manifest.id === id),
        `the manifest of ancestor ${id}`,
      ),
    );
  const { current } = to.keyRing;
  return {
    ...manifest,
    ...nextInSequence(listing),
    parent: manifest.parent === null ? null : there(manifest.parent.id),
    ancestors: manifest.ancestors.map(({ id }) => there(id)),
    sizes: { ...manifest.sizes, storedBytes: sizes.storedBytes },
    contents,
    dataKey,
    mapKey: { id: to.mapKey.id, keyId: current.keyId, sealed: await seal(to.mapKey.key, current.recipient) },
    writer: to.signer.fingerprint,
    program: `holdfast ${VERSION}`,
    copiedFrom: { repositoryId: from.repositoryId, sha256, at: clock.now().toISOString() },
  };
}

function taken({ name }: WritableRepository, id: string): HoldfastError {
  return new HoldfastError("HF-DIVERGED", `${name} holds another ${id} by now`, { hint: "nothing of it was changed; see 'holdfast info'" });
}
