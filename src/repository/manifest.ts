import pMap from "p-map";
import { z } from "zod";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { RetainedBackup } from "../domain/retention.ts";
import { parseSegmentName } from "../domain/wal-segment.ts";
import type { WalSegment } from "../domain/wal-segment.ts";
import { DamageError } from "../errors.ts";
import { parsePayload, readAnyDocument } from "./document.ts";
import { lsnText, powerOfTwo, timeText, walSegmentBytes } from "./fields.ts";
import { baseName, keys } from "./layout.ts";
import type { Repository } from "./repository.ts";

/** The head of a backup set: the last object written; its presence makes the backup exist (docs/repository-format.md section 6). */
const reference = z.strictObject({ id: z.string(), sha256: z.string() });
const point = z.object({ lsn: lsnText, at: timeText });
/** An incremental every hour, for a year, without a full between. */
const MOST_ANCESTORS = 10_000;
/** A million segments: 16 TB of WAL while one backup ran. */
const MOST_OWN_SEGMENTS = 1n << 20n;
const BACKUP_ID = /^\d{8}T\d{6}Z-(?:full|diff|incr)$/;
/** More than anybody takes of one source; so that a listing which never ends is not read to its end. */
const MOST_MANIFESTS = 100_000;
const count = z.number().int().nonnegative();

const postgresSchema = z.object({
  systemIdentifier: z.string().regex(/^\d{1,20}$/),
  version: count,
  catalogVersion: count,
  blockSize: powerOfTwo(1 << 10, 32 << 10),
  segmentBlocks: z.number().int().positive(),
  walSegmentBytes,
  dataChecksums: z.boolean(),
  timeline: z.number().int().positive(),
  inRecovery: z.boolean(),
  bootstrapRole: z.string(),
});

const sizesSchema = z.object({ sourceBytes: count, readBytes: count, storedBytes: count, files: count, extents: count, changedBlocks: count });

const CHANGE_SOURCES = ["everything", "digests", "server-summaries", "wal-summaries", "file-times"] as const;

/** Of every kind. */
const commonSchema = z.object({
  source: z.string(),
  id: z.string(),
  type: z.enum(BACKUP_TYPES),
  sequence: z.number().int().positive(),
  previous: reference.nullable(),
  parent: reference.nullable(),
  ancestors: z.array(reference).max(MOST_ANCESTORS),
  changeSource: z.enum(CHANGE_SOURCES),
  changeSourceReason: z.string(),
  state: z.enum(["complete", "complete_with_corruption"]),
  corruptPages: count,
  sizes: sizesSchema,
  contents: z.object({ bytes: count, sha256: z.string() }),
  root: z.object({ pack: count, frame: count, frames: count }),
  dataKey: z.object({ keyId: z.string(), sealed: z.string() }),
  mapKey: z.object({ id: z.string(), keyId: z.string(), sealed: z.string() }),
  startedAt: timeText,
  finishedAt: timeText,
  durationSeconds: z.number().nonnegative(),
  writer: z.string(),
  reader: z.enum(["remote", "local"]),
  program: z.string(),
  /** Where this copy was made from, if not from the source: the repository (by its id), the digest of the manifest there, and when. */
  copiedFrom: z.object({ repositoryId: z.string(), sha256: z.string(), at: timeText }).optional(),
});

const moment = z.object({ at: timeText });

const clusterSchema = commonSchema.extend({
  kind: z.literal("postgres"),
  postgres: postgresSchema,
  start: point.extend({ checkpoint: lsnText }),
  stop: point,
  wal: z.object({ timeline: z.number().int().positive(), first: z.string(), last: z.string() }),
});

const blockSize = powerOfTwo(1 << 10, 32 << 10);

const treeSchema = commonSchema.extend({
  kind: z.literal("files"),
  /** When the walk over the tree began, and when it ended: what changed between may be in it or not. */
  start: moment,
  stop: moment,
  /** How many names were left out because they are no files, how many files went on changing while they were read, and how many could not be read and are missing. */
  tree: z.object({ blockSize, entries: count, skipped: count, changed: count, unread: count }),
});

const dumpSchema = commonSchema.extend({
  kind: z.literal("postgres-logical"),
  /** Of the first snapshot of a database, and when the last dump was whole. */
  start: moment,
  stop: moment,
  dump: z.object({
    blockSize,
    /** Null where the server does not tell. */
    systemIdentifier: z
      .string()
      .regex(/^\d{1,20}$/)
      .nullable(),
    version: count,
    databases: count,
    /** Without them roles come back without passwords. */
    rolePasswords: z.boolean(),
  }),
});

