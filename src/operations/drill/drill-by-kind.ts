import { fromDate, micros } from "../../domain/timestamp.ts";
import type { Manifest } from "../../repository/manifest.ts";
import type { OperationContext } from "../context.ts";
import type { CopyView } from "../copy-view.ts";
import { drill } from "./drill.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { fraction, selectRecoveryPoint } from "./drill-select.ts";
import type { DrillSelection } from "./drill-select.ts";
import { drillDumps } from "./drill-dumps.ts";
import { drillTree } from "./drill-tree.ts";

/** A drill of what the copy holds. What kinds of source there are is asked here, and nowhere below. */
export async function drillByKind(request: DrillRequest, context: OperationContext): Promise<DrillResult> {
  switch (request.view.kind) {
    case "postgres":
      return drill(request, context);
    case "postgres-logical":
      return drillDumps(request, context);
    case "files":
      return drillTree(request, context);
  }
}

export function selectByKind(view: CopyView, selection: DrillSelection, seed: string, now: Date): Pick<DrillRequest, "target" | "backup"> {
  return view.kind === "postgres" ? selectRecoveryPoint(view, selection, seed) : selectBackup(view, selection, seed, now);
}

/** Of a source without a log every backup is a point by itself, and a moment is that of the last backup before it. */
function selectBackup(view: CopyView, selection: DrillSelection, seed: string, now: Date): Pick<DrillRequest, "target" | "backup"> {
  const backups = view.listing.backups.map(({ manifest }) => manifest).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const [oldest] = backups;
  if (oldest === undefined || selection === "latest") return { target: { kind: "latest" }, backup: null };
  if (selection === "oldest") return { target: { kind: "latest" }, backup: oldest.id };
  if (selection === "worst-case") return { target: { kind: "latest" }, backup: longestChain(backups).id };
  if (selection === "random") return { target: { kind: "latest" }, backup: (backups[Math.floor(fraction(seed, "backup") * backups.length)] ?? oldest).id };
  const from = fromDate(new Date(oldest.stop.at));
  const until = fromDate(now);
  return { target: { kind: "time", time: micros(from + BigInt(Math.floor(fraction(seed, "time") * Number(until - from)))) }, backup: null };
}

/** The one that lies in most ancestors; of those the newest. */
function longestChain(backups: readonly Manifest[]): Manifest {
  return backups.reduce((best, backup) => (backup.ancestors.length >= best.ancestors.length ? backup : best));
}
