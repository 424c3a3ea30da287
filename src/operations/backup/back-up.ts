import { randomBytes } from "node:crypto";
import { nextBackupId } from "../../domain/backup-id.ts";
import { formatLsn } from "../../domain/lsn.ts";
import { segmentAt, segmentStart } from "../../domain/wal-segment.ts";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { HoldfastError, must } from "../../errors.ts";
import { openBackupSession } from "../../postgres/backup-session.ts";
import { declareIntent } from "../../repository/attempts.ts";
import { BackupCopy, living } from "../../repository/backup-copies.ts";
import { ensureBound } from "../../repository/binding.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { Lease } from "../../repository/lease.ts";
import { listManifests } from "../../repository/manifest.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { storeHistory } from "../../repository/wal-archive.ts";
import { findParent } from "./choose-parent.ts";
import type { CopyPlace, Parent } from "./choose-parent.ts";
import type { BackUpRequest, BackUpResult, BackupUnderWay } from "./backup-types.ts";
import { commitBackup } from "./commit-backup.ts";
import type { OperationContext } from "../context.ts";
import { openClusterReader, readClusterState } from "../cluster-state.ts";
import type { ClusterState } from "../cluster-state.ts";
import { readAndPack } from "./pack-cluster.ts";
import { leaseScopes } from "../source-target.ts";
import { startBackup } from "./start-backup.ts";
import { sweepAttempts } from "./sweep-attempts.ts";
import { streamBeside, whileStreaming } from "../wal/stream-beside.ts";
import { waitForArrival, waitForWal } from "./wal-wait.ts";
import type { WalNeed } from "./wal-wait.ts";

/**
 * Takes one backup set, read once and written to every copy. The order of the steps is the protection: each exists because somebody lost data without it.
 */
export async function backUp(request: BackUpRequest, context: OperationContext): Promise<BackUpResult> {
  const elapsed = stopwatch(context.clock);
  await using held = await takeLeases(request, context);
  await using session = await openBackupSession(request.source, context.clock);
  const signal = AbortSignal.any([context.signal, session.lost, ...held.leases.map((lease) => lease.lost)]);
  const inner = { ...context, signal };
  const state = await readClusterState(request.source, session, signal);
  const places = await preparePlaces(held.repositories, request.source.name, state, inner);
  const parent = await findParent(request.type, places, state.facts, state.history, inner);
  const type = parent.stored === null ? "full" : request.type;
  if (parent.stored === null && request.type !== "full") context.onNotice(`making a full backup instead: ${parent.reason}`);
  const id = nextBackupId(
    context.clock.now(),
    type,
    places.flatMap((place) => place.listing.ids),
  );
  const ancestors = ancestorsOf(parent);
  for (const { repository } of places)
    await declareIntent(repository, request.source.name, { backup: id, ancestors, startedAt: context.clock.now().toISOString(), runId: request.runId });
  crashPoint("backup.started");
  await using stream = await streamBeside({ source: request.source, repositories: allRepositories(request), runId: request.runId }, state, inner);
  const copies = await openCopies(places, request.source.name, id, inner);
  try {
    const packed = await takeWithinSession({ id, type, copies, places, parent, state, session, stream, request }, inner);
    return {
      id,
      type,
      requestedType: request.type,
      copies: await Promise.all(copies.map((copy, i) => commitBackup(copy, must(held.leases[i], "lease"), packed, inner))),
      durationSeconds: elapsed(),
    };
  } finally {
    await Promise.allSettled(copies.map((copy) => copy.abort()));
  }
}

interface HeldLeases extends AsyncDisposable {
  readonly leases: readonly Lease[];
  readonly repositories: readonly WritableRepository[];
}

async function takeLeases(request: BackUpRequest, context: OperationContext): Promise<HeldLeases> {
  const leases: Lease[] = [];
  const release = async (): Promise<void> => void (await Promise.allSettled(leases.map((lease) => lease.release())));
  try {
    for (const repository of request.repositories)
      leases.push(
        await acquireLease(repository, {
          scope: leaseScopes.backup(request.source.name),
          runId: request.runId,
          clock: context.clock,
          wait: request.wait === true,
          signal: context.signal,
        }),
      );
  } catch (error) {
    await release();
    throw error;
  }
  return { leases, repositories: request.repositories, [Symbol.asyncDispose]: release };
}

