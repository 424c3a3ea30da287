import type { BackupType } from "../../domain/backup-id.ts";
import { planCopy } from "../../domain/copy-plan.ts";
import type { CopyPlan } from "../../domain/copy-plan.ts";
import type { RetentionRule } from "../../domain/retention.ts";
import { HoldfastError } from "../../errors.ts";
import { clearAttempt, readIntents } from "../../repository/attempts.ts";
import { ensureBound, isOfCluster, readBinding, walPlaceOf } from "../../repository/binding.ts";
import type { Binding } from "../../repository/binding.ts";
import { baseName, keys } from "../../repository/layout.ts";
import { acquireLease, readLease } from "../../repository/lease.ts";
import { listManifests } from "../../repository/manifest.ts";
import type { Manifest } from "../../repository/manifest.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { listTimelines } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import { readExpired, recordExpiredRanges } from "../../repository/wal-expiry.ts";
import type { OperationContext } from "../context.ts";
import { leaseScopes } from "../source-target.ts";
import { countLacking, fillWal } from "../wal/fill-wal.ts";
import { WalKeys } from "../wal/wal-keys.ts";
import { copyBackup } from "./copy-backup.ts";
import type { CopiedBackup } from "./copy-backup.ts";
import { candidateOf } from "./find-lag.ts";

/** One source, from one repository into another. The database is never asked. */
export interface CopyRequest {
  readonly source: string;
  readonly from: WritableRepository;
  readonly to: WritableRepository;
  /** One backup and what it was made from; null: all that there is to copy. */
  readonly backup: string | null;
  /** Whether the log is copied too, beyond what each backup needs for itself. */
  readonly log: boolean;
  readonly rules: ReadonlyMap<BackupType, RetentionRule>;
  readonly types: ReadonlySet<BackupType> | null;
  readonly runId: string;
  readonly hasEnded: (runId: string) => boolean;
}

export interface CopyResult {
  readonly from: string;
  readonly to: string;
  readonly backups: readonly CopiedBackup[];
  readonly present: readonly string[];
  readonly refused: CopyPlan["refused"];
  /** Not copied: retention would remove them there at once. */
  readonly expired: readonly string[];
  readonly walSegments: number;
  /** What was written: packs and WAL, of packs as they are stored. */
  readonly bytes: number;
}

/** What there is to copy, found out without changing anything. */
export interface CopyWork {
  readonly place: WalPlace;
  readonly plan: CopyPlan;
  readonly walSegments: number;
}

/** Null where nothing of the source is there to be copied. */
export async function findCopyWork(request: CopyRequest, now: Date): Promise<CopyWork | null> {
  const { source, from, to } = request;
  const binding = await readBinding(from, source);
  if (binding === null) return null;
  const place = walPlaceOf(source, binding);
  const [here, there] = [await listManifests(from, source), await listManifests(to, source)];
  const living = new Set(there.backups.map(({ manifest }) => manifest.id));
  const plan = planCopy({
    from: here.backups.filter(({ manifest }) => isOf(manifest, binding)).map(candidateOf),
    to: there.backups.map(candidateOf),
    usedUp: new Set(there.ids.filter((id) => !living.has(id))),
    only: request.backup,
    rules: request.rules,
    types: request.types,
    now,
  });
  if (request.backup !== null && !here.backups.some(({ manifest }) => manifest.id === request.backup))
    throw new HoldfastError("HF-NO-BACKUP", `${from.name} holds no backup ${request.backup} of ${source}`, { hint: "see 'holdfast info'" });
  return { place, plan, walSegments: request.log ? await countLacking(from, to, place) : 0 };
}

/** A source may have been bound to another cluster before. */
function isOf(manifest: Manifest, binding: Binding): boolean {
  return manifest.kind === binding.kind && isOfCluster(manifest, binding);
}

/** Copies the backups that one repository lacks, oldest first, each whole before the next; then the log. */
export async function copySource(request: CopyRequest, work: CopyWork, context: OperationContext): Promise<CopyResult> {
  const { source, from, to, runId, hasEnded } = request;
  const { place, plan } = work;
  const binding = await readBinding(from, source);
  if (binding !== null) await ensureBound(to, source, binding, context.clock.now());
  const backups: CopiedBackup[] = [];
  for (const id of plan.copy) {
    context.signal.throwIfAborted();
    // Taken anew for each: a backup or an expiry that waits has its turn between two.
    await using lease = await acquireLease(to, { scope: leaseScopes.backup(source), runId, purpose: "copy", clock: context.clock, wait: true, signal: context.signal });
    await clearLeftovers(request);
    const inner = { ...context, signal: AbortSignal.any([context.signal, lease.lost]) };
    backups.push(await copyBackup({ from, to, place, id, lease, runId, hasEnded }, inner));
  }
  if (backups.length > 0) await carryExpired(request, place);
  const wal = request.log ? await copyLog(request, place, context) : { segments: 0, bytes: 0 };
  return {
    from: from.name,
    to: to.name,
    backups,
    present: plan.present,
    refused: plan.refused,
    expired: plan.expired,
    walSegments: wal.segments + backups.reduce((sum, { walSegments }) => sum + walSegments, 0),
    bytes: wal.bytes + backups.reduce((sum, { storedBytes, presentBytes }) => sum + storedBytes - presentBytes, 0),
  };
}

/** The beginning of the unfinished segment too, where nobody streams: then it will not be finished. */
async function copyLog({ source, from, to }: CopyRequest, place: WalPlace, { clock, signal, onProgress }: OperationContext): Promise<{ segments: number; bytes: number }> {
  const isStreaming = (await readLease(from, leaseScopes.wal(source)))?.state === "held";
  let copied = 0;
  const onSegment = (): void => onProgress({ phase: "copy WAL", doneBytes: ++copied * place.segmentBytes, totalBytes: null });
  return fillWal({ from, to, place, walKeys: new WalKeys(clock), clock, signal, unfinished: !isStreaming, onSegment });
}

/** WAL between the backups that was removed on purpose, and so cannot come: or it would be taken for a gap. */
async function carryExpired({ from, to }: CopyRequest, place: WalPlace): Promise<void> {
  for (const timeline of await listTimelines(from, place)) {
    const ranges = await readExpired(from, place, timeline);
    if (ranges.length > 0) await recordExpiredRanges(to, place, timeline, ranges);
  }
}

/** Copies that were cut short, of backups that are there no more where they came from: nobody will go on with them. */
async function clearLeftovers({ source, from, to }: CopyRequest): Promise<void> {
  const here = new Set((await from.store.listNames(keys.manifests(source))).map(baseName));
  const there = new Set((await to.store.listNames(keys.manifests(source))).map(baseName));
  for (const { backup, copiedFrom } of await readIntents(to, source))
    if (copiedFrom === from.repositoryId && !here.has(backup) && !there.has(backup)) await clearAttempt(to, source, backup);
}
