import { settledWithin } from "../../clock.ts";
import { HoldfastError } from "../../errors.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { Lease } from "../../repository/lease.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy } from "../installation.ts";
import type { Away } from "../installation.ts";
import { leaseScopes } from "../source-target.ts";
import type { BackupOrder } from "./backup-types.ts";

/** The repositories that a backup may write in now, each with its lease, and those it may not. */
export interface HeldLeases extends AsyncDisposable {
  readonly held: readonly { readonly repository: WritableRepository; readonly lease: Lease }[];
  readonly away: readonly Away[];
}

/** A store that does not answer keeps nobody waiting for longer: its lease ends by itself. */
const RELEASE_WITHIN_MS = 5000;

/**
 * Takes the lease of each copy. One that is away, or is just being filled up by copying, is left out. Where another backup (or an expiry) is at work, all of it is refused: two backups that
 * take a copy each would be two halves.
 */
export async function takeLeases(request: BackupOrder, context: OperationContext): Promise<HeldLeases> {
  const held: { repository: WritableRepository; lease: Lease }[] = [];
  const away: Away[] = [...(request.away ?? [])];
  const release = async (): Promise<void> =>
    void (await settledWithin(
      context.clock,
      RELEASE_WITHIN_MS,
      held.map(({ lease }) => lease.release()),
    ));
  try {
    for (const repository of request.repositories) {
      try {
        held.push({ repository, lease: await leaseOf(repository, request, context) });
      } catch (error) {
        context.signal.throwIfAborted();
        if (!(error instanceof HoldfastError) || !(isOfOneCopy(error) || isBeingFilled(error))) throw error;
        away.push({ name: repository.name, error });
      }
    }
    const [first] = away;
    if (held.length === 0 && first !== undefined) throw first.error;
  } catch (error) {
    await release();
    throw error;
  }
  return { held, away, [Symbol.asyncDispose]: release };
}

/** Waits for others if that was asked for, but not for a copy that is being filled up: that may take hours, and this backup will be copied too. */
async function leaseOf(repository: WritableRepository, { source, runId, wait, repositories }: BackupOrder, context: OperationContext): Promise<Lease> {
  const asked = { scope: leaseScopes.backup(source.name), runId, clock: context.clock, signal: context.signal };
  try {
    return await acquireLease(repository, asked);
  } catch (error) {
    if (wait !== true || !(error instanceof HoldfastError) || error.code !== "HF-BUSY" || (isBeingFilled(error) && repositories.length > 1)) throw error;
    return acquireLease(repository, { ...asked, wait: true });
  }
}

function isBeingFilled(error: HoldfastError): boolean {
  return error.code === "HF-BUSY" && error.facts["purpose"] === "copy";
}
