import { createHash } from "node:crypto";
import { parseLsn } from "../../domain/lsn.ts";
import type { RestoreTarget } from "../../domain/restore-target.ts";
import { fromDate, micros } from "../../domain/timestamp.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { HoldfastError } from "../../errors.ts";
import type { ClusterManifest } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";

export const DRILL_SELECTIONS = ["latest", "random", "random-time", "oldest", "worst-case"] as const;
export type DrillSelection = (typeof DRILL_SELECTIONS)[number];

/** What a drill restores, and out of how many it was chosen. */
export interface DrillChoice {
  readonly target: RestoreTarget;
  readonly backup: string | null;
  readonly population: number;
}

/** Chooses the recovery point. All chance comes from the seed, which was put on record before, so that nobody can pick a point that flatters. */
export function selectRecoveryPoint(view: CopyView, selection: DrillSelection, seed: string): DrillChoice {
  const newest = view.newestTimeline;
  const history = newest === null ? undefined : view.histories.get(newest);
  const backups = history === undefined ? [] : view.backupsOn(history).map(({ manifest }) => manifest);
  const [oldest] = backups;
  const last = backups.at(-1);
  if (history === undefined || oldest === undefined || last === undefined)
    throw new HoldfastError("HF-NO-BACKUP", `there is no backup of ${view.source} to drill`, { hint: "take one first: holdfast backup" });
  const population = backups.length;
  switch (selection) {
    case "latest":
      return { target: { kind: "latest" }, backup: null, population };
    case "oldest":
      return { target: { kind: "immediate" }, backup: oldest.id, population };
    case "random":
      return { target: { kind: "immediate" }, backup: backups[Math.floor(fraction(seed, "backup") * backups.length)]?.id ?? last.id, population };
    case "random-time":
      return { target: { kind: "time", time: randomTime(backups, view, seed) }, backup: null, population };
    case "worst-case":
      return { ...worstCase(backups), population };
  }
}

/** A number in [0, 1) that follows from the seed and a purpose. */
export function fraction(seed: string, purpose: string): number {
  return createHash("sha256").update(`${seed}/${purpose}`).digest().readUInt32BE(0) / 2 ** 32;
}

/** Any moment between the end of the oldest backup that leads without a gap to the newest, and what is covered. */
function randomTime(backups: readonly ClusterManifest[], view: CopyView, seed: string): Micros {
  const timeline = view.newestTimeline;
  const history = timeline === null ? undefined : view.histories.get(timeline);
  const last = backups.at(-1);
  const first = history === undefined ? last : backups.find((backup) => last !== undefined && view.reach(history, parseLsn(backup.start.lsn)).end >= parseLsn(last.stop.lsn));
  const from = fromDate(new Date((first ?? last)?.stop.at ?? 0));
  const covered = history === undefined || first === undefined ? null : view.coveredUntil(history, view.reach(history, parseLsn(first.start.lsn)).end);
  const to = covered ?? fromDate(new Date(last?.stop.at ?? 0));
  return to <= from ? from : micros(from + BigInt(Math.floor(fraction(seed, "time") * Number(to - from))));
}

/** The end of the longest chain: just before the newest full after which there is one, else the latest. */
function worstCase(backups: readonly ClusterManifest[]): Omit<DrillChoice, "population"> {
  const fulls = backups.filter((backup) => backup.type === "full");
  const newest = fulls.at(-1);
  const before = backups.findLast((backup) => newest !== undefined && backup.stop.at < newest.start.at);
  if (newest === undefined || before === undefined) return { target: { kind: "latest" }, backup: null };
  return { target: { kind: "lsn", lsn: parseLsn(newest.start.lsn) }, backup: before.id };
}
