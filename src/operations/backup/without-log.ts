import { stopwatch } from "../../clock.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import type { ParentChoice } from "../../domain/chain.ts";
import { CopiesTogether } from "../../repository/backup-copies.ts";
import type { BackupCopy } from "../../repository/backup-copies.ts";
import { ensureBound } from "../../repository/binding.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import type { OperationContext } from "../context.ts";
import type { Away } from "../installation.ts";
import type { BackUpResult, BackupOrder } from "./backup-types.ts";
import { findWholeParent } from "./choose-parent.ts";
import type { Parent } from "./choose-parent.ts";
import { commitBackup } from "./commit-backup.ts";
import type { MadeBackup, OwnPart } from "./commit-backup.ts";
import { closeCopies, inOrder, leftOut, openCopies } from "./copies.ts";
import { takeLeases } from "./copy-leases.ts";
import { declareBackup, preparePlaces } from "./prepare-places.ts";
import type { LeasedPlace } from "./prepare-places.ts";

/** A backup that is being made, and where it goes. */
export interface Underway {
  readonly id: string;
  readonly type: BackupType;
  readonly parent: Parent;
  readonly together: CopiesTogether;
}

/** What a manifest says of what was packed: as every backup, and by its kind. */
export interface Packed {
  readonly made: MadeBackup;
  readonly own: OwnPart;
}

/** What is different from kind to kind. */
export interface KindSteps {
  readonly bindTo: Parameters<typeof ensureBound>[2];
  chooseParent(backups: readonly StoredManifest[]): ParentChoice;
  pack(underway: Underway, context: OperationContext): Promise<Packed>;
}

/** Takes one backup of a source that has no log, read once and written to every copy, in the order of steps that a cluster's has: lease, parent, intent, data, contents, manifest. */
export async function backUpWithoutLog(request: BackupOrder, steps: KindSteps, context: OperationContext): Promise<BackUpResult> {
  const elapsed = stopwatch(context.clock);
  const source = request.source.name;
  await using leases = await takeLeases(request, context);
  const away: Away[] = [...leases.away];
  const prepared = await preparePlaces(leases, away, request, async (repository) => ensureBound(repository, source, steps.bindTo, context.clock.now()), context);
  const parent = await findWholeParent(prepared, (backups) => steps.chooseParent(backups), context);
  const type = parent.stored === null ? "full" : request.type;
  if (parent.stored === null && request.type !== "full") context.onNotice(`making a full backup instead: ${parent.reason}`);
  const { id, places } = await declareBackup({ type, parent }, prepared, away, request, context);
  const copies = await openCopies(places, source, id, context);
  try {
    const packed = await steps.pack({ id, type, parent, together: new CopiesTogether(copies, context.clock) }, context);
    const outcomes = await Promise.all(copies.map(async (copy, i) => finishCopy(copy, places[i] as LeasedPlace, packed, context)));
    return { id, type, requestedType: request.type, copies: inOrder(request, [...outcomes, ...away.map(leftOut)]), durationSeconds: elapsed() };
  } finally {
    await closeCopies(copies, context);
  }
}

async function finishCopy(copy: BackupCopy, place: LeasedPlace, { made, own }: Packed, context: OperationContext): ReturnType<typeof commitBackup> {
  try {
    await copy.drained();
  } catch (error) {
    context.signal.throwIfAborted();
    copy.fail(error);
  }
  return commitBackup(copy, place, made, own, context);
}
