import { HoldfastError } from "../../errors.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { listWal } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { ClusterState } from "../cluster-state.ts";
import type { OperationContext } from "../context.ts";
import { isOtherStream, isSlotInUse, startStream } from "./run-stream.ts";
import type { RunningStream } from "./run-stream.ts";
import type { SourceTarget } from "../source-target.ts";

export interface BesideRequest {
  readonly source: SourceTarget;
  readonly repositories: readonly WritableRepository[];
  /** Those of the log that can be reached, by their id. */
  readonly log: ReadonlySet<string>;
  /** Whether the source has a log at all: then the slot is its, also where all of it is away. */
  readonly hasLog: boolean;
  readonly runId: string;
}

const LOOK_EVERY_MS = 250;
/** A stream that has begun writes within seconds; one that ends gives up its lease. */
const OTHER_STREAM_MS = 60_000;
/** The lease was free and the slot is not: for a moment that may be the server's end of a stream that has just ended. */
const LEFT_OVER_MS = 10_000;

/**
 * Streams WAL ourselves for as long as a backup takes, unless somebody does already. Null: WAL comes another way. A stream that was taken up just now begins where the server is then, which may
 * be behind the start of our backup: so it must have written something before we count on it.
 */
export async function streamBeside(request: BesideRequest, state: ClusterState, context: OperationContext): Promise<RunningStream | null> {
  const place = { source: request.source.name, systemIdentifier: state.facts.systemIdentifier, segmentBytes: state.facts.walSegmentBytes };
  const { source, repositories, runId, log, hasLog } = request;
  const since = context.clock.monotonicMs();
  for (;;) {
    let mayBeLeftOver = false;
    try {
      // Where there is a log its own stream holds the lease, most likely, and nobody need be waited for to know it.
      return await startStream({ source, repositories, runId, place, log, slot: !hasLog, wait: hasLog ? false : "own" }, context);
    } catch (error) {
      if (error instanceof HoldfastError && error.code === "HF-CONNECT") {
        context.onNotice(`not streaming WAL: ${error.message}; counting on archive_command`);
        return null;
      }
      if (!isOtherStream(error) || context.clock.monotonicMs() - since > OTHER_STREAM_MS) throw error;
      mayBeLeftOver = isSlotInUse(error) && context.clock.monotonicMs() - since < LEFT_OVER_MS;
    }
    if (!mayBeLeftOver && (await hasBegun(request.repositories, place))) return null;
    await context.clock.sleep(LOOK_EVERY_MS, context.signal);
  }
}

async function hasBegun([first]: readonly WritableRepository[], place: WalPlace): Promise<boolean> {
  if (first === undefined) return false;
  const { segments, parts } = await listWal(first, place);
  return segments.size > 0 || parts.size > 0;
}

/** The context of a wait that ends when our own stream does: nothing will arrive any more, and its failure is the reason. */
export function whileStreaming(stream: RunningStream | null, context: OperationContext): OperationContext {
  if (stream === null) return context;
  const failed = new AbortController();
  stream.ended.catch((error: unknown) => failed.abort(error));
  return { ...context, signal: AbortSignal.any([context.signal, failed.signal]) };
}
