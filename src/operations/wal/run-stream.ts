import type { Lsn } from "../../domain/lsn.ts";
import { HoldfastError, messageOf, must } from "../../errors.ts";
import { connect } from "../../postgres/connection.ts";
import { dropLostSlot } from "../../postgres/replication-slot.ts";
import { openWalReceiver } from "../../postgres/wal-receiver.ts";
import type { WalReceiver } from "../../postgres/wal-receiver.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { Lease } from "../../repository/lease.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { leaseScopes, slotName } from "../source-target.ts";
import type { SourceTarget } from "../source-target.ts";
import { streamWal } from "./stream-wal.ts";
import type { StreamPosition } from "./timeline-stream.ts";
import { WalKeys } from "./wal-keys.ts";
import type { WalStore } from "./wal-store.ts";

export interface StreamRequest {
  readonly source: SourceTarget;
  readonly place: WalPlace;
  readonly repositories: readonly WritableRepository[];
  readonly runId: string;
  /** Waits for another process that streams this source, instead of refusing. */
  readonly wait?: boolean;
  readonly onPosition?: (position: StreamPosition) => void;
  readonly onGap?: (gap: { timeline: number; from: Lsn; to: Lsn }) => Promise<void>;
}

/** A WAL stream that runs beside something else. */
export interface RunningStream extends AsyncDisposable {
  position(): StreamPosition | null;
  /** Resolves when WAL up to `lsn` is durable in the first tier; rejects when the stream failed. */
  reached(lsn: Lsn, signal: AbortSignal): Promise<void>;
  /** Settles when the stream ends: resolves after `stop`, rejects with why it failed. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** object_in_use: another process streams from our slot. */
const SLOT_IN_USE = "55006";

/** Whether a stream was refused because another process streams this source. */
export function isOtherStream(error: unknown): boolean {
  return error instanceof HoldfastError && (error.code === "HF-BUSY" || error.facts["sqlState"] === SLOT_IN_USE);
}

/** Starts streaming under the WAL lease of the source. Rejects with `HF-BUSY` where another process streams already. */
export async function startStream(request: StreamRequest, context: OperationContext): Promise<RunningStream> {
  const leases: Lease[] = [];
  const releaseAll = async (): Promise<void> => {
    await Promise.allSettled(leases.map((lease) => lease.release()));
  };
  try {
    const { source, runId } = request;
    for (const repository of request.repositories)
      leases.push(
        await acquireLease(repository, {
          scope: leaseScopes.wal(source.name),
          runId,
          clock: context.clock,
          signal: context.signal,
          wait: request.wait === true,
          onWait: (busy) => context.onNotice(`waiting: ${busy.message}`),
        }),
      );
    const receiver = await openReceiver(source, context);
    return run(request, { receiver, lease: must(leases[0], "the lease on WAL"), releaseAll }, context);
  } catch (error) {
    await releaseAll();
    throw error;
  }
}

async function openReceiver(source: SourceTarget, context: OperationContext): Promise<WalReceiver> {
  const receiver = await openWalReceiver(source);
  try {
    await using connection = await connect(source, { purpose: "wal" });
    if (await dropLostSlot(connection.client, slotName(source.name))) context.onNotice(`the server had given up slot ${slotName(source.name)}: it is made anew`);
    await receiver.ensureSlot(slotName(source.name));
    return receiver;
  } catch (error) {
    await receiver[Symbol.asyncDispose]();
    throw error;
  }
}

function run(request: StreamRequest, held: { receiver: WalReceiver; lease: Lease; releaseAll: () => Promise<void> }, context: OperationContext): RunningStream {
  const stopper = new AbortController();
  const progress = new PositionWatch(request.onPosition);
  const streaming = streamWal({
    receiver: held.receiver,
    store: storeOf(request, context),
    lease: held.lease,
    slot: slotName(request.source.name),
    clock: context.clock,
    signal: AbortSignal.any([context.signal, stopper.signal]),
    onPosition: (position) => progress.moved(position),
    onGap: async (gap) => {
      context.onNotice("a gap in WAL: the server no longer has what follows our last segment");
      await request.onGap?.(gap);
    },
  });
  const ended = settle(streaming, progress, async () => {
    await held.receiver[Symbol.asyncDispose]();
    await held.releaseAll();
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
    ended,
    stop,
    [Symbol.asyncDispose]: () => stop().catch(() => undefined),
  };
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

function storeOf({ repositories, place }: StreamRequest, context: OperationContext): WalStore {
  const [first, ...others] = repositories;
  return {
    place,
    repositories: [must(first, "a repository for WAL"), ...others],
    walKeys: new WalKeys(context.clock),
    clock: context.clock,
    onLagging: (repository, error) => context.onNotice(`WAL is not reaching ${repository.name}: ${messageOf(error)}`),
  };
}

/** Lets others wait for a position. */
class PositionWatch {
  readonly #onPosition: ((position: StreamPosition) => void) | undefined;
  readonly #waiting = new Set<() => void>();
  #ended: { error: unknown } | null = null;
  current: StreamPosition | null = null;

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

  async reached(lsn: Lsn, signal: AbortSignal): Promise<void> {
    while (this.current === null || this.current.durable < lsn) {
      if (this.#ended !== null) throw this.#ended.error;
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
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
}
