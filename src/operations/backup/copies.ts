import { settledWithin } from "../../clock.ts";
import { BackupCopy } from "../../repository/backup-copies.ts";
import type { OperationContext } from "../context.ts";
import type { Away } from "../installation.ts";
import type { BackupOrder, CopyOutcome } from "./backup-types.ts";
import type { LeasedPlace } from "./prepare-places.ts";

export function leftOut({ name, error }: Away): CopyOutcome {
  return { repository: name, stored: null, storedBytes: 0, error };
}

/** As the request names the copies, whichever way each went. */
export function inOrder({ repositories, away = [] }: BackupOrder, outcomes: readonly CopyOutcome[]): CopyOutcome[] {
  const names = [...repositories, ...away].map(({ name }) => name);
  return outcomes.toSorted((a, b) => names.indexOf(a.repository) - names.indexOf(b.repository));
}

/** The copies of a backup, opened for writing under their leases. */
export async function openCopies(places: readonly LeasedPlace[], source: string, backup: string, context: OperationContext): Promise<BackupCopy[]> {
  return Promise.all(
    places.map(async ({ repository, lease }) => {
      const copy = new BackupCopy(repository, { source, backup, dataKey: await repository.keyRing.sealNew(), clock: context.clock });
      // Whoever took it may be clearing away what we write.
      if (lease.lost.aborted) copy.fail(lease.lost.reason);
      else lease.lost.addEventListener("abort", () => copy.fail(lease.lost.reason), { once: true });
      return copy;
    }),
  );
}

/** What a store that does not answer may keep us waiting for at the end. */
const CLOSE_WITHIN_MS = 5000;

/** What a copy has open is closed by itself, if its store answers in time; else a sweep does it. */
export async function closeCopies(copies: readonly BackupCopy[], { clock }: OperationContext): Promise<void> {
  await settledWithin(
    clock,
    CLOSE_WITHIN_MS,
    copies.map((copy) => copy.abort()),
  );
}
