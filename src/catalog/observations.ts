import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf, timeValue } from "./catalog.ts";

/** What was observed of sources while running: exposure samples and heartbeats. Not evidence; lost with the catalog. Old samples are merged (exposure-spans.ts). */
export interface ExposureSample {
  readonly source: string;
  readonly repository: string;
  readonly at: string;
  /** Null: could not be observed. Never counted as 0. */
  readonly seconds: number | null;
  readonly bytes: number | null;
}

export function recordExposure(catalog: Catalog, sample: ExposureSample): void {
  catalog.run("insert into exposure (source, repository, at, seconds, bytes) values (:source, :repository, :at, :seconds, :bytes) on conflict do nothing", {
    ...sample,
    at: timeValue(sample.at),
  });
}

export interface Heartbeat {
  readonly sequence: number;
  readonly at: string;
  /** Position after its commit. */
  readonly lsn: string;
}

export function recordHeartbeat(catalog: Catalog, source: string, heartbeat: Heartbeat): void {
  catalog.run("insert into heartbeats (source, sequence, at, lsn) values (:source, :sequence, :at, :lsn) on conflict do nothing", { source, ...heartbeat });
  catalog.run("delete from heartbeats where source = :source and sequence < :oldest", { source, oldest: heartbeat.sequence - 100_000 });
}

/** Heartbeats of a source, newest first. */
export function listHeartbeats(catalog: Catalog, source: string, limit: number): Heartbeat[] {
  return catalog
    .all("select sequence, at, lsn from heartbeats where source = :source order by sequence desc limit :limit", { source, limit })
    .map((row) => ({ sequence: numberOrNull(row, "sequence") ?? 0, at: textOf(row, "at"), lsn: textOf(row, "lsn") }));
}
