import type { RestoreTarget } from "../../domain/restore-target.ts";
import { HoldfastError } from "../../errors.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";

/** Of a source without a log: the newest backup that was whole by the target; or the one that was named. */
export function chooseByTime(view: CopyView, target: RestoreTarget, backup: string | null): StoredManifest {
  requireTime(view.source, target);
  const { backups } = view.listing;
  if (backup !== null) {
    const named = backups.find(({ manifest }) => manifest.id === backup);
    if (named === undefined) throw new HoldfastError("HF-NO-BACKUP", `${view.repository.name} holds no backup ${backup} of ${view.source}`, { hint: "see 'holdfast info'" });
    return named;
  }
  const until = target.kind === "time" ? Number(target.time / 1000n) : Number.POSITIVE_INFINITY;
  const inTime = backups.filter(({ manifest }) => new Date(manifest.stop.at).getTime() <= until).toSorted((a, b) => (a.manifest.stop.at < b.manifest.stop.at ? -1 : 1));
  const newest = inTime.at(-1);
  if (newest !== undefined) return newest;
  if (backups.length === 0) throw new HoldfastError("HF-NO-BACKUP", `${view.repository.name} holds no backup of ${view.source}`, { hint: "take a backup first" });
  throw new HoldfastError("HF-TARGET-UNREACHABLE", `no backup of ${view.source} was whole by then`, { hint: `the oldest ended at ${backups[0]?.manifest.stop.at}` });
}

/** Rejects what only WAL can lead to. */
export function requireTime(source: string, target: RestoreTarget): asserts target is Extract<RestoreTarget, { kind: "latest" | "time" | "immediate" }> {
  if (target.kind !== "latest" && target.kind !== "time" && target.kind !== "immediate")
    throw new HoldfastError("HF-TARGET", `${source} has no WAL, so it is brought back to the end of a backup only`, {
      hint: "--to latest, or a time: then it is the last backup before it",
    });
}
