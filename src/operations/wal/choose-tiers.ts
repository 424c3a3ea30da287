import { HoldfastError } from "../../errors.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { Lease } from "../../repository/lease.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy } from "../installation.ts";
import { leaseScopes } from "../source-target.ts";
import { countLacking, fillWal } from "./fill-wal.ts";
import type { WalKeys } from "./wal-keys.ts";

/** Who asks for a stream, and where it may go. */
export interface TierRequest {
  readonly place: WalPlace;
  /** As the policy names them, those that can be reached. */
  readonly repositories: readonly WritableRepository[];
  /** Those that are kept complete, by their id; without it, all. */
  readonly log?: ReadonlySet<string>;
  readonly runId: string;
  /** Whether a stream is known to have ended, though it could not give up its lease. */
  readonly hasEnded?: ((runId: string) => boolean) | undefined;
  /** As of a `LeaseRequest`. */
  readonly wait?: boolean | "own";
}

/** The repositories of a stream: one that decides what is durable, those behind it, and those that should come first and lack too much to do so now. */
export interface Tiers {
  readonly first: WritableRepository;
  readonly lease: Lease;
  readonly behind: readonly WritableRepository[];
  readonly returning: readonly WritableRepository[];
}

/** What a first tier may lack of what another holds: copied in seconds, before the stream begins. */
const FEW_SEGMENTS = 8;

/**
 * The first repository that can be written is the first tier, as the policy orders them: but not one that was away while another held the log, before it has been filled up. For the stream goes
 * on where the first tier ends, and the server keeps nothing that was reported durable elsewhere.
 */
export async function chooseTiers(request: TierRequest, walKeys: WalKeys, context: OperationContext): Promise<Tiers> {
  const returning: WritableRepository[] = [];
  const gone = new Set<WritableRepository>();
  let failure: unknown = null;
  for (const candidate of [...request.repositories, ...request.repositories]) {
    const isLastResort = returning.includes(candidate);
    if (gone.has(candidate)) continue;
    try {
      const others = isOfLog(request, candidate) ? request.repositories.filter((other) => other !== candidate && !gone.has(other) && isOfLog(request, other)) : [];
      if (!isLastResort && (await lacksOf(candidate, others, request.place)) > FEW_SEGMENTS) {
        returning.push(candidate);
        continue;
      }
      const lease = await leaseOn(candidate, request, context);
      try {
        if (!isLastResort) await bringUp(candidate, others, request, walKeys, context);
      } catch (error) {
        await lease.release().catch(() => undefined);
        throw error;
      }
      return {
        first: candidate,
        lease,
        behind: request.repositories.filter((other) => other !== candidate && !returning.includes(other)),
        returning: returning.filter((other) => other !== candidate),
      };
    } catch (error) {
      if (!isOfOneCopy(error)) throw error;
      context.signal.throwIfAborted();
      gone.add(candidate);
      failure ??= error;
      context.onNotice(`WAL does not go to ${candidate.name}: ${error instanceof HoldfastError ? error.message : String(error)}`);
    }
  }
  throw failure;
}

export function isOfLog({ log }: Pick<TierRequest, "log">, { repositoryId }: WritableRepository): boolean {
  return log?.has(repositoryId) ?? true;
}

async function leaseOn(repository: WritableRepository, { place, runId, hasEnded, wait }: TierRequest, context: OperationContext): Promise<Lease> {
  return acquireLease(repository, {
    scope: leaseScopes.wal(place.source),
    runId,
    clock: context.clock,
    signal: context.signal,
    wait: wait ?? false,
    hasEnded,
    onWait: (busy) => context.onNotice(`waiting: ${busy.message}`),
  });
}

/** How many segments a repository lacks of what any of the others holds and can give. One that does not answer has nothing to say. */
async function lacksOf(candidate: WritableRepository, others: readonly WritableRepository[], place: WalPlace): Promise<number> {
  let most = 0;
  for (const other of others.filter(({ keyRing }) => keyRing.canOpenData)) {
    try {
      most = Math.max(most, await countLacking(other, candidate, place));
    } catch (error) {
      if (!isOfOneCopy(error)) throw error;
      // Its own failure shows when it is written.
    }
  }
  return most;
}

/** The beginning of the unfinished segment too: it was reported durable, and the server may send it from its start only. */
async function bringUp(
  to: WritableRepository,
  others: readonly WritableRepository[],
  { place }: TierRequest,
  walKeys: WalKeys,
  { clock, signal, onNotice }: OperationContext,
): Promise<void> {
  for (const from of others.filter(({ keyRing }) => keyRing.canOpenData)) {
    try {
      const { segments } = await fillWal({ from, to, place, walKeys, clock, signal, unfinished: true });
      if (segments > 0) onNotice(`${segments} WAL segments copied from ${from.name} to ${to.name}`);
    } catch (error) {
      if (!isOfOneCopy(error)) throw error;
      onNotice(`WAL cannot be copied from ${from.name} to ${to.name}: ${error instanceof HoldfastError ? error.message : String(error)}`);
    }
  }
}
