import { settledWithin } from "../../clock.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { connect } from "../../postgres/connection.ts";
import { dropLostSlot, slotKeepsFrom } from "../../postgres/replication-slot.ts";
import { readCommitWait } from "../../postgres/synchronous-standbys.ts";
import { openWalReceiver } from "../../postgres/wal-receiver.ts";
import type { WalReceiver } from "../../postgres/wal-receiver.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { slotName } from "../source-target.ts";
import type { SourceTarget } from "../source-target.ts";
import { streamWal } from "./stream-wal.ts";
import type { StreamPosition } from "./timeline-stream.ts";
import { CommitWatch } from "./commit-watch.ts";
import { chooseTiers, isOfLog } from "./choose-tiers.ts";
import type { Tiers } from "./choose-tiers.ts";
import { TierKeeper } from "./tier-keeper.ts";
import type { AwayTier } from "./tier-keeper.ts";
import { TierQueue } from "./tier-queue.ts";
import { WalKeys } from "./wal-keys.ts";
import { failAtOnce } from "./wal-store.ts";

export interface StreamRequest {
  readonly source: SourceTarget;
  readonly place: WalPlace;
  /** As the policy names them, those that can be reached. */
  readonly repositories: readonly WritableRepository[];
  /** Those of the log that cannot be reached now. */
  readonly away?: readonly AwayTier[];
  /** Those that are kept complete, by their id; the others take what comes while we stream. Without it, all. */
  readonly log?: ReadonlySet<string>;
  /** False: the slot is for others, who are away, and is left alone. */
  readonly slot?: boolean;
  readonly runId: string;
  /** As of a `TierRequest`. */
  readonly hasEnded?: ((runId: string) => boolean) | undefined;
  /** Waits for another process that streams this source, instead of refusing: as of a `LeaseRequest`. */
  readonly wait?: boolean | "own";
  readonly onPosition?: (position: StreamPosition) => void;
  readonly onGap?: (gap: { timeline: number; from: Lsn; to: Lsn }) => Promise<void>;
}

