import type { ClusterFacts } from "../domain/chain.ts";
import { emptyHistory, parseHistory } from "../domain/timeline.ts";
import type { TimelineHistory } from "../domain/timeline.ts";
import { historyFileName } from "../domain/wal-segment.ts";
import { HoldfastError } from "../errors.ts";
import type { BackupSession } from "../postgres/backup-session.ts";
import { captureSettings } from "../postgres/capture.ts";
import type { CapturedSettings } from "../postgres/capture.ts";
import type { ClusterReader } from "../postgres/cluster-reader.ts";
import { parseControlFile } from "../postgres/control-file.ts";
import type { ControlFile } from "../postgres/control-file.ts";
import { openLocalReader } from "../postgres/local-reader.ts";
import { openRemoteReader } from "../postgres/remote-reader.ts";
import { majorOf } from "../postgres/server-identity.ts";
import type { ServerIdentity } from "../postgres/server-identity.ts";
import type { SourceTarget } from "./source-target.ts";

/** The cluster as a backup finds it. */
export interface ClusterState {
  readonly identity: ServerIdentity;
  readonly facts: ClusterFacts;
  readonly control: ControlFile;
  readonly history: TimelineHistory;
  /** The history as the server has it; null for timeline 1, which has none. */
  readonly historyFile: Buffer | null;
  readonly captured: CapturedSettings;
}

export const SUPPORTED_MAJORS = { first: 13, last: 18 } as const;
const READ_CONNECTIONS = 3;

export async function openClusterReader(source: SourceTarget, identity: ServerIdentity): Promise<ClusterReader> {
  return source.dataDirectory === null ? openRemoteReader(source, identity, READ_CONNECTIONS) : openLocalReader(source.dataDirectory, identity);
}

export async function readClusterState(source: SourceTarget, session: BackupSession, signal: AbortSignal): Promise<ClusterState> {
  const { identity, client } = session;
  const major = majorOf(identity.version);
  if (major < SUPPORTED_MAJORS.first || major > SUPPORTED_MAJORS.last)
    throw new HoldfastError("HF-SERVER", `PostgreSQL ${major} is not supported`, { hint: `versions ${SUPPORTED_MAJORS.first} to ${SUPPORTED_MAJORS.last} are` });
  const captured = await captureSettings(client, identity.version);
  await using reader = await openClusterReader(source, identity);
  const control = await readControlFile(reader, identity, signal);
  return {
    identity,
    captured,
    control,
    ...(await readServerHistory(reader, identity.timeline, signal)),
    facts: {
      systemIdentifier: identity.systemIdentifier,
      major,
      catalogVersion: control.catalogVersion,
      blockSize: control.blockSize,
      segmentBlocks: control.segmentBlocks,
      walSegmentBytes: control.walSegmentBytes,
      dataChecksums: control.dataChecksums,
    },
  };
}

const CONTROL_FILE = "global/pg_control";
const CONTROL_FILE_BYTES = 8192;
const CONTROL_READ_ATTEMPTS = 10;

export interface ControlFileReading extends ControlFile {
  readonly bytes: Buffer;
}

/** Reads pg_control until its checksum fits (the server may be writing it), and makes sure that it is this cluster's. */
export async function readControlFile(reader: ClusterReader, identity: ServerIdentity, signal: AbortSignal): Promise<ControlFileReading> {
  for (let attempt = 1; attempt <= CONTROL_READ_ATTEMPTS; attempt++) {
    const [bytes] = await reader.read([{ path: CONTROL_FILE, offset: 0, length: CONTROL_FILE_BYTES }], signal);
    const control = bytes === null || bytes === undefined ? null : parseControlFile(bytes);
    if (control === null || bytes === null || bytes === undefined) continue;
    if (control.systemIdentifier !== identity.systemIdentifier)
      throw new HoldfastError("HF-OTHER-CLUSTER", `pg_control is of cluster ${control.systemIdentifier}, the server is ${identity.systemIdentifier}`, {
        hint: "is 'dataDirectory' that of another cluster?",
      });
    return { ...control, bytes };
  }
  throw new HoldfastError("HF-SERVER", "pg_control could not be read with a right checksum", { hint: "check the server's disk" });
}

const HISTORY_MAX_BYTES = 1 << 20;

export async function readServerHistory(reader: ClusterReader, timeline: number, signal: AbortSignal): Promise<Pick<ClusterState, "history" | "historyFile">> {
  if (timeline === 1) return { history: emptyHistory(1), historyFile: null };
  const [bytes] = await reader.read([{ path: `pg_wal/${historyFileName(timeline)}`, offset: 0, length: HISTORY_MAX_BYTES }], signal);
  const history = bytes === null || bytes === undefined ? null : parseHistory(timeline, bytes.toString("utf8"));
  if (history === null || bytes === null || bytes === undefined) throw new HoldfastError("HF-SERVER", `the history of timeline ${timeline} is missing or unreadable on the server`);
  return { history, historyFile: bytes };
}