/** Before there were other kinds, a manifest did not say which it is of. */
export const manifestSchema = z.preprocess(withKind, z.discriminatedUnion("kind", [clusterSchema, treeSchema, dumpSchema]));

export type Manifest = z.infer<typeof manifestSchema>;
export type ClusterManifest = z.infer<typeof clusterSchema>;
export type TreeManifest = z.infer<typeof treeSchema>;
export type DumpManifest = z.infer<typeof dumpSchema>;
export type CommonManifest = z.infer<typeof commonSchema>;

/** Of documents that were written before there were other kinds, and say nothing: they are of clusters. */
export function withKind(payload: unknown): unknown {
  return typeof payload === "object" && payload !== null && !("kind" in payload) ? { kind: "postgres", ...payload } : payload;
}

/** The unit that its map counts in. */
export function blockSizeOf(manifest: Manifest): number {
  if (manifest.kind === "postgres") return manifest.postgres.blockSize;
  return manifest.kind === "files" ? manifest.tree.blockSize : manifest.dump.blockSize;
}

/** Small documents, each a way to go. */
const READS_AT_ONCE = 16;

export interface StoredManifest<M extends Manifest = Manifest> {
  readonly manifest: M;
  /** SHA-256 of the document as it lies in the store. */
  readonly sha256: string;
}

export function isCluster(stored: StoredManifest): stored is StoredManifest<ClusterManifest> {
  return stored.manifest.kind === "postgres";
}

/** A cluster's backup, where nothing else can be: what is asked was asked of a cluster. */
export function clusterOf(stored: StoredManifest): StoredManifest<ClusterManifest> {
  if (isCluster(stored)) return stored;
  throw new DamageError(keys.manifest(stored.manifest.source, stored.manifest.id), `it is of ${stored.manifest.kind}, not of a cluster`);
}

/** The same backup in another repository has a head of its own (own keys, own numbering), with the same content. */
export function isSameBackup(a: Manifest, b: Manifest): boolean {
  return backupIdentity(a) === backupIdentity(b);
}

/** What is the same in every copy of one backup, and in no two backups. */
export function backupIdentity(manifest: Manifest): string {
  const { id, root, sizes, start, stop } = manifest;
  const of = manifest.kind === "postgres" ? [manifest.postgres.systemIdentifier, manifest.start.lsn, manifest.stop.lsn] : [manifest.kind, start.at, stop.at];
  return JSON.stringify([id, ...of, root.pack, root.frame, root.frames, sizes.extents, sizes.changedBlocks]);
}

export function referenceTo({ manifest, sha256 }: StoredManifest): { id: string; sha256: string } {
  return { id: manifest.id, sha256 };
}

/** The place of a new manifest behind all that are there: numbers, so that one that was taken away shows. */
export function nextInSequence({ backups, dying }: ManifestListing): Pick<Manifest, "sequence" | "previous"> {
  const newest = [...backups, ...dying].toSorted((a, b) => a.manifest.sequence - b.manifest.sequence).at(-1);
  return { sequence: (newest?.manifest.sequence ?? 0) + 1, previous: newest === undefined ? null : referenceTo(newest) };
}

/** The first and the last segment that a backup needs to become consistent, which it keeps for itself: it is a recovery point of its own. Null where they are none. */
export function ownSegments(manifest: Manifest): { first: WalSegment; last: WalSegment } | null {
  if (manifest.kind !== "postgres") return null;
  const { wal, postgres } = manifest;
  const [first, last] = [parseSegmentName(wal.first, postgres.walSegmentBytes), parseSegmentName(wal.last, postgres.walSegmentBytes)];
  return first === null || last === null ? null : { first, last };
}

/** What retention looks at, but for what people want kept. */
export function toRetain({ id, type, stop, ancestors, state }: Manifest): Omit<RetainedBackup, "pinned" | "held"> {
  return { id, type, at: new Date(stop.at), ancestors: ancestors.map((ancestor) => ancestor.id), state };
}

/** What lies at a manifest's key: a backup set, or the tombstone of an attempt that was given up. */
type ManifestSlot = ({ readonly kind: "manifest" } & StoredManifest) | { readonly kind: "tombstone" };

function isWalRange(own: ReturnType<typeof ownSegments>): boolean {
  return own !== null && own.last.number >= own.first.number && own.last.number - own.first.number < MOST_OWN_SEGMENTS && own.first.timeline === own.last.timeline;
}