/** A WAL stream that runs beside something else. */
export interface RunningStream extends AsyncDisposable {
  position(): StreamPosition | null;
  /** Resolves when WAL up to `lsn` is durable in the first tier; rejects when the stream failed. */
  reached(lsn: Lsn, signal: AbortSignal): Promise<void>;
  /** Resolves when every repository that is kept complete has all that is durable in the first tier, or the time is over. */
  everywhere(ms: number, signal: AbortSignal): Promise<void>;
  /** Settles when the stream ends: resolves after `stop`, or when it is to begin again with a repository that is back; rejects with why it failed. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** object_in_use: another process streams from our slot. */
const SLOT_IN_USE = "55006";

/** Whether a stream was refused because another process streams this source. */
export function isOtherStream(error: unknown): boolean {
  return error instanceof HoldfastError && (error.code === "HF-BUSY" || isSlotInUse(error));
}

export function isSlotInUse(error: unknown): boolean {
  return error instanceof HoldfastError && error.facts["sqlState"] === SLOT_IN_USE;
}

/** Starts streaming under the WAL lease of the source. Rejects with `HF-BUSY` where another process streams already. */
export async function startStream(request: StreamRequest, context: OperationContext): Promise<RunningStream> {
  const walKeys = new WalKeys(context.clock);
  const tiers = await chooseTiers(request, walKeys, context);
  try {
    const opened = await openReceiver(request.source, context);
    return run(request, { ...opened, tiers, walKeys }, context);
  } catch (error) {
    await tiers.lease.release().catch(() => undefined);
    throw error;
  }
}

interface OpenedReceiver {
  readonly receiver: WalReceiver;
  /** From where on the server has kept WAL for us; null where it kept none. */
  readonly keptFrom: Lsn | null;
  readonly commits: CommitWatch;
}

async function openReceiver(source: SourceTarget, context: OperationContext): Promise<OpenedReceiver> {
  const receiver = await openWalReceiver(source);
  try {
    await using connection = await connect(source, { purpose: "wal" });
    if (await dropLostSlot(connection.client, slotName(source.name))) context.onNotice(`the server had given up slot ${slotName(source.name)}: it is made anew`);
    const keptFrom = await slotKeepsFrom(connection.client, slotName(source.name));
    await receiver.ensureSlot(slotName(source.name));
    return { receiver, keptFrom, commits: new CommitWatch(source, (await readCommitWait(connection.client)) !== "none") };
  } catch (error) {
    await receiver[Symbol.asyncDispose]();
    throw error;
  }
}

interface HeldStream extends OpenedReceiver {
  readonly tiers: Tiers;
  readonly walKeys: WalKeys;
}

function run(request: StreamRequest, { receiver, keptFrom, commits, tiers, walKeys }: HeldStream, context: OperationContext): RunningStream {
  const { clock, onNotice } = context;
  const stopper = new AbortController();
  const progress = new PositionWatch(request.onPosition);
  const behind = queuesBehind(request, tiers, onNotice);
  const keeper = new TierKeeper({
    first: tiers.first,
    behind: behind.filter(({ repository }) => isOfLog(request, repository)),
    away: awayTiers(request, tiers),
    place: request.place,
    runId: request.runId,
    hasEnded: request.hasEnded,
    walKeys,
    clock,
    onNotice,
    onReturn: () => stopper.abort(new HoldfastError("HF-INTERRUPTED", "a repository that was away is back")),
    onDiverged: (error) => stopper.abort(error),
  });
  const streaming = streamWal({
    receiver,
    store: {
      place: request.place,
      repositories: [tiers.first],
      behind,
      walKeys,
      clock,
      onLagging: failAtOnce,
    },
    lease: tiers.lease,
    // A copy that is not of the log must not tell the server what it need not keep for the log.
    slot: request.slot === false && !isOfLog(request, tiers.first) ? null : slotName(request.source.name),
    keptFrom,
    isWaitedFor: () => commits.isWaiting || progress.isWaitedFor,
    onFlushable: (flush) => progress.flushBy(flush),
    clock,
    signal: AbortSignal.any([context.signal, stopper.signal]),
    onPosition: (position) => progress.moved(position),
    onGap: (gap) => tellGap(request, gap, onNotice),
  });
  const ended = settle(streaming, progress, async () => {
    await receiver[Symbol.asyncDispose]();
    await commits[Symbol.asyncDispose]();
    await keeper[Symbol.asyncDispose]();
    await closeTiers(tiers, behind, context);
    const { reason } = stopper.signal as { reason: unknown };
    if (reason instanceof HoldfastError && reason.code === "HF-DIVERGED") throw reason;
  });
  // Whoever needs it waits for it; an unobserved failure is seen by those who wait for a position.
  ended.catch(() => undefined);
  const stop = async (): Promise<void> => {
    stopper.abort(new HoldfastError("HF-INTERRUPTED", "the WAL stream was stopped"));
    await ended;
  };
  return {
    position: () => progress.current,
    reached: (lsn, signal) => progress.reached(lsn, signal),
    everywhere: (ms, signal) => caughtUp(behind, ms, { ...context, signal }),
    ended,
    stop,
    [Symbol.asyncDispose]: () => stop().catch(() => undefined),
  };
}

async function tellGap(request: StreamRequest, gap: Parameters<NonNullable<StreamRequest["onGap"]>>[0], onNotice: OperationContext["onNotice"]): Promise<void> {
  onNotice("a gap in WAL: the server no longer has what follows our last segment");
  await request.onGap?.(gap);
}

/** What is kept complete is looked at first: it may lack what came while nobody streamed to it. */
function queuesBehind(request: StreamRequest, { behind }: Tiers, onNotice: OperationContext["onNotice"]): TierQueue[] {
  const lags = (repository: WritableRepository) => (error: unknown) => onNotice(`WAL is not reaching ${repository.name}: ${messageOf(error)}`);
  return behind.map((repository) => new TierQueue(repository, { isLagging: isOfLog(request, repository), onLagging: lags(repository) }));
}

/** What a stream may still take to end, for the sake of repositories behind the first: what does not reach them is filled up later. */
const CLOSE_WITHIN_MS = 3000;
const LOOK_EVERY_MS = 250;

/** Rejects where a repository turned out to hold another history. */
async function closeTiers({ lease }: Tiers, behind: readonly TierQueue[], { clock }: OperationContext): Promise<void> {
  await Promise.all(behind.map((tier) => tier.drained(clock, CLOSE_WITHIN_MS)));
  await settledWithin(clock, CLOSE_WITHIN_MS, [lease.release()]);
  for (const { divergence } of behind) if (divergence !== null) throw divergence;
}

async function caughtUp(behind: readonly TierQueue[], ms: number, { clock, signal }: OperationContext): Promise<void> {
  for (const since = clock.monotonicMs(); clock.monotonicMs() - since < ms; await clock.sleep(LOOK_EVERY_MS, signal))
    if (behind.every(({ isLagging }) => !isLagging) && (await Promise.all(behind.map((tier) => tier.drained(clock, ms)))).every(Boolean)) return;
}

/** What the stream runs without, and takes up when it is back: those that could not be reached, and those that lack too much to be first. */
function awayTiers({ away = [] }: StreamRequest, { returning }: Tiers): AwayTier[] {
  return [...away, ...returning.map((repository) => ({ name: repository.name, open: async () => repository }))];
}

async function settle(streaming: Promise<void>, progress: PositionWatch, close: () => Promise<void>): Promise<void> {
  try {
    await streaming;
    progress.end(new HoldfastError("HF-WAL", "the WAL stream was stopped"));
  } catch (error) {
    progress.end(error);
    throw error;
  } finally {
    await close();
  }
}

/** Lets others wait for a position. */
class PositionWatch {
  readonly #onPosition: ((position: StreamPosition) => void) | undefined;
  readonly #waiting = new Set<() => void>();
  #ended: { error: unknown } | null = null;
  current: StreamPosition | null = null;

  #waits = 0;
  #flush: () => void = () => undefined;

  /** Also while who waits is just being told of a step on the way. */
  get isWaitedFor(): boolean {
    return this.#waits > 0;
  }

  constructor(onPosition: ((position: StreamPosition) => void) | undefined) {
    this.#onPosition = onPosition;
  }

  moved(position: StreamPosition): void {
    this.current = position;
    this.#onPosition?.(position);
    for (const wake of this.#waiting) wake();
  }

  end(error: unknown): void {
    this.#ended ??= { error };
    for (const wake of this.#waiting) wake();
  }

  /** How the stream makes durable at once what it has. */
  flushBy(flush: () => void): void {
    this.#flush = flush;
  }

  async reached(lsn: Lsn, signal: AbortSignal): Promise<void> {
    this.#waits++;
    // What is there already; what is still to come is seen to be waited for.
    this.#flush();
    try {
      while (this.current === null || this.current.durable < lsn) {
        if (this.#ended !== null) throw this.#ended.error;
        signal.throwIfAborted();
        await this.#step(signal);
      }
    } finally {
      this.#waits--;
    }
  }

  /** Resolves with the next position, with the end, or when the signal aborts. */
  #step(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}
