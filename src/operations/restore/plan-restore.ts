import { formatLsn, parseLsn } from "../../domain/lsn.ts";
import { describeTarget } from "../../domain/restore-target.ts";
import type { RestoreTarget } from "../../domain/restore-target.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { formatMicros, fromDate } from "../../domain/timestamp.ts";
import { HoldfastError } from "../../errors.ts";
import { isCluster } from "../../repository/manifest.ts";
import type { ClusterManifest, StoredManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";
import { resolveTarget } from "./resolve-target.ts";
import type { ResolvedTarget } from "./resolve-target.ts";

export interface RestoreChoice {
  readonly target: RestoreTarget;
  /** A certain backup; null: the newest that leads to the target. */
  readonly backup: string | null;
  readonly timeline: number | "latest" | "current";
  readonly exclusive: boolean;
  readonly acceptGap: boolean;
}

/** What a restore will do, decided before anything is touched. */
export interface RestorePlan {
  readonly view: CopyView;
  readonly stored: StoredManifest<ClusterManifest>;
  readonly history: TimelineHistory;
  readonly target: RestoreTarget;
  readonly resolved: ResolvedTarget;
  readonly bytes: number;
  readonly walBytes: number;
}

export async function planRestore(view: CopyView, choice: RestoreChoice): Promise<RestorePlan> {
  const history = chooseHistory(view, choice);
  const candidates = candidatesFor(view, history, choice);
  let refusal: HoldfastError | null = null;
  for (const stored of candidates) {
    try {
      const resolved = await resolveTarget(view, history, stored.manifest, choice.target, { exclusive: choice.exclusive, acceptGap: choice.acceptGap });
      return { view, stored, history, target: choice.target, resolved, bytes: stored.manifest.sizes.sourceBytes, walBytes: resolved.segments.length * view.place.segmentBytes };
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "HF-TARGET-UNREACHABLE") throw error;
      // The newest candidate says best why a moment cannot be reached; a name may be found from an older one.
      refusal ??= error;
    }
  }
  throw refusal ?? noCandidate(view, history, choice);
}

function chooseHistory(view: CopyView, { timeline, backup }: RestoreChoice): TimelineHistory {
  const of = (number: number): TimelineHistory => {
    const history = view.histories.get(number);
    if (history === undefined)
      throw new HoldfastError("HF-TARGET-UNREACHABLE", `nothing is known of timeline ${number}`, {
        hint: `timelines here: ${[...view.histories.keys(), "none other"].join(", ")}`,
      });
    return history;
  };
  if (typeof timeline === "number") return of(timeline);
  if (timeline === "current") {
    const backups = view.listing.backups.filter(isCluster);
    const stored = backups.find(({ manifest }) => manifest.id === backup) ?? backups.at(-1);
    if (stored !== undefined) return of(stored.manifest.postgres.timeline);
  }
  const newest = view.newestTimeline;
  // A newer timeline that cannot be read is not a reason to restore an older one without a word.
  const unreadable = [...view.damage].find(([number]) => newest === null || number > newest)?.[1];
  if (unreadable !== undefined) throw unreadable;
  if (newest === null) throw new HoldfastError("HF-NO-BACKUP", `${view.repository.name} holds no WAL of ${view.source}`, { hint: "see 'holdfast info'" });
  return of(newest);
}

function candidatesFor(view: CopyView, history: TimelineHistory, choice: RestoreChoice): StoredManifest<ClusterManifest>[] {
  const usable = view.backupsOn(history).toReversed();
  if (choice.backup !== null) {
    const chosen = usable.filter(({ manifest }) => manifest.id === choice.backup);
    if (chosen.length === 0) throw missingBackup(view, history, choice.backup);
    return chosen;
  }
  const { target } = choice;
  // A backup with corrupt pages is the last resort, not the first.
  const clean = [...usable.filter(({ manifest }) => manifest.state === "complete"), ...usable.filter(({ manifest }) => manifest.state !== "complete")];
  if (target.kind === "time") return clean.filter(({ manifest }) => fromDate(new Date(manifest.stop.at)) <= target.time);
  if (target.kind === "lsn") return clean.filter(({ manifest }) => parseLsn(manifest.stop.lsn) <= target.lsn);
  return clean;
}

function missingBackup(view: CopyView, history: TimelineHistory, id: string): HoldfastError {
  const damaged = view.listing.damaged.find(({ object }) => object.includes(id));
  if (damaged !== undefined) return damaged;
  const known = view.listing.backups.some(({ manifest }) => manifest.id === id);
  return new HoldfastError("HF-NO-BACKUP", known ? `${id} is not on the history of timeline ${history.timeline}` : `${view.repository.name} holds no backup ${id}`, {
    hint: known ? "choose its timeline with --timeline" : "see 'holdfast info' for what there is",
  });
}

function noCandidate(view: CopyView, history: TimelineHistory, { target }: RestoreChoice): HoldfastError {
  const [damaged] = view.listing.damaged;
  const oldest = view.backupsOn(history)[0]?.manifest;
  if (oldest === undefined && damaged !== undefined) return damaged;
  if (oldest === undefined)
    return new HoldfastError("HF-NO-BACKUP", `${view.repository.name} holds no backup of ${view.source} on timeline ${history.timeline}`, { hint: "see 'holdfast info'" });
  const from = target.kind === "time" ? formatMicros(fromDate(new Date(oldest.stop.at))) : formatLsn(parseLsn(oldest.stop.lsn));
  return new HoldfastError("HF-TARGET-UNREACHABLE", `${describeTarget(target)} lies before the end of the oldest backup (${from})`, {
    hint: "see 'holdfast info' for the windows that can be reached",
  });
}
