import type { SourceInfo } from "../domain/source-info.ts";
import type { Catalog } from "./catalog.ts";
import { repositoriesSeen } from "../domain/compliance.ts";
import { textOf, textOrNull } from "./catalog.ts";

/** What was last seen of each source in its repositories, so that answering a question does not mean listing them. */
export interface Snapshot {
  readonly at: string;
  readonly info: SourceInfo;
}

export function saveSnapshot(catalog: Catalog, at: Date, info: SourceInfo): void {
  catalog.run(
    `insert into snapshots (source, at, info, brief) values (:source, :at, :info, :brief)
     on conflict (source) do update set at = excluded.at, info = excluded.info, brief = excluded.brief`,
    { source: info.name, at: at.toISOString(), info: JSON.stringify(info), brief: JSON.stringify(briefOf(info)) },
  );
}

/** What a status asks of a snapshot: the whole is tens of kilobytes for each of a thousand sources. */
export interface SnapshotBrief {
  readonly backups: number;
  readonly damaged: readonly { readonly repository: string; readonly backup: string }[];
  readonly windows: SourceInfo["windows"];
  readonly gaps: SourceInfo["gaps"];
  /** Repositories that could be reached. */
  readonly seen: readonly string[];
  /** Absent in what an older version kept. */
  readonly verification?: SourceInfo["verification"];
}

function briefOf(info: SourceInfo): SnapshotBrief {
  const damaged = info.backups.flatMap(({ id, copies }) => copies.filter(({ state }) => state === "damaged").map(({ repository }) => ({ repository, backup: id })));
  return { backups: info.backups.length, damaged, windows: info.windows, gaps: info.gaps, seen: [...repositoriesSeen(info)], verification: info.verification ?? [] };
}

export function readBrief(catalog: Catalog, source: string): { readonly at: string; readonly brief: SnapshotBrief } | null {
  const [row] = catalog.all("select at, brief from snapshots where source = :source", { source });
  if (row === undefined) return null;
  const brief = textOrNull(row, "brief");
  if (brief !== null) return { at: textOf(row, "at"), brief: JSON.parse(brief) as SnapshotBrief };
  // Written by a version that kept none.
  const whole = readSnapshot(catalog, source);
  return whole === null ? null : { at: whole.at, brief: briefOf(whole.info) };
}

export function readSnapshot(catalog: Catalog, source: string): Snapshot | null {
  const [row] = catalog.all("select at, info from snapshots where source = :source", { source });
  return row === undefined ? null : { at: textOf(row, "at"), info: JSON.parse(textOf(row, "info")) as SourceInfo };
}

/** When each source was last looked at. */
export function observedAt(catalog: Catalog): ReadonlyMap<string, string> {
  return new Map(catalog.all("select source, at from snapshots").map((row) => [textOf(row, "source"), textOf(row, "at")]));
}
