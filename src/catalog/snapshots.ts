import type { SourceInfo } from "../domain/source-info.ts";
import type { Catalog } from "./catalog.ts";
import { textOf } from "./catalog.ts";

/** What was last seen of each source in its repositories, so that answering a question does not mean listing them. */
export interface Snapshot {
  readonly at: string;
  readonly info: SourceInfo;
}

export function saveSnapshot(catalog: Catalog, at: Date, info: SourceInfo): void {
  catalog.run("insert into snapshots (source, at, info) values (:source, :at, :info) on conflict (source) do update set at = excluded.at, info = excluded.info", {
    source: info.name,
    at: at.toISOString(),
    info: JSON.stringify(info),
  });
}

export function readSnapshot(catalog: Catalog, source: string): Snapshot | null {
  const [row] = catalog.all("select at, info from snapshots where source = :source", { source });
  return row === undefined ? null : { at: textOf(row, "at"), info: JSON.parse(textOf(row, "info")) as SourceInfo };
}
