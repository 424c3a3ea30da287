import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { DamageError, HoldfastError } from "../errors.ts";
import { readDocument, readNewest, writeDocument } from "./document.ts";
import { baseName, keys } from "./layout.ts";
import { holderSchema, isCertainlyDead, isThisProcess, thisProcess } from "./process-holder.ts";
import type { Holder } from "./process-holder.ts";
import type { Repository, WritableRepository } from "./repository.ts";
import { moveOn, streamPositionSchema } from "./stream-position.ts";
import type { StreamPosition } from "./stream-position.ts";

/**
 * Leases: the only objects that change, and they change by creating the next epoch, which only one process can (docs/repository-format.md section 9).
 * Nobody's wall clock is believed: a lease ends when released, when its holder is certainly dead, or when it was seen unchanged for its whole time to live.
 */
const LEASE_TTL_SECONDS = 60;
const RELEASE_ATTEMPTS = 3;
const RELEASE_RETRY_MS = 500;

const leaseSchema = z.object({
  epoch: z.number(),
  state: z.enum(["held", "released"]),
  holder: holderSchema,
  runId: z.string(),
  /** What for, where that is not what the scope says. Who waits for it may have something better to do. */
  purpose: z.literal("copy").optional(),
  acquiredAt: z.string(),
  ttlSeconds: z.number().positive().max(3600),
  /** Of a WAL stream. */
  position: streamPositionSchema.nullable(),
});
export type LeaseState = z.infer<typeof leaseSchema>;

