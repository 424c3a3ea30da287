import { formatLsn, parseLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { HoldfastError } from "../../errors.ts";
import { connect, queryRow, text } from "../../postgres/connection.ts";
import { readIdentity } from "../../postgres/server-identity.ts";
import type { SourceConfig } from "../../policy/types.ts";
import { ensureBound, readBinding, requireBranch, systemIdentifierOf } from "../../repository/binding.ts";
import { readLease } from "../../repository/lease.ts";
import type { LeaseState } from "../../repository/lease.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import { openClusterReader, readControlFile, readServerHistory } from "../cluster-state.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy, newRunId, openReachable, runSpec } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordEntry, recordRun } from "../record-run.ts";
import type { RunTrigger } from "../record-run.ts";
import { isOtherStream, startStream } from "./run-stream.ts";
import type { RunningStream } from "./run-stream.ts";
import { leaseScopes } from "../source-target.ts";
import type { SourceTarget } from "../source-target.ts";
import type { AwayTier } from "./tier-keeper.ts";
import type { StreamPosition } from "./timeline-stream.ts";

interface OpenLog {
  readonly place: WalPlace;
  readonly repositories: readonly WritableRepository[];
  readonly away: readonly AwayTier[];
}

/** The repositories WAL of a source goes to, bound to the cluster that the server is; and those that cannot be reached now. */
async function openLog(installation: Installation, source: SourceConfig, target: SourceTarget, context: OperationContext): Promise<OpenLog> {
  const rule = source.policy.log;
  if (rule === null) throw new HoldfastError("HF-CONFIG", `the policy ${source.policy.name} has no log backup`, { hint: "add backups.log to it" });
  await using connection = await connect(target, { purpose: "wal" });
  const identity = await readIdentity(connection.client);
  await using reader = await openClusterReader(target, identity);
  const { walSegmentBytes } = await readControlFile(reader, identity, context.signal);
  const { history } = await readServerHistory(reader, identity.timeline, context.signal);
  const bind = async (repository: WritableRepository): Promise<WritableRepository> => {
    const found = { kind: "postgres", systemIdentifier: identity.systemIdentifier, version: identity.version, walSegmentBytes } as const;
    requireBranch(await ensureBound(repository, source.name, found, context.clock.now()), history, repository.name);
    return repository;
  };
  const { repositories, away } = await openReachable(installation, rule.repositories, bind);
  for (const { name, error } of away) context.onNotice(`WAL does not go to ${name}: ${error.message}`);
  return {
    place: { source: source.name, systemIdentifier: identity.systemIdentifier, segmentBytes: walSegmentBytes },
    repositories,
    away: away.map(({ name }) => ({ name, open: async () => bind(await installation.repository(name)) })),
  };
}

interface StreamOptions {
  /** Left out: one of its own. */
  readonly runId?: string;
  /** As of a `TierRequest`. */
  readonly hasEnded?: (runId: string) => boolean;
  readonly onPosition: (position: StreamPosition) => void;
  /** Lets a backup that streams for itself finish first, instead of refusing: as of a `LeaseRequest`. */
  readonly wait?: boolean | "own";
}

/** Starts streaming a source's WAL into its log repositories. */
export async function startLog(installation: Installation, source: SourceConfig, context: OperationContext, options: StreamOptions): Promise<RunningStream> {
  const target = await installation.target(source);
  const { place, repositories, away } = await openLog(installation, source, target, context);
  return startStream(
    {
      source: target,
      place,
      repositories,
      away,
      runId: newRunId(installation.clock),
      ...options,
      onGap: async ({ timeline, from, to }) =>
        void (await recordEntry(installation.journal, "wal.gap", { source: source.name, timeline, startLsn: formatLsn(from), endLsn: formatLsn(to) })),
    },
    context,
  );
}

const RETRY_MS = 5000;
/** Another repository may be there to go on with: it is tried this often before whoever called decides. */
const MOST_FAILOVERS = 3;

/**
 * Streams until stopped. Where the first tier fails another goes on in its place, and gives it back when it is there again. A repository that is full is waited for, if there is no other: the
 * slot keeps all that was not reported durable, and whoever ended here would only be started again. What any other failure means is for the caller to decide.
 */
export async function runStream(installation: Installation, source: SourceConfig, context: OperationContext, options: StreamOptions): Promise<void> {
  const hasOthers = (source.policy.log?.repositories.length ?? 0) > 1;
  const ended = new Set<string>();
  for (let failovers = 0; ;) {
    if (isAborted(context.signal)) return;
    try {
      await streamOnce(installation, source, context, ended, {
        ...options,
        onPosition: (position) => {
          failovers = 0;
          options.onPosition(position);
        },
      });
      continue;
    } catch (error) {
      if (!(error instanceof HoldfastError) || isAborted(context.signal)) throw error;
      const isFull = error.code === "HF-SPACE";
      if (!isFull && !(hasOthers && isOfOneCopy(error) && failovers++ < MOST_FAILOVERS)) throw error;
      context.onNotice(isFull ? `${error.message}: the server keeps its WAL meanwhile, and the stream goes on when there is space` : `the stream begins again: ${error.message}`);
      if (!isFull) continue;
    }
    await context.clock.sleep(RETRY_MS, context.signal);
  }
}

