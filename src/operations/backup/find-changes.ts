import { parseLsn } from "../../domain/lsn.ts";
import { HoldfastError, must } from "../../errors.ts";
import type { BackupStart } from "../../postgres/backup-session.ts";
import type { ClusterReader } from "../../postgres/cluster-reader.ts";
import { readRecordBefore } from "../../postgres/record-before.ts";
import { readServerSummaries } from "../../postgres/server-summaries.ts";
import type { ChangedBlocks } from "../../postgres/server-summaries.ts";
import { clusterOf } from "../../repository/manifest.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import type { BackupUnderWay } from "./backup-types.ts";
import type { OperationContext } from "../context.ts";
import { readOwnSummaries } from "./own-summaries.ts";
import type { OwnSummaryRequest } from "./own-summaries.ts";

/** How it is known what changed since the parent, and what did. */
export interface Changes {
  readonly source: ClusterManifest["changeSource"];
  readonly reason: string;
  /** Null: everything is read, and compared where there is a parent. */
  readonly blocks: ChangedBlocks | null;
}

interface StartedReading {
  readonly backup: BackupUnderWay;
  readonly start: BackupStart;
  readonly reader: ClusterReader;
}

/** How changes are found, best first; anything not provable falls back and says so. */
export async function findChanges(request: StartedReading, context: OperationContext): Promise<Changes> {
  const { start, backup } = request;
  const { parent, state, session } = backup;
  if (parent.stored === null) return { source: "everything", reason: parent.reason, blocks: null };
  const { manifest } = clusterOf(parent.stored);
  const from = { timeline: manifest.postgres.timeline, lsn: parseLsn(manifest.start.lsn) };
  const server = await readServerSummaries(session.client, state.identity.version, { from, to: start.lsn, history: state.history }, context.clock, context.signal);
  if (typeof server !== "string")
    return { source: "server-summaries", reason: `${server.blocks} blocks changed since ${manifest.id} by the server's WAL summaries`, blocks: server };
  const own = await readOwnSummaries(await ownRequest(request, manifest, context.signal), context);
  if (typeof own !== "string")
    return { source: "wal-summaries", reason: `${own.blocks} blocks changed since ${manifest.id} by the WAL in the repository (${server})`, blocks: own };
  return { source: "digests", reason: `${server}; ${own}`, blocks: null };
}

/** WAL without summaries is read again, unless it is more than this and more than half of the cluster. */
const REREAD_BYTES = 256 << 20;

async function ownRequest({ backup, start, reader }: StartedReading, manifest: ClusterManifest, signal: AbortSignal): Promise<OwnSummaryRequest> {
  const { state, session, request } = backup;
  const { systemIdentifier, walSegmentBytes: segmentBytes } = state.facts;
  return {
    repository: must(request.logRepositories[0] ?? request.repositories[0], "a repository for WAL"),
    place: { source: request.source.name, systemIdentifier, segmentBytes },
    history: state.history,
    from: parseLsn(manifest.start.lsn),
    to: start.lsn,
    before: await readRecordBefore(reader, { at: start.lsn, timeline: state.identity.timeline, segmentBytes }, signal),
    rereadBytes: Math.max(REREAD_BYTES, manifest.sizes.sourceBytes / 2),
    endSegment: async () => {
      // A standby cannot, and a role may not.
      await session.endSegment().catch((error: unknown) => {
        if (!(error instanceof HoldfastError)) throw error;
      });
    },
  };
}
