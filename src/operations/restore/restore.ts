import { rename, rm } from "node:fs/promises";
import { totalmem } from "node:os";
import path from "node:path";
import { stopwatch } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import type { Fallback } from "../../domain/fallback.ts";
import { formatLsn } from "../../domain/lsn.ts";
import { sqlAfterSelection } from "../../domain/database-selection.ts";
import type { FileEntry, TablespaceEntry } from "../../domain/file-map.ts";
import { DamageError, must } from "../../errors.ts";
import { capturedSchema } from "../../postgres/capture.ts";
import type { CapturedSettings } from "../../postgres/capture.ts";
import { parseControlFile } from "../../postgres/control-file.ts";
import type { ControlFile } from "../../postgres/control-file.ts";
import { higherDemands } from "../../postgres/recovery-demands.ts";
import { DEFAULT_HBA, generateConfig } from "../../postgres/restored-config.ts";
import type { RestoredConfig, RestoredConfigOptions } from "../../postgres/restored-config.ts";
import { parseJson, parsePayload } from "../../repository/document.ts";
import { keys } from "../../repository/layout.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import type { OperationContext } from "../context.ts";
import { BlockComparison } from "./block-comparison.ts";
import { checkedEntries, CONTROL_FILE, SETTINGS } from "./check-map.ts";
import { compareWithTarget, inspectDeltaTarget, makeUnstartable, removeStrangers } from "./delta-target.ts";
import { removeFutureTransactions } from "./future-transactions.ts";
import { chooseHoles } from "./choose-holes.ts";
import { openChain } from "./open-chain.ts";
import { placeTablespaces, remapTablespaces } from "./place-tablespaces.ts";
import { linkWal, placeWal } from "./place-wal.ts";
import type { RestorePlan } from "./plan-restore.ts";
import { locate, ownFolder, readFile, restoreFiles } from "./restore-files.ts";
import type { RestoreFolder } from "./restore-files.ts";
import { INCOMPLETE_MARKER } from "../tree-names.ts";
import { claimTarget, exists, inspectTarget, requireSpace, syncFolder, syncTree } from "./restore-target-folder.ts";
import { stageWal, writeOwned } from "./restore-wal.ts";
import type { StagedWal, WalChoice } from "./restore-wal.ts";

export interface RestoreRequest {
  readonly plan: RestorePlan;
  readonly target: string;
  /** Where tablespaces go: by their location on the source. Without one they go where they were. */
  readonly tablespaces: ReadonlyMap<string, string>;
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  readonly action: RestoredConfigOptions["action"];
  readonly socketDirectory: string;
  readonly port: number | null;
  readonly sharedBuffersMaxBytes?: number;
  /** The target may hold this cluster: only what differs is written, and what the backup does not have is taken away. */
  readonly delta?: boolean;
  /** Folder that pg_wal becomes a link to; empty, or absent. */
  readonly walDirectory?: string | null;
  /** The cluster becomes a standby of the primary to which this leads. A secret. */
  readonly primaryConninfo?: string | null;
  /** Of the databases only these, and what every cluster has. Null: all. */
  readonly databases?: readonly string[] | null;
  /** See `RestoredConfigOptions`. Null: the WAL is placed in the target. */
  readonly fetchCommand?: string | null;
}

export interface RestoreResult {
  readonly backupId: string;
  readonly repository: string;
  readonly target: string;
  readonly timeline: number;
  readonly reachedLsn: string;
  readonly bytes: number;
  /** In blocks, of files; the rest was zeros or there already. */
  readonly writtenBytes: number;
  readonly files: number;
  readonly walSegments: number;
  readonly durationSeconds: number;
  readonly captured: CapturedSettings;
  /** Settings of the source that the restored cluster does not have. */
  readonly leftOut: readonly string[];
  /** What another copy gave, because this one could not. */
  readonly fallbacks: readonly Fallback[];
  /** Databases of which nothing was restored but their names. */
  readonly databasesLeftOut: readonly string[];
  /** What to run once the cluster is open. */
  readonly sqlAfterwards: readonly string[];
}

/** Generated or put in place last; never written with the other files. */
const SPECIAL = new Set([CONTROL_FILE, "tablespace_map", "postgresql.conf", "postgresql.auto.conf"]);
const SPACE_RESERVE_BYTES = 64 << 20;

function isSpecial(entryPath: string): boolean {
  return SPECIAL.has(entryPath) || entryPath.startsWith("//");
}