export interface Lease {
  readonly epoch: number;
  /** What was last noted, by this holder or by the one before. */
  readonly position: StreamPosition | null;
  /** Aborted when the lease was lost to somebody else, or could not be renewed in time. */
  readonly lost: AbortSignal;
  /** Rejects unless this lease is still the newest. Called before anything is made visible. */
  assertHeld(): Promise<void>;
  /** Renews now, with a new position. Where it is on another timeline, the one before is remembered as left. */
  note(position: Omit<StreamPosition, "left">): Promise<void>;
  /** As `note`, but written down with the next renewal, or with the release: for who is about to end. */
  remember(position: Omit<StreamPosition, "left">): void;
  release(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface LeaseRequest {
  readonly scope: string;
  readonly runId: string;
  readonly purpose?: "copy";
  readonly clock: Clock;
  /**
   * Waits for a holder that lives instead of refusing. `own`: waits only where the holder is this very process, and only to see whether anybody in it still renews the lease. One that could not be given
   * up, because the repository was away, would else be held for as long as the process lives.
   */
  readonly wait?: boolean | "own";
  /** Whether whoever took a lease for a run is known to hold it no more, though it could not say so: the repository was away. */
  readonly hasEnded?: ((runId: string) => boolean) | undefined;
  /** Called once with whom we wait for. */
  readonly onWait?: (busy: HoldfastError) => void;
  readonly signal?: AbortSignal;
}

/** Takes a lease, or rejects with `HF-BUSY` naming the run that holds it. */
export async function acquireLease(repository: WritableRepository, request: LeaseRequest): Promise<Lease> {
  for (;;) {
    const newest = await waitUntilFree(repository, request, await newestLease(repository, request.scope));
    const epoch = (newest?.epoch ?? 0) + 1;
    const position = newest?.state?.position ?? null;
    const older = await renewAs(repository, request, epoch, position);
    if (older !== null) return new HeldLease(repository, request, { epoch, position, older });
  }
}

/** The newest lease of a scope: for looking, not for taking. Null where there never was one, or it cannot be read. */
export async function readLease(repository: Repository, scope: string): Promise<(LeaseState & { signer: string }) | null> {
  const newest = await newestLease(repository, scope);
  return newest?.state ?? null;
}

function isLive(state: LeaseState, { hasEnded }: LeaseRequest): boolean {
  return state.state === "held" && !isCertainlyDead(state.holder) && hasEnded?.(state.runId) !== true;
}

interface NewestLease {
  readonly epoch: number;
  /** Null where the document is damaged. */
  readonly state: (LeaseState & { signer: string }) | null;
}

async function newestLease(repository: Repository, scope: string): Promise<NewestLease | null> {
  try {
    const document = await readNewest(repository, keys.leases(scope), "lease", leaseSchema);
    return document === null ? null : { epoch: Number(baseName(document.key)), state: { ...document.payload, signer: document.signer } };
  } catch (error) {
    if (error instanceof DamageError) return { epoch: Number(baseName(error.object)), state: null };
    throw error;
  }
}

/** Returns the lease that is over: the epoch after it is free to be taken, unless somebody was faster. */
async function waitUntilFree(repository: WritableRepository, request: LeaseRequest, newest: NewestLease | null): Promise<NewestLease | null> {
  const state = newest?.state ?? null;
  if (newest === null || isOver(state, request)) return newest;
  if (state !== null && !mayWait(request, state)) throw busy(request.scope, state);
  if (state !== null) request.onWait?.(busy(request.scope, state));
  const ttlMs = (state?.ttlSeconds ?? LEASE_TTL_SECONDS) * 1000;
  const since = request.clock.monotonicMs();
  while (request.clock.monotonicMs() - since < ttlMs) {
    await request.clock.sleep(Math.min(1000, ttlMs / 4), request.signal);
    const now = await newestLease(repository, request.scope);
    if (now?.epoch === newest.epoch && !isOver(now.state, request)) continue;
    refuseRenewed(request, now);
    return waitUntilFree(repository, { ...request, onWait: () => undefined }, now);
  }
  return newest;
}

/** One that cannot be read is not known to be. */
function isOver(state: LeaseState | null, request: LeaseRequest): boolean {
  return state !== null && !isLive(state, request);
}

/** Who waits only to see whether his own is renewed has seen it. */
function refuseRenewed(request: LeaseRequest, now: NewestLease | null): void {
  const state = now?.state ?? null;
  if (request.wait === "own" && state !== null && isLive(state, request)) throw busy(request.scope, state);
}

function mayWait({ wait }: LeaseRequest, { holder }: LeaseState): boolean {
  return wait === true || (wait === "own" && isThisProcess(holder));
}

function busy(scope: string, state: LeaseState): HoldfastError {
  return new HoldfastError("HF-BUSY", `${scope} is held by run ${state.runId} (process ${state.holder.pid} on ${state.holder.host}, since ${state.acquiredAt})`, {
    hint: `wait for it with --wait; if that machine is gone, the lease ends ${state.ttlSeconds} s after somebody starts to wait`,
    facts: { runId: state.runId, holder: state.holder, purpose: state.purpose ?? null },
  });
}

/** Creates the epoch that says that we hold the lease. Null where another process was faster; else the keys of the epochs before it: they mean nothing any more. */
async function renewAs(repository: WritableRepository, request: LeaseRequest, epoch: number, position: StreamPosition | null): Promise<readonly string[] | null> {
  if (!(await createEpoch(repository, request, epoch, "held", position))) return null;
  const names = await listOrUndo(repository, request.scope, epoch);
  // Older epochs are deleted, so that one somebody read of long ago is free to be created again, and means nothing: only the highest counts.
  if (names.some((name) => epochOf(name) > epoch)) {
    await repository.store.remove([keys.lease(request.scope, epoch)]);
    return null;
  }
  return names.filter((name) => epochOf(name) < epoch).map((name) => keys.leases(request.scope) + name);
}

function epochOf(name: string): number {
  return Number(baseName(name));
}

/** False where another process was faster. An answer that was lost on its way leaves an epoch that is there: it is ours if it says what we wrote. */
async function createEpoch(repository: WritableRepository, request: LeaseRequest, epoch: number, state: LeaseState["state"], position: StreamPosition | null): Promise<boolean> {
  const key = keys.lease(request.scope, epoch);
  const payload: LeaseState = {
    epoch,
    state,
    holder: holderOf(repository),
    runId: request.runId,
    ...(request.purpose === undefined ? {} : { purpose: request.purpose }),
    acquiredAt: request.clock.now().toISOString(),
    ttlSeconds: LEASE_TTL_SECONDS,
    position,
  };
  try {
    return (await writeDocument(repository, key, "lease", payload, repository.signer)) === "created";
  } catch (error) {
    const found = await readDocument(repository, key, "lease", leaseSchema).catch(() => null);
    if (found?.signer === repository.signer.fingerprint && isDeepStrictEqual(found.payload, payload)) return true;
    throw error;
  }
}

/** An epoch that was made and that its maker then gives up would be held by nobody, for as long as the process lives: so it is taken back. */
async function listOrUndo(repository: WritableRepository, scope: string, epoch: number): Promise<string[]> {
  try {
    return await repository.store.listNames(keys.leases(scope));
  } catch (error) {
    await repository.store.remove([keys.lease(scope, epoch)]).catch(() => undefined);
    throw error;
  }
}

function holderOf(repository: WritableRepository): Holder {
  return thisProcess(repository.hosts.find((host) => host.fingerprint === repository.signer.fingerprint)?.name ?? "this host");
}

/** Keeps a lease alive with a timer until it is released. One renewal at a time; all changes go through one queue. */
class HeldLease implements Lease {
  readonly #repository: WritableRepository;
  readonly #request: LeaseRequest;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #epoch: number;
  #position: StreamPosition | null;
  #isReleased = false;
  #renewedMs: number;
  #queue: Promise<void> = Promise.resolve();
  /** Older epochs on their way out. Nobody waits for that but the next change: where they stay, the epoch after takes them along. */
  #clearing: Promise<unknown> = Promise.resolve();

  constructor(repository: WritableRepository, request: LeaseRequest, first: { epoch: number; position: StreamPosition | null; older: readonly string[] }) {
    this.#repository = repository;
    this.#request = request;
    this.#epoch = first.epoch;
    this.#position = first.position;
    this.#renewedMs = request.clock.monotonicMs();
    this.#clear(first.older);
    this.#timer = setInterval(() => {
      this.#renew().catch(() => {
        // The store does not answer. Others may take the lease when its time is over, so that is when we stop counting on it.
        if (request.clock.monotonicMs() - this.#renewedMs > LEASE_TTL_SECONDS * 750) this.#lost.abort(lostError(request.scope));
      });
    }, LEASE_TTL_SECONDS * 333);
    this.#timer.unref();
  }

  get epoch(): number {
    return this.#epoch;
  }

  get position(): StreamPosition | null {
    return this.#position;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async assertHeld(): Promise<void> {
    await this.#queue;
    this.lost.throwIfAborted();
    const { scope } = this.#request;
    const newest = (await this.#repository.store.listNames(keys.leases(scope))).at(-1);
    if (newest === undefined || epochOf(newest) !== this.#epoch) throw lostError(scope);
  }

  async note(position: Omit<StreamPosition, "left">): Promise<void> {
    this.remember(position);
    return this.#renew();
  }

  remember(position: Omit<StreamPosition, "left">): void {
    this.#position = moveOn(this.#position, position);
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    // What is not released is held for as long as this process lives, though nobody holds it: a store that does not answer is asked again.
    for (let attempt = 1; ; attempt++)
      try {
        await this.#giveUp();
        return void (await this.#clearing);
      } catch (error) {
        if (attempt === RELEASE_ATTEMPTS) throw error;
        await this.#request.clock.sleep(RELEASE_RETRY_MS);
      }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #renew(): Promise<void> {
    return this.#advance((epoch) => renewAs(this.#repository, this.#request, epoch, this.#position));
  }

  /** Whether somebody holds a later epoch need not be looked at: below it, this one means nothing. */
  #giveUp(): Promise<void> {
    return this.#advance(async (epoch) => {
      if (!(await createEpoch(this.#repository, this.#request, epoch, "released", this.#position))) return null;
      this.#isReleased = true;
      return [keys.lease(this.#request.scope, epoch - 1)];
    });
  }

  /** Makes the next epoch; `act` answers with what is older than it, or null where another process was faster. */
  #advance(act: (epoch: number) => Promise<readonly string[] | null>): Promise<void> {
    const next = this.#queue.then(async () => {
      if (this.#isReleased || this.lost.aborted) return;
      await this.#clearing;
      const older = await act(this.#epoch + 1);
      if (older === null) return this.#lost.abort(lostError(this.#request.scope));
      this.#epoch++;
      this.#renewedMs = this.#request.clock.monotonicMs();
      this.#clear(older);
    });
    this.#queue = next.catch(() => undefined);
    return next;
  }

  #clear(older: readonly string[]): void {
    if (older.length > 0) this.#clearing = this.#repository.store.remove(older).catch(() => undefined);
  }
}

function lostError(scope: string): HoldfastError {
  return new HoldfastError("HF-BUSY", `the lease on ${scope} was lost to another process`, { hint: "this run was stopped so that two do not write at once; see who is running" });
}
