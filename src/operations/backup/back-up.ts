import { randomBytes } from "node:crypto";
import { formatLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { segmentAt, segmentStart } from "../../domain/wal-segment.ts";
import { settledWithin, stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { HoldfastError } from "../../errors.ts";
import { openBackupSession } from "../../postgres/backup-session.ts";
import { readDatabaseBytes } from "../../postgres/capture.ts";
import { pacedReader } from "../../postgres/paced-reader.ts";
import { CopiesTogether } from "../../repository/backup-copies.ts";
import type { BackupCopy } from "../../repository/backup-copies.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { findParent } from "./choose-parent.ts";
import type { BackUpRequest, BackUpResult, BackupUnderWay, CopyOutcome } from "./backup-types.ts";
import { commitBackup } from "./commit-backup.ts";
import { closeCopies, inOrder, leftOut, openCopies } from "./copies.ts";
import { takeLeases } from "./copy-leases.ts";
import { describeCluster } from "./describe-cluster.ts";
import type { OperationContext } from "../context.ts";
import { openClusterReader, readClusterState } from "../cluster-state.ts";
import type { Away } from "../installation.ts";
import { findMadeDatabases, requireSoundDatabases } from "./made-databases.ts";
import { readAndPack } from "./pack-cluster.ts";
import type { PackedCluster } from "./pack-cluster.ts";
import { declareBackup, prepareForCluster, requireAllReady } from "./prepare-places.ts";
import type { LeasedPlace } from "./prepare-places.ts";
import { startBackup } from "./start-backup.ts";
import type { RunningStream } from "../wal/run-stream.ts";
import { streamBeside, whileStreaming } from "../wal/stream-beside.ts";
import { waitForArrival, waitForWal } from "./wal-wait.ts";
import type { WalNeed } from "./wal-wait.ts";

/**
 * Takes one backup set, read once and written to every copy. The order of the steps is the protection: each exists because somebody lost data without it. A copy that is away, fails, or is
 * too slow costs the others nothing.
 */
export async function backUp(request: BackUpRequest, context: OperationContext): Promise<BackUpResult> {
  const elapsed = stopwatch(context.clock);
  await using leases = await takeLeases(request, context);
  await using session = await openBackupSession(request.source, context.clock);
  const inner = { ...context, signal: AbortSignal.any([context.signal, session.lost]) };
  const state = await readClusterState(request.source, session, inner.signal);
  const away: Away[] = [...leases.away];
  const found = await prepareForCluster(leases, away, request, state, inner);
  const parent = await findParent(request.type, found, state.facts, state.history, inner);
  const type = parent.stored === null ? "full" : request.type;
  const prepared = await requireAllReady(found, away, { type, sourceBytes: async () => readDatabaseBytes(session.client) }, inner);
  if (parent.stored === null && request.type !== "full") context.onNotice(`making a full backup instead: ${parent.reason}`);
  const { id, places } = await declareBackup({ type, parent }, prepared, away, request, inner);
  // Beyond the session too: a copy that is not done by then still waits for its WAL.
  await using stream = await streamBeside(besideOf(request, places), state, context);
  const copies = await openCopies(places, request.source.name, id, inner);
  try {
    const together = new CopiesTogether(copies, context.clock);
    const packed = await takeWithinSession({ id, type, together, places, parent, state, session, stream, request }, inner);
    // The source is left alone from here on, however long a copy takes.
    await session[Symbol.asyncDispose]();
    const outcomes = await Promise.all(copies.map((copy, i) => finishCopy(copy, places[i] as LeasedPlace, packed, context)));
    return { id, type, requestedType: request.type, copies: inOrder(request, [...outcomes, ...away.map(leftOut)]), durationSeconds: elapsed() };
  } finally {
    await closeCopies(copies, context);
    // At the same time: each is some ways to a store, and neither needs the other.
    await Promise.all([stream?.[Symbol.asyncDispose](), leases[Symbol.asyncDispose]()]);
  }
}

/** Where WAL may be, and is brought over from: the log's repositories, first tier first, then the copies of this backup. */
function allRepositories({ logRepositories }: BackUpRequest, places: readonly { readonly repository: WritableRepository }[]): WritableRepository[] {
  const others = places.map(({ repository }) => repository);
  return [...logRepositories, ...others.filter((repository) => !logRepositories.some(({ repositoryId }) => repositoryId === repository.repositoryId))];
}

function besideOf(request: BackUpRequest, places: readonly LeasedPlace[]): Parameters<typeof streamBeside>[0] {
  const log = new Set(request.logRepositories.map(({ repositoryId }) => repositoryId));
  return { source: request.source, repositories: allRepositories(request, places), log, hasLog: request.hasLog ?? log.size > 0, runId: request.runId };
}

/** From `pg_backup_start` to the moment all has been read and handed to every copy. */
async function takeWithinSession(found: BackupUnderWay, context: OperationContext): Promise<PackedCluster & { readonly made: readonly number[] }> {
  const startedAt = context.clock.now();
  const elapsedSeconds = stopwatch(context.clock);
  const { backup, start, databases } = await startBackup(found);
  // A backup whose WAL does not arrive is worth nothing: find out now, not after hours of copying.
  await arriving(backup, { place: placeOf(found), history: found.state.history, from: start.lsn, to: start.lsn }, context);
  await using inner = await openClusterReader(found.request.source, found.state.identity);
  const { readRate } = found.request.source;
  const reader = readRate === undefined ? inner : pacedReader(inner, readRate, context.clock);
  const packed = await readAndPack({ backup, start, startedAt, elapsedSeconds, reader, digestSeed: randomBytes(8).readBigUInt64LE() }, context);
  return { ...packed, made: await findMadeDatabases(inner, databases, found.state.facts, context.signal) };
}

function placeOf({ request, state }: BackupUnderWay): WalNeed["place"] {
  return { source: request.source.name, systemIdentifier: state.facts.systemIdentifier, segmentBytes: state.facts.walSegmentBytes };
}

/** What is left to do for one copy, at its own pace: what it was handed, its WAL, and its manifest. */
async function finishCopy(copy: BackupCopy, place: LeasedPlace, packed: PackedCluster & { readonly made: readonly number[] }, context: OperationContext): Promise<CopyOutcome> {
  const { backup, start, stop, made: databases } = packed;
  const need = { place: placeOf(backup), history: backup.state.history, from: start.lsn, to: stop.lsn };
  try {
    // Together: what is still on its way to the store, and the end of the WAL.
    await Promise.all([copy.drained(), arrived(backup.stream, stop.lsn, context)]);
    crashPoint("backup.before-wal");
    const others = allRepositories(backup.request, backup.places).filter(({ repositoryId }) => repositoryId !== copy.repository.repositoryId);
    if (copy.failure === null) await waitForWal(copy.repository, others, need, whileStreaming(backup.stream, context));
    if (copy.failure === null) await requireSoundDatabases(copy.repository, need, databases, context.signal);
  } catch (error) {
    context.signal.throwIfAborted();
    copy.fail(error);
  }
  const { made, own } = describeCluster(packed);
  return commitBackup(copy, place, made, own, context);
}

/** Waits, not for ever, until WAL up to `to` is in the first tier. Whether it is, whoever needs it looks for himself. */
async function arrived(stream: RunningStream | null, to: Lsn, { clock, signal }: OperationContext): Promise<void> {
  if (stream !== null) await settledWithin(clock, ARRIVAL_TIMEOUT_MS, [stream.reached(to, signal)]);
}

const ARRIVAL_TIMEOUT_MS = 60_000;

/** Waits until WAL up to the start of the backup is durable somewhere: by our own stream, another process's, or archive_command. */
async function arriving({ stream, request, state, places }: BackupUnderWay, need: WalNeed, context: OperationContext): Promise<void> {
  const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ARRIVAL_TIMEOUT_MS)]);
  try {
    if (stream !== null) await stream.reached(need.from, signal);
    else
      await waitForArrival(
        allRepositories(request, places),
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
