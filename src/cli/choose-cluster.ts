import type { RestoreTarget } from "../domain/restore-target.ts";
import { toDate } from "../domain/timestamp.ts";
import { HoldfastError } from "../errors.ts";
import type { CopyView } from "../operations/copy-view.ts";
import { formerViews } from "./action.ts";

export interface ClusterChoice {
  readonly target: RestoreTarget;
  readonly backup: string | null;
  /** A system identifier; null: nobody said which. */
  readonly cluster: string | null;
}

/**
 * Of each copy what it holds of the cluster that is meant: the one that was named; else the one that the named backup is of; else, for a time, the one that the source was bound to then; else the one in
 * use. Positions, names and transactions mean nothing in another cluster, so that none of them ever leads into one by itself.
 */
export async function chooseCluster(views: readonly CopyView[], { target, backup, cluster }: ClusterChoice): Promise<readonly CopyView[]> {
  const isHere = backup === null ? target.kind !== "time" : views.some((view) => holds(view, backup));
  if (cluster === null && isHere) return views;
  const former = await formerViews(views);
  if (cluster !== null) {
    const named = [...views, ...former].filter(({ systemIdentifier }) => systemIdentifier === cluster);
    if (named.length > 0) return named;
    const known = [...new Set([...views, ...former].flatMap(({ systemIdentifier }) => systemIdentifier ?? []))];
    throw new HoldfastError("HF-USAGE", `there is nothing of cluster ${cluster}`, { hint: `there is something of: ${known.join(", ")}` });
  }
  if (backup !== null) {
    const ofBackup = former.filter((view) => holds(view, backup));
    return ofBackup.length > 0 ? ofBackup : views;
  }
  const at = target.kind === "time" ? toDate(target.time).getTime() : Number.NaN;
  const then = former.find(({ formerCluster }) => formerCluster !== null && Date.parse(formerCluster.boundAt) <= at && at < Date.parse(formerCluster.until));
  return then === undefined ? views : former.filter(({ systemIdentifier }) => systemIdentifier === then.systemIdentifier);
}

function holds({ listing }: CopyView, backup: string): boolean {
  return listing.backups.some(({ manifest }) => manifest.id === backup);
}