async function preparePlaces(repositories: readonly WritableRepository[], source: string, state: ClusterState, context: OperationContext): Promise<CopyPlace[]> {
  const places: CopyPlace[] = [];
  const { systemIdentifier, walSegmentBytes } = state.facts;
  for (const repository of repositories) {
    await ensureBound(repository, source, { systemIdentifier, version: state.identity.version, walSegmentBytes }, context.clock.now());
    await bringHistory(repository, source, state, context);
    const listing = await listManifests(repository, source);
    const dead = await sweepAttempts(repository, source, listing, context);
    places.push({ repository, listing: { ...listing, ids: [...listing.ids, ...dead] } });
  }
  return places;
}

/** Every copy holds the history of its timeline, whichever way WAL comes: without it nothing of that timeline can be restored from there. */
async function bringHistory(repository: WritableRepository, source: string, { facts, history, historyFile }: ClusterState, context: OperationContext): Promise<void> {
  if (historyFile === null) return;
  const place = { source, systemIdentifier: facts.systemIdentifier, segmentBytes: facts.walSegmentBytes };
  const outcome = await storeHistory(repository, place, history.timeline, historyFile, { dataKey: await repository.keyRing.sealNew(), now: context.clock.now() });
  if (outcome !== "diverged") return;
  throw new HoldfastError("HF-DIVERGED", `${repository.name} already holds another history of timeline ${history.timeline}`, {
    hint: "two servers made this timeline; both are kept. Find out which one is right",
    facts: { repository: repository.name, timeline: history.timeline },
  });
}

function ancestorsOf(parent: Parent): string[] {
  return parent.stored === null ? [] : [parent.stored.manifest.id, ...parent.stored.manifest.ancestors.map(({ id }) => id)];
}

function allRepositories({ logRepositories, repositories }: BackUpRequest): WritableRepository[] {
  return [...logRepositories, ...repositories.filter((repository) => !logRepositories.some(({ repositoryId }) => repositoryId === repository.repositoryId))];
}

async function openCopies(places: readonly CopyPlace[], source: string, backup: string, context: OperationContext): Promise<BackupCopy[]> {
  return Promise.all(places.map(async ({ repository }) => new BackupCopy(repository, { source, backup, dataKey: await repository.keyRing.sealNew(), clock: context.clock })));
}

/** From `pg_backup_start` to the moment every copy has its WAL. */
async function takeWithinSession(found: BackupUnderWay, context: OperationContext): Promise<Awaited<ReturnType<typeof readAndPack>>> {
  const { state, request, copies } = found;
  const startedAt = context.clock.now();
  const elapsedSeconds = stopwatch(context.clock);
  const { backup, start } = await startBackup(found);
  const place = { source: request.source.name, systemIdentifier: state.facts.systemIdentifier, segmentBytes: state.facts.walSegmentBytes };
  const need = { place, history: state.history, from: start.lsn, to: start.lsn };
  // A backup whose WAL does not arrive is worth nothing: find out now, not after hours of copying.
  await arriving(backup, need, context);
  await using reader = await openClusterReader(request.source, state.identity);
  const packed = await readAndPack({ backup, start, startedAt, elapsedSeconds, reader, digestSeed: randomBytes(8).readBigUInt64LE() }, context);
  crashPoint("backup.before-wal");
  for (const copy of living(copies)) {
    const holders = allRepositories({ ...request, repositories: living(copies).map((other) => other.repository) });
    const others = holders.filter((other) => other.repositoryId !== copy.repository.repositoryId);
    try {
      await waitForWal(copy.repository, others, { ...need, to: packed.stop.lsn }, whileStreaming(backup.stream, context));
    } catch (error) {
      context.signal.throwIfAborted();
      copy.failure = error;
    }
  }
  if (living(copies).length === 0) throw copies[0]?.failure;
  return packed;
}

const ARRIVAL_TIMEOUT_MS = 60_000;

/** Waits until WAL up to the start of the backup is durable somewhere: by our own stream, another process's, or archive_command. */
async function arriving({ stream, request, state }: BackupUnderWay, need: WalNeed, context: OperationContext): Promise<void> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ARRIVAL_TIMEOUT_MS)]);
  try {
    if (stream !== null) await stream.reached(need.from, signal);
    else
      await waitForArrival(
        allRepositories(request),
        { ...need, from: segmentStart(segmentAt(state.identity.timeline, need.from, need.place.segmentBytes), need.place.segmentBytes) },
        { ...context, signal },
      );
  } catch (cause) {
    context.signal.throwIfAborted();
    if (cause instanceof HoldfastError) throw cause;
    throw new HoldfastError("HF-WAL", `WAL up to ${formatLsn(need.from)} did not arrive within ${ARRIVAL_TIMEOUT_MS / 1000} s`, {
      hint: "see what 'holdfast check' says about streaming",
      cause,
    });
  }
}