/** Restores one backup and the WAL that leads to the target into a folder. Until the very last step the folder cannot be started. */
export async function restore(request: RestoreRequest, context: OperationContext): Promise<RestoreResult> {
  const elapsed = stopwatch(context.clock);
  const { plan, target, delta = false } = request;
  const { manifest } = plan.stored;
  if (delta) await inspectDeltaTarget(target, manifest.postgres.systemIdentifier);
  else await inspectTarget(target);
  const chain = await openChain(plan);
  const { special: entries, tablespaces: mapped } = await specialEntries(chain, manifest);
  const tablespaces = await placeTablespaces(mapped, request);
  const walDirectory = await placeWal(request, tablespaces);
  const comparison = delta ? await compareWithTarget(chain, manifest.id, target, tablespaces, isSpecial) : null;
  await requireSpace(target, Math.max(0, plan.bytes - (comparison?.presentBytes ?? 0)) + plan.walBytes + SPACE_RESERVE_BYTES);
  const blockSize = manifest.postgres.blockSize;
  const { captured, tablespaceMap, controlBytes, control } = await readDocuments(chain, entries, tablespaces, manifest);
  const holes = chooseHoles(captured, request.databases ?? null);
  const comparing = delta ? await BlockComparison.open(chain, manifest.id, blockSize) : null;
  const folder: RestoreFolder = { root: target, tablespaces, owner: request.owner, blockSize, delta: comparing, isHole: holes.isHole };
  const elsewhere = [...tablespaces.values(), ...(walDirectory === null ? [] : [walDirectory])];
  await claimTarget(target, elsewhere, { keep: delta });
  crashPoint("restore.begun");
  if (comparison !== null) {
    await makeUnstartable(target);
    await removeStrangers(comparison);
  }
  await ownFolder(target, folder);
  if (walDirectory !== null) await linkWal(walDirectory, folder);
  const { bytes, writtenBytes, files } = await restoreFiles(chain, manifest.id, folder, (entry) => isSpecial(entry.path), context);
  const { primaryConninfo = null } = request;
  const staged = await stageWal(plan, folder, walChoiceOf(request), context);
  await removeFutureTransactions(folder, staged.nextXid);
  const config = configure(request, { captured, control, staged, hasHoles: holes.leftOut.length > 0 });
  await writeConfiguration(chain, entries, { ...config, tablespaceMap, signal: primaryConninfo === null ? "recovery.signal" : "standby.signal" }, folder);
  await makeStartable(controlBytes, folder, elsewhere);
  return {
    backupId: manifest.id,
    repository: plan.view.repository.name,
    target,
    timeline: plan.resolved.timeline,
    reachedLsn: formatLsn(plan.resolved.end),
    bytes,
    writtenBytes,
    files,
    walSegments: plan.resolved.segments.length,
    durationSeconds: elapsed(),
    captured,
    leftOut: config.leftOut,
    fallbacks: plan.view.fallbacks,
    databasesLeftOut: holes.leftOut.map(({ name }) => name),
    sqlAfterwards: sqlAfterSelection(holes),
  };
}

function walChoiceOf({ plan, primaryConninfo = null, fetchCommand = null }: RestoreRequest): WalChoice {
  return { timelines: primaryConninfo === null ? [...plan.view.histories.keys()] : timelinesOf(plan), place: fetchCommand === null };
}

/** Those that lie behind the target. Of another one a standby would believe that it is to go there. */
function timelinesOf({ history }: RestorePlan): number[] {
  return [...history.forks.map(({ timeline }) => timeline), history.timeline];
}

interface Documents {
  readonly captured: CapturedSettings;
  readonly tablespaceMap: string | null;
  readonly controlBytes: Buffer;
  readonly control: ControlFile;
}

async function readDocuments(chain: ChainReader, entries: ReadonlyMap<string, FileEntry>, places: ReadonlyMap<string, string>, manifest: ClusterManifest): Promise<Documents> {
  const controlBytes = await readFile(chain, must(entries.get(CONTROL_FILE), "pg_control in the backup"), manifest.postgres.blockSize);
  const control = parseControlFile(controlBytes);
  if (control === null) throw new DamageError(keys.manifest(manifest.source, manifest.id), "the pg_control of this backup is not valid");
  return { captured: await readCaptured(chain, entries, manifest), tablespaceMap: await readTablespaceMap(chain, entries, places, manifest), controlBytes, control };
}