async function readManifestSlot(repository: Repository, source: string, id: string): Promise<ManifestSlot> {
  const key = keys.manifest(source, id);
  const document = await readAnyDocument(repository, key);
  if (document.kind === "tombstone") return { kind: "tombstone" };
  if (document.kind !== "manifest") throw new DamageError(key, `it is a ${document.kind}, not a manifest`);
  const manifest = parsePayload(key, document.payload, manifestSchema);
  if (manifest.kind === "postgres" && !isWalRange(ownSegments(manifest)))
    throw new DamageError(key, `it says that it needs the WAL from ${manifest.wal.first} to ${manifest.wal.last}`);
  const others = new Set(manifest.ancestors.map((ancestor) => ancestor.id));
  if (others.size < manifest.ancestors.length || others.has(id)) throw new DamageError(key, "it names an ancestor twice, or itself");
  if (manifest.id !== id || manifest.source !== source) throw new DamageError(key, `it is the manifest of ${manifest.source} ${manifest.id}`);
  return { kind: "manifest", manifest, sha256: document.sha256 };
}

export async function readManifest(repository: Repository, source: string, id: string): Promise<StoredManifest> {
  const slot = await readManifestSlot(repository, source, id);
  if (slot.kind === "tombstone") throw new DamageError(keys.manifest(source, id), "the backup was given up before it was complete");
  return slot;
}

/** Everything found at the manifests of one source: what can be used, what is damaged, and what is being deleted. */
export interface ManifestListing {
  /** Usable backup sets, oldest first. */
  readonly backups: readonly StoredManifest[];
  readonly damaged: readonly DamageError[];
  /** Backups whose deletion has begun; never recovery points. */
  readonly dying: readonly StoredManifest[];
  /** Every id that was ever used, also by abandoned attempts. */
  readonly ids: readonly string[];
}

/** `known`: manifests that were read before, for they never change; what is there is listed anew. */
export async function listManifests(repository: Repository, source: string, known: readonly StoredManifest[] = []): Promise<ManifestListing> {
  const [names, tombstoneNames] = await Promise.all([repository.store.listNames(keys.manifests(source)), repository.store.listNames(keys.tombstones(source))]);
  const ids = names.map(baseName).filter((id) => BACKUP_ID.test(id));
  const tombstones = new Set(tombstoneNames.map(baseName));
  const backups: StoredManifest[] = [];
  const dying: StoredManifest[] = [];
  const damaged: DamageError[] = [];
  const stranger = names.find((name) => !BACKUP_ID.test(baseName(name)));
  if (stranger !== undefined) damaged.push(new DamageError(keys.manifests(source) + stranger, `it is no manifest by its name, as are ${names.length - ids.length} there in all`));
  if (ids.length > MOST_MANIFESTS) throw new DamageError(keys.manifests(source), `there are ${ids.length} manifests, and ${MOST_MANIFESTS} are the most there can be`);
  const read = new Map(known.map((stored) => [stored.manifest.id, { kind: "manifest" as const, ...stored }]));
  const slots = await pMap(ids, async (id) => ({ id, slot: read.get(id) ?? (await readListed(repository, source, id)) }), { concurrency: READS_AT_ONCE });
  for (const { id, slot } of slots) {
    if (slot instanceof DamageError) damaged.push(slot);
    else if (slot?.kind === "manifest") (tombstones.has(id) ? dying : backups).push(slot);
  }
  return { backups, damaged, dying, ids };
}

/** What lies at a key that was listed; null: it was listed a moment ago, and is gone. Its deletion was under way, and whoever looks now does not see it either. */
async function readListed(repository: Repository, source: string, id: string): Promise<ManifestSlot | DamageError | null> {
  try {
    return await readManifestSlot(repository, source, id);
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    return error.kind === "missing" ? null : error;
  }
}

/** The manifests a backup needs: its own and its ancestors', each exactly the one that was referenced. Rejects with `DamageError`. */
export async function readChain(repository: Repository, stored: StoredManifest): Promise<ReadonlyMap<string, StoredManifest>> {
  const chain = new Map([[stored.manifest.id, stored]]);
  for (const ancestor of stored.manifest.ancestors) {
    const found = await readManifest(repository, stored.manifest.source, ancestor.id);
    if (found.sha256 !== ancestor.sha256) throw new DamageError(keys.manifest(stored.manifest.source, ancestor.id), `is not the one that ${stored.manifest.id} was made from`);
    chain.set(ancestor.id, found);
  }
  return chain;
}

/** Makes the map keys of a chain known to the key ring, where an identity can open them. */
export async function learnMapKeys(repository: Repository, chain: ReadonlyMap<string, StoredManifest>): Promise<void> {
  for (const { manifest } of chain.values()) await repository.keyRing.learnMapKey(manifest.mapKey.id, manifest.mapKey.keyId, manifest.mapKey.sealed);
}
