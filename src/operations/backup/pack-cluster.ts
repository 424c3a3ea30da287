import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import { maxLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import { comparePaths } from "../../domain/file-map.ts";
import { HoldfastError } from "../../errors.ts";
import { logFolderOf, tablespaceLocations } from "../../postgres/capture.ts";
import { checkpointOfLabel, timelineOfLabel } from "../../postgres/backup-session.ts";
import type { BackupStart, BackupStop } from "../../postgres/backup-session.ts";
import type { ClusterReader } from "../../postgres/cluster-reader.ts";
import { readSourceFacts } from "../../postgres/source-facts.ts";
import type { Manifest } from "../../repository/manifest.ts";
import type { BackupUnderWay } from "./backup-types.ts";
import { readControlFile } from "../cluster-state.ts";
import type { OperationContext } from "../context.ts";
import { madeMeanwhile } from "./start-backup.ts";
import { copyCluster, copyLate } from "./copy-cluster.ts";
import type { CopyTask, CopyTotals } from "./copy-cluster.ts";
import { findChanges } from "./find-changes.ts";
import type { Changes } from "./find-changes.ts";
import { storeDocument } from "./late-files.ts";
import { openPacking } from "./packing.ts";
import type { Packing } from "./packing.ts";
import { corruptAmong } from "./page-check.ts";
import type { SuspectPage } from "./page-check.ts";
import { SkippedUnlogged, walkCluster } from "./walk-cluster.ts";

/** Everything a manifest says about what was read and packed. */
export interface PackedCluster {
  readonly backup: BackupUnderWay;
  readonly startedAt: Date;
  readonly elapsedSeconds: () => number;
  readonly start: BackupStart & { readonly checkpoint: Lsn; readonly timeline: number };
  readonly stop: BackupStop;
  readonly changeSource: Manifest["changeSource"];
  readonly changeSourceReason: string;
  readonly corrupt: readonly SuspectPage[];
  readonly root: Manifest["root"];
  readonly ancestors: ReadonlySet<string>;
  readonly totals: CopyTotals;
  readonly extents: number;
  readonly changedBlocks: number;
  readonly readerKind: ClusterReader["kind"];
}

export interface PackRequest {
  readonly backup: BackupUnderWay;
  readonly start: BackupStart;
  readonly startedAt: Date;
  readonly elapsedSeconds: () => number;
  readonly reader: ClusterReader;
  /** Used if this is a full: a chain keeps the seed of its full. */
  readonly digestSeed: bigint;
}

const CONTROL_FILE = "global/pg_control";

/** Copies the cluster, the files that must come last, and what `pg_backup_stop` answers, into packs and map. */
export async function readAndPack(request: PackRequest, context: OperationContext): Promise<PackedCluster> {
  const { backup, reader, start } = request;
  const changes = await findChanges(request, context);
  const packing = await openClusterPacking(request, reader, changes, context);
  const { task, writer, map } = packing;
  const totals: CopyTotals = { sourceBytes: 0, readBytes: 0, files: 0, suspects: [] };
  const unlogged = new SkippedUnlogged();
  await copyCluster(task, walkOf(request, unlogged), (path) => path === CONTROL_FILE, totals, context);
  crashPoint("backup.copied");
  const late = [...(await copyLate(task, await becameLogged(reader, unlogged), totals, context))];
  const stop = await stopBackup(request, packing, late, context);
  const corrupt = corruptAmong(totals.suspects, start.lsn, stop.lsn);
  if (corrupt.length > 0) late.push(await storeDocument("//corruption.json", JSON.stringify(corrupt.map(({ path, block }) => ({ path, block }))), writer, task));
  const root = await packing.finish(late);
  const labelled = { checkpoint: checkpointOfLabel(stop.label), timeline: timelineOfLabel(stop.label) };
  assertConsistent(request, labelled.timeline, stop);
  return {
    backup,
    startedAt: request.startedAt,
    elapsedSeconds: request.elapsedSeconds,
    start: { ...start, ...labelled },
    stop,
    changeSource: changes.source,
    changeSourceReason: changes.reason,
    corrupt,
    root,
    ancestors: map.ancestors,
    totals,
    extents: writer.extents,
    changedBlocks: writer.blocks,
    readerKind: reader.kind,
  };
}

interface ClusterPacking extends Packing {
  readonly task: CopyTask;
}

async function openClusterPacking({ backup, digestSeed }: PackRequest, reader: ClusterReader, changes: Changes, context: OperationContext): Promise<ClusterPacking> {
  const { state, parent, together } = backup;
  const { blockSize, segmentBlocks, dataChecksums } = state.facts;
  const packing = await openPacking({ together, backup: backup.id, parent, blockSize, level: backup.request.compressionLevel, newSeed: digestSeed });
  const { writer, map, digest } = packing;
  const task: CopyTask = {
    source: { reader, signal: context.signal, clock: context.clock },
    shape: { blockSize, segmentBlocks, dataChecksums },
    parent: parent.stored === null ? null : parent.backup,
    changes: changes.blocks,
    writer,
    map,
    digest,
  };
  return { ...packing, task };
}

function walkOf({ reader, backup }: PackRequest, unlogged: SkippedUnlogged): ReturnType<typeof walkCluster> {
  const { captured, facts, identity } = backup.state;
  const logFolder = logFolderOf(captured, identity.dataDirectory);
  return walkCluster({ reader, tablespaces: tablespaceLocations(captured), major: facts.major, catalogVersion: facts.catalogVersion, logFolder }, unlogged);
}

/** The settings, pg_control, and the end of the backup, in this order; what the server answers becomes files of the backup byte for byte. */
async function stopBackup({ backup, reader }: PackRequest, { task, writer }: ClusterPacking, late: FileEntry[], context: OperationContext): Promise<BackupStop> {
  const { state, session, request } = backup;
  late.push(await storeDocument("//settings.json", JSON.stringify(state.captured), writer, task));
  const facts = await readSourceFacts(request.source, session.client, stopwatch(context.clock));
  late.push(await storeDocument("//facts.json", JSON.stringify(facts), writer, task));
  // pg_control after every other file and before the backup ends: on a standby its minRecoveryPoint says where the copy is consistent.
  const control = await readControlFile(reader, state.identity, context.signal);
  late.push(await storeDocument(CONTROL_FILE, control.bytes, writer, task));
  await reader.assertSameServer();
  const answer = await session.stop();
  crashPoint("backup.stopped");
  assertTablespacesKnown(answer, tablespaceLocations(state.captured));
  late.push(await storeDocument("backup_label", answer.label, writer, task));
  if (answer.tablespaceMap !== "") late.push(await storeDocument("tablespace_map", answer.tablespaceMap, writer, task));
  return state.identity.inRecovery ? { ...answer, lsn: maxLsn(answer.lsn, control.minRecoveryPoint) } : answer;
}

/** The server lists the tablespaces there were when the backup began. One that we did not know of then was not copied, and no WAL makes it. */
function assertTablespacesKnown({ tablespaceMap }: BackupStop, known: ReadonlyMap<string, string>): void {
  const unknown = tablespaceMap.split("\n").filter((line) => /^\d+ /.test(line) && !known.has(line.split(" ", 1)[0] ?? ""));
  if (unknown.length > 0) throw madeMeanwhile(unknown);
}

/** Unlogged relations whose init fork is gone at the end became logged: now their content counts. */
async function becameLogged(reader: ClusterReader, unlogged: SkippedUnlogged): Promise<{ path: string; size: number }[]> {
  const folders = new Map<string, Map<string, number>>();
  const listed = async (path: string): Promise<Map<string, number>> => {
    const folder = path.slice(0, path.lastIndexOf("/"));
    let names = folders.get(folder);
    if (names === undefined) folders.set(folder, (names = new Map([...(await reader.list(folder))].map((entry) => [`${folder}/${entry.name}`, entry.size]))));
    return names;
  };
  const found: { path: string; size: number }[] = [];
  for (const [path, { init }] of unlogged.files) {
    const names = await listed(path);
    const size = names.get(path);
    if (!names.has(init) && size !== undefined) found.push({ path, size });
  }
  return found.toSorted((a, b) => comparePaths(a.path, b.path));
}

/** What must hold whatever happened in between; the server's own answers are compared with each other. */
function assertConsistent({ backup, start }: PackRequest, labelTimeline: number, stop: BackupStop): void {
  const { identity } = backup.state;
  if (labelTimeline === identity.timeline && stop.lsn >= start.lsn) return;
  throw new HoldfastError("HF-SOURCE-CHANGED", "the server switched timelines during the backup", {
    hint: "run the backup again",
    facts: { timeline: identity.timeline, labelTimeline },
  });
}