function configure(request: RestoreRequest, found: Pick<Documents, "captured" | "control"> & { staged: StagedWal; hasHoles: boolean }): RestoredConfig {
  const { captured, control, staged, hasHoles } = found;
  const { resolved } = request.plan;
  return generateConfig({
    captured,
    control: { ...control, ...higherDemands(control, staged.demands) },
    inPlaceTablespaces: [...captured.tablespaces, ...staged.tablespaces].some(({ location }) => !location.startsWith("/")),
    targetLsn: formatLsn(resolved.record),
    timeline: resolved.timeline,
    action: request.action,
    socketDirectory: request.socketDirectory,
    port: request.port,
    sharedBuffersMaxBytes: request.sharedBuffersMaxBytes ?? totalmem() / 4,
    primaryConninfo: request.primaryConninfo ?? null,
    fetchCommand: request.fetchCommand ?? null,
    hasHoles,
  });
}

interface SpecialEntries {
  /** Files that are not simply written where they were, and the documents about the backup. All of them were read late, but for the configuration. */
  readonly special: ReadonlyMap<string, FileEntry>;
  readonly tablespaces: readonly TablespaceEntry[];
}

/** Looks at the whole map, before anything is written. */
async function specialEntries(chain: ChainReader, manifest: ClusterManifest): Promise<SpecialEntries> {
  const special = new Map<string, FileEntry>();
  const tablespaces: TablespaceEntry[] = [];
  for await (const entry of checkedEntries(chain, manifest)) {
    if (entry.type === "tablespace") tablespaces.push(entry);
    if (entry.type === "file" && (isSpecial(entry.path) || entry.path === "pg_hba.conf")) special.set(entry.path, entry);
  }
  return { special, tablespaces };
}

async function readCaptured(chain: ChainReader, entries: ReadonlyMap<string, FileEntry>, manifest: ClusterManifest): Promise<CapturedSettings> {
  const bytes = await readFile(chain, must(entries.get(SETTINGS), "settings in the backup"), manifest.postgres.blockSize);
  return parsePayload(keys.manifest(manifest.source, manifest.id), parseJson(keys.manifest(manifest.source, manifest.id), bytes), capturedSchema);
}

/** What the restored cluster gets of it; null where the backup has none. */
async function readTablespaceMap(
  chain: ChainReader,
  entries: ReadonlyMap<string, FileEntry>,
  places: ReadonlyMap<string, string>,
  manifest: ClusterManifest,
): Promise<string | null> {
  const entry = entries.get("tablespace_map");
  return entry === undefined ? null : remapTablespaces((await readFile(chain, entry, manifest.postgres.blockSize)).toString("utf8"), places, manifest);
}

async function writeConfiguration(
  chain: ChainReader,
  entries: ReadonlyMap<string, FileEntry>,
  { tablespaceMap, signal, ...config }: RestoredConfig & { readonly tablespaceMap: string | null; readonly signal: string },
  folder: RestoreFolder,
): Promise<void> {
  for (const name of ["postgresql.conf", "postgresql.auto.conf"]) {
    const entry = entries.get(name);
    if (entry !== undefined) await writeOwned(path.join(folder.root, `${name}.source`), await readFile(chain, entry, folder.blockSize), folder);
  }
  await writeOwned(path.join(folder.root, "postgresql.conf"), config.postgresqlConf, folder);
  await writeOwned(path.join(folder.root, "postgresql.auto.conf"), config.autoConf, folder);
  if (!entries.has("pg_hba.conf")) await writeOwned(path.join(folder.root, "pg_hba.conf"), DEFAULT_HBA, folder);
  if (!(await exists(path.join(folder.root, "pg_ident.conf")))) await writeOwned(path.join(folder.root, "pg_ident.conf"), "", folder);
  if (tablespaceMap !== null) await writeOwned(path.join(folder.root, "tablespace_map"), tablespaceMap, folder);
  await writeOwned(path.join(folder.root, signal), "", folder);
  for (const name of ["pg_wal", "pg_wal/archive_status", "pg_wal/summaries"]) await ownFolder(path.join(folder.root, name), folder);
}

/** Everything is made durable first; then pg_control appears under its name, and only now the cluster can be started. */
async function makeStartable(controlBytes: Buffer, folder: RestoreFolder, elsewhere: readonly string[]): Promise<void> {
  const control = locate(folder, CONTROL_FILE);
  await writeOwned(`${control}.holdfast`, controlBytes, folder);
  await syncTree(folder.root);
  for (const place of elsewhere) await syncTree(place);
  crashPoint("restore.before-control-file");
  await rename(`${control}.holdfast`, control);
  await syncFolder(path.dirname(control));
  crashPoint("restore.before-done");
  for (const place of [...elsewhere, folder.root]) await rm(path.join(place, INCOMPLETE_MARKER));
  await syncFolder(folder.root);
}
