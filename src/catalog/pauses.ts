import type { Pause } from "../domain/pause.ts";
import type { Catalog, SqlRow } from "./catalog.ts";
import { textOf, textOrNull } from "./catalog.ts";
import type { HistoryEntry } from "./history-entry.ts";

/** Pauses of sources, projected from evidence: `source.paused`, `source.resumed`. */
export interface PauseRecord {
  readonly id: string;
  readonly source: string;
  readonly from: string;
  /** When it ends by itself. */
  readonly until: string;
  readonly reason: string;
  readonly pausedBy: string;
  /** When somebody ended it earlier; null: nobody did. */
  readonly resumedAt: string | null;
  readonly resumedBy: string | null;
}

/** Brings an entry about a pause into the catalog. The first word about an id holds. */
export function applyPauseEntry(catalog: Catalog, { at, kind, facts }: HistoryEntry): void {
  const { id, source, until, reason, by } = facts;
  if (typeof id !== "string") return;
  if (kind === "source.resumed") {
    catalog.run("update pauses set resumed_at = :at, resumed_by = :by where id = :id and resumed_at is null", { id, at, by: typeof by === "string" ? by : null });
    return;
  }
  if (typeof source !== "string" || typeof until !== "string" || typeof reason !== "string") return;
  catalog.run(`insert into pauses (id, source, from_at, until_at, reason, paused_by) values (:id, :source, :at, :until, :reason, :by) on conflict (id) do nothing`, {
    id,
    source,
    at,
    until,
    reason,
    by: typeof by === "string" ? by : "",
  });
}

/** Pauses of all sources that reached into the time since `from`, oldest first. */
export function listPauses(catalog: Catalog, from: Date): PauseRecord[] {
  return catalog.all("select * from pauses where until_at > :from order by from_at, id", { from: from.toISOString() }).map(recordOf);
}

/** The pause that a source is in, or null. Where there are several, the one that lasts longest. */
export function currentPause(catalog: Catalog, source: string, now: Date): PauseRecord | null {
  const at = now.toISOString();
  const [row] = catalog.all("select * from pauses where source = :source and until_at > :at and from_at <= :at and resumed_at is null order by until_at desc limit 1", {
    source,
    at,
  });
  return row === undefined ? null : recordOf(row);
}

/** The pause with an id, over or not, or null. */
export function pauseWithId(catalog: Catalog, id: string): PauseRecord | null {
  const [row] = catalog.all("select * from pauses where id = :id", { id });
  return row === undefined ? null : recordOf(row);
}

/** From when to when a source was really left alone. */
export function stretchOf({ from, until, reason, resumedAt }: PauseRecord): Pause {
  return { from: new Date(from), until: new Date(resumedAt !== null && resumedAt < until ? resumedAt : until), reason };
}

function recordOf(row: SqlRow): PauseRecord {
  return {
    id: textOf(row, "id"),
    source: textOf(row, "source"),
    from: textOf(row, "from_at"),
    until: textOf(row, "until_at"),
    reason: textOf(row, "reason"),
    pausedBy: textOf(row, "paused_by"),
    resumedAt: textOrNull(row, "resumed_at"),
    resumedBy: textOrNull(row, "resumed_by"),
  };
}
