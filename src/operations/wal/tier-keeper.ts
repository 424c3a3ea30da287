import type { Clock } from "../../clock.ts";
import { settledWithin } from "../../clock.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import { leaseScopes } from "../source-target.ts";
import { fillWal } from "./fill-wal.ts";
import type { TierQueue } from "./tier-queue.ts";
import type { WalKeys } from "./wal-keys.ts";

/** A repository of the log that the stream runs without, and how to reach it. */
export interface AwayTier {
  readonly name: string;
  open(): Promise<WritableRepository>;
}

export interface KeeperTask {
  readonly first: WritableRepository;
  /** Those that are kept complete. */
  readonly behind: readonly TierQueue[];
  readonly away: readonly AwayTier[];
  readonly place: WalPlace;
  readonly runId: string;
  /** As of a `TierRequest`. */
  readonly hasEnded?: ((runId: string) => boolean) | undefined;
  readonly walKeys: WalKeys;
  readonly clock: Clock;
  readonly onNotice: (notice: string) => void;
  /** One that was away is back, and lacks nothing to speak of: the stream is to begin again with it. */
  readonly onReturn: () => void;
  /** Two histories under one name: the stream must end. */
  readonly onDiverged: (error: HoldfastError) => void;
}

const LOOK_EVERY_MS = 1000;
/** One that is away is asked for little, and for that often: it is to come back soon after it answers again. */
const RETRY_MS = { first: 5000, most: 10_000 } as const;
const STOP_WITHIN_MS = 3000;

/** Fills up, beside a stream, the repositories that lag behind its first tier, each by itself; and waits for those that are away. */
export class TierKeeper implements AsyncDisposable {
  readonly #task: KeeperTask;
  readonly #stopper = new AbortController();
  readonly #loops: Promise<void>[];

  constructor(task: KeeperTask) {
    this.#task = task;
    this.#loops = [
      ...task.behind.map((tier) =>
        this.#repeat(
          tier.repository.name,
          () => tier.isLagging,
          () => this.#fill(tier),
        ),
      ),
      ...task.away.map((tier) =>
        this.#repeat(
          tier.name,
          () => true,
          () => this.#return(tier),
        ),
      ),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopper.abort(new HoldfastError("HF-INTERRUPTED", "the WAL stream was stopped"));
    await settledWithin(this.#task.clock, STOP_WITHIN_MS, this.#loops);
  }

  /** Acts whenever it is needed; after a failure ever more slowly. */
  async #repeat(name: string, isNeeded: () => boolean, act: () => Promise<void>): Promise<void> {
    const { clock, onNotice, onDiverged } = this.#task;
    const { signal } = this.#stopper;
    let delayMs = 0;
    let told = "";
    while (!signal.aborted) {
      try {
        if (isNeeded()) await act();
        [delayMs, told] = [LOOK_EVERY_MS, ""];
      } catch (error) {
        if (this.#isStopped) return;
        if (error instanceof HoldfastError && error.code === "HF-DIVERGED") return onDiverged(error);
        delayMs = Math.min(RETRY_MS.most, Math.max(RETRY_MS.first, delayMs * 2));
        if (told !== messageOf(error)) onNotice(`${name} lacks WAL, and cannot be filled up now: ${messageOf(error)}`);
        told = messageOf(error);
      }
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  /** Asked anew: it may have happened while we waited. */
  get #isStopped(): boolean {
    return this.#stopper.signal.aborted;
  }

  async #fill(tier: TierQueue): Promise<void> {
    const { first, onNotice } = this.#task;
    // A host that only writes cannot copy: what comes from now on is there, and what is missing is for one that holds the key.
    const before = first.keyRing.canOpenData ? await this.#copy(tier.repository) : 0;
    tier.resume();
    // What was complete before it was handed anything again.
    const after = first.keyRing.canOpenData ? await this.#copy(tier.repository) : 0;
    if (before + after > 0) onNotice(`${tier.repository.name} has caught up: ${before + after} WAL segments copied from ${first.name}`);
  }

  async #return(tier: AwayTier): Promise<void> {
    const { first, onReturn } = this.#task;
    const repository = await tier.open();
    await this.#awaitLease(repository);
    if (first.keyRing.canOpenData) await this.#copy(repository);
    onReturn();
  }

  /** What held it when it was lost may not have been able to say so. Of a stream of our own we know that it ended; another's lease has to run out, and the stream goes on meanwhile. */
  async #awaitLease(repository: WritableRepository): Promise<void> {
    const { place, runId, hasEnded, clock } = this.#task;
    const lease = await acquireLease(repository, {
      scope: leaseScopes.wal(place.source),
      runId,
      clock,
      wait: true,
      hasEnded,
      signal: this.#stopper.signal,
    });
    await lease.release();
  }

  async #copy(to: WritableRepository): Promise<number> {
    const { first: from, place, walKeys, clock } = this.#task;
    const { segments } = await fillWal({ from, to, place, walKeys, clock, signal: this.#stopper.signal, unfinished: false });
    return segments;
  }
}
