import type { Lsn } from "../domain/lsn.ts";
import { HoldfastError, must } from "../errors.ts";
import { openWalReceiver } from "../postgres/wal-receiver.ts";
import { acquireLease } from "../repository/lease.ts";
import type { Lease } from "../repository/lease.ts";
import type { WritableRepository } from "../repository/repository.ts";
import type { WalPlace } from "../repository/wal-archive.ts";
import type { OperationContext } from "./context.ts";
import { leaseScopes, slotName } from "./source-target.ts";
import type { SourceTarget } from "./source-target.ts";
import { streamWal } from "./stream-wal.ts";
import type { StreamPosition } from "./stream-wal.ts";
import { WalKeys } from "./wal-keys.ts";
import type { WalStore } from "./wal-store.ts";

export interface StreamRequest {
  readonly source: SourceTarget;
  readonly place: WalPlace;
  readonly repositories: readonly WritableRepository[];
  readonly runId: string;
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

/** Starts streaming under the WAL lease of the source. Rejects with `HF-BUSY` where another process streams already. */
export async function startStream(request: StreamRequest, context: OperationContext): Promise<RunningStream> {
  const [first, ...others] = request.repositories;
  const leases: Lease[] = [];
  const stopper = new AbortController();
  try {
    for (const repository of request.repositories)
      leases.push(await acquireLease(repository, { scope: leaseScopes.wal(request.source.name), runId: request.runId, clock: context.clock, signal: context.signal }));
    const receiver = await openWalReceiver(request.source);
    const slot = slotName(request.source.name);
    try {
      await receiver.ensureSlot(slot);
    } catch (error) {
      await receiver[Symbol.asyncDispose]();
      throw error;
    }
    const store: WalStore = {
      place: request.place,
      repositories: [must(first, "a repository for WAL"), ...others],
      walKeys: new WalKeys(context.clock),
      clock: context.clock,
      onLagging: (repository, error) => context.onNotice(`WAL is not reaching ${repository.name}: ${error instanceof Error ? error.message : String(error)}`),
    };
    const progress = new PositionWatch(request.onPosition);
    const streaming = streamWal({
      receiver,
      store,
      lease: must(leases[0], "the lease on WAL"),
      slot,
      clock: context.clock,
      signal: AbortSignal.any([context.signal, stopper.signal]),
      onPosition: (position) => progress.moved(position),
      onGap: async (gap) => {
        context.onNotice(`a gap in WAL: the server no longer has what follows our last segment`);
        await request.onGap?.(gap);
      },
    });
    const ended = streaming
      .then(
        () => progress.end(new HoldfastError("HF-WAL", "the WAL stream was stopped")),
        (error: unknown) => {
          progress.end(error);
          throw error;
        },
      )
      .finally(async () => {
        await receiver[Symbol.asyncDispose]();
        await Promise.allSettled(leases.map((lease) => lease.release()));
      });
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
  } catch (error) {
    await Promise.allSettled(leases.map((lease) => lease.release()));
    throw error;
  }
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