/** Asked anew: it may have happened while we waited. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** The lease of one that ended so long ago has run out. */
const MOST_ENDED = 100;

/** `ended`: the runs of streams that this process has ended. One whose repository was away could not give up its lease, and the next need not wait until that has run out. */
async function streamOnce(installation: Installation, source: SourceConfig, context: OperationContext, ended: Set<string>, options: StreamOptions): Promise<void> {
  const runId = newRunId(installation.clock);
  try {
    await using stream = await startLog(installation, source, context, { ...options, runId, hasEnded: (run) => ended.has(run) });
    await stream.ended;
  } finally {
    ended.add(runId);
    for (const oldest of ended) if (ended.size > MOST_ENDED) ended.delete(oldest);
  }
}

export interface LogRunView {
  readonly timeline: number;
  readonly durableLsn: string;
  readonly coveredUntil: string | null;
}

/** One scheduled log backup: everything the server has written up to now is in the repositories when it ends. */
export async function runLogOnce(installation: Installation, request: { source: SourceConfig } & RunTrigger, context: OperationContext): Promise<LogRunView> {
  const { source } = request;
  const spec = runSpec(installation.clock, { source, operation: "log", type: "log" }, request);
  return recordRun(installation.journal, spec, async () => {
    const until = await switchWal(await installation.target(source));
    const view = await bringUpTo(installation, source, until, context);
    return { outcome: "succeeded", reason: null, figures: view, value: view };
  });
}

/** How long another stream of this source (a backup's own, or a long-lived one) may take to bring what we were to bring. */
const OTHER_STREAM_MS = 60_000;
const LOOK_EVERY_MS = 500;
/** How long a log backup waits for the repositories behind the first. What takes longer is copied later. */
const EVERYWHERE_MS = 60_000;

/** Streams until `until` is durable; where another process is streaming this source, waits for that one to get there, or to end. */
async function bringUpTo(installation: Installation, source: SourceConfig, until: Lsn, context: OperationContext): Promise<LogRunView> {
  const since = context.clock.monotonicMs();
  for (;;) {
    try {
      return await streamUpTo(installation, source, until, context);
    } catch (error) {
      if (!isOtherStream(error) || context.clock.monotonicMs() - since > OTHER_STREAM_MS) throw error;
    }
    const position = await positionOfOthers(installation, source);
    if (position !== null && parseLsn(position.lsn) >= until) return { timeline: position.timeline, durableLsn: position.lsn, coveredUntil: position.coveredUntil };
    await context.clock.sleep(LOOK_EVERY_MS, context.signal);
  }
}

async function streamUpTo(installation: Installation, source: SourceConfig, until: Lsn, context: OperationContext): Promise<LogRunView> {
  await using stream = await startLog(installation, source, context, { onPosition: () => undefined, wait: "own" });
  await stream.reached(until, context.signal);
  await stream.everywhere(EVERYWHERE_MS, context.signal);
  await stream.stop();
  const position = stream.position();
  if (position === null) throw new HoldfastError("HF-WAL", "the stream ended without a position");
  return {
    timeline: position.timeline,
    durableLsn: formatLsn(position.durable),
    coveredUntil: position.coveredUntil === null ? null : new Date(Number(position.coveredUntil / 1000n)).toISOString(),
  };
}

/** The furthest that any stream wrote down, in the repository that decided what is durable. */
async function positionOfOthers(installation: Installation, source: SourceConfig): Promise<LeaseState["position"]> {
  let furthest: LeaseState["position"] = null;
  await openReachable(installation, source.policy.log?.repositories ?? [], async (repository) => {
    const [lease, binding] = await Promise.all([readLease(repository, leaseScopes.wal(source.name)), readBinding(repository, source.name)]);
    const position = lease?.position ?? null;
    if (
      position !== null &&
      binding !== null &&
      position.systemIdentifier === systemIdentifierOf(binding) &&
      (furthest === null || parseLsn(position.lsn) > parseLsn(furthest.lsn))
    )
      furthest = position;
  });
  return furthest;
}

/** Ends the segment being written, so that it is stored whole; where the role may not, its part is stored. Returns where the server is. */
async function switchWal(target: SourceTarget): Promise<Lsn> {
  await using connection = await connect(target, { purpose: "wal" });
  const { client } = connection;
  try {
    await client.query("select pg_switch_wal()");
  } catch {
    // Not allowed, or a standby: the stream still brings everything up to now.
  }
  const row = await queryRow(client, "select case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_flush_lsn() end::text as lsn");
  return parseLsn(text(row, "lsn"));
}
