import type { HoldAction, HoldMark } from "../../domain/hold.ts";
import { HoldfastError } from "../../errors.ts";
import type { SourceConfig } from "../../policy/types.ts";
import { writeHold } from "../../repository/holds.ts";
import { keys } from "../../repository/layout.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { repositoriesOf } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordEntry } from "../record-run.ts";

export interface HoldRequest {
  readonly source: SourceConfig;
  /** Null: the whole source. */
  readonly backup: string | null;
  readonly action: HoldAction;
  readonly reason: string | null;
  /** Who asks for it. */
  readonly by: string;
}

export interface HoldChange {
  readonly source: string;
  readonly backup: string | null;
  readonly action: HoldAction;
  readonly by: string;
  readonly at: string;
  readonly reason: string | null;
  readonly copies: readonly HoldCopy[];
}

interface HoldCopy {
  readonly repository: string;
  /** already: it was so. nothing: there is nothing of the kind to take off. absent: this copy does not hold the backup. failed: it could not be reached, and does not know of it. */
  readonly state: "changed" | "already" | "nothing" | "absent" | "failed";
  readonly error: string | null;
}

/**
 * Says in every copy of a source that a backup (or all of it) is to be kept, or no longer. What lies in a copy binds every host that expires there. It is on record by its own document first,
 * and in the evidence log after that: whoever died between the two runs the command again, which finds it so and puts it on record.
 */
export async function changeHold(installation: Installation, request: HoldRequest, context: OperationContext): Promise<HoldChange> {
  const { source, backup, action, reason, by } = request;
  const mark: HoldMark = { by, at: installation.clock.now().toISOString(), reason };
  const copies: HoldCopy[] = [];
  const written: object[] = [];
  let failure: HoldfastError | null = null;
  for (const name of repositoriesOf(source)) {
    context.signal.throwIfAborted();
    try {
      const repository = await installation.repository(name);
      const { copy, document } = await changeCopy(repository, request, mark, context);
      copies.push(copy);
      if (document !== null) written.push(document);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      failure ??= error;
      copies.push({ repository: name, state: "failed", error: error.message });
    }
  }
  const change = { source: source.name, backup, action, by, at: mark.at, reason, copies };
  if (written.length > 0) {
    await recordEntry(installation.journal, "hold.changed", { ...change, documents: written });
    await installation.journal.copyToRepositories();
  } else if (failure !== null) throw failure;
  if (backup !== null && copies.every(({ state }) => state === "absent"))
    throw new HoldfastError("HF-NO-BACKUP", `there is no backup ${backup} of ${source.name}`, { hint: `see 'holdfast info ${source.name}'` });
  return change;
}

async function changeCopy(
  repository: WritableRepository,
  { source, backup, action }: HoldRequest,
  mark: HoldMark,
  context: OperationContext,
): Promise<{ copy: HoldCopy; document: object | null }> {
  const of = (state: HoldCopy["state"]): HoldCopy => ({ repository: repository.name, state, error: null });
  if (backup !== null && (await repository.store.size(keys.manifest(source.name, backup))) === null) return { copy: of("absent"), document: null };
  const outcome = await writeHold(repository, source.name, { backup, action, mark });
  if (outcome === null) return { copy: of("nothing"), document: null };
  if (action === "pin" || action === "hold") await outliveDeletions(repository, source.name, backup, context);
  const { object, changed } = outcome;
  return { copy: of(changed ? "changed" : "already"), document: { repositoryId: repository.repositoryId, repository: repository.name, object } };
}

/** An expiry looks for holds after its tombstone, and we for tombstones after our document: one that saw us takes its tombstone back within moments. */
const WAIT_MS = 500;
const MOST_WAITS = 20;

async function outliveDeletions(repository: WritableRepository, source: string, backup: string | null, { clock, signal }: OperationContext): Promise<void> {
  const dying = async (): Promise<boolean> =>
    backup === null ? (await repository.store.listNames(keys.tombstones(source))).length > 0 : (await repository.store.size(keys.tombstone(source, backup))) !== null;
  let waits = 0;
  while ((await dying()) && waits++ < MOST_WAITS) await clock.sleep(WAIT_MS, signal);
  if (backup !== null && (await repository.store.size(keys.manifest(source, backup))) === null)
    throw new HoldfastError("HF-NO-BACKUP", `${backup} was being deleted from ${repository.name}, and is gone`, { hint: `see 'holdfast info ${source}'` });
  if (waits > MOST_WAITS)
    throw new HoldfastError("HF-BUSY", `the deletion of ${backup ?? "a backup"} in ${repository.name} has begun and is not over`, {
      hint: "what was asked for is on record, and the next expiry heeds it: look again after it",
    });
}
