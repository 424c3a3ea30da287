import { briefFigures } from "../domain/brief-figures.ts";
import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf, timeOf, timeValue } from "./catalog.ts";

/** Whole figures of a run are in the catalog for this long; what reports count of them, for ever. The evidence keeps the whole. */
const KEEP_WHOLE_DAYS = 30;
/** How many runs are rewritten in one transaction: others want to write too. */
const RUNS_AT_ONCE = 1000;

/** Shortens the figures of old runs. Where it stopped is remembered, so that each run is looked at once. */
export function thinOldFigures(catalog: Catalog, now: Date): void {
  const before = now.getTime() - KEEP_WHOLE_DAYS * 86_400_000;
  while (thinSome(catalog, before));
}

/** True while there is more to do. */
function thinSome(catalog: Catalog, before: number): boolean {
  return catalog.transaction(() => {
    const [mark] = catalog.all("select at from thinned");
    const from = mark === undefined ? -1 : timeValue(textOf(mark, "at"));
    const rows = catalog.all("select id, operation, started_at, facts from runs where started_at > :from and started_at < :before order by started_at limit :limit", {
      from,
      before,
      limit: RUNS_AT_ONCE,
    });
    const last = rows.at(-1);
    if (last === undefined) return false;
    // Runs that began in the same millisecond as the last one come along: the mark is a time.
    const also = catalog.all("select id, operation, started_at, facts from runs where started_at = :at", { at: numberOrNull(last, "started_at") });
    for (const row of [...rows, ...also]) shorten(catalog, row);
    catalog.run("insert into thinned (one, at) values (1, :at) on conflict (one) do update set at = excluded.at", { at: timeOf(last, "started_at") });
    return rows.length === RUNS_AT_ONCE;
  });
}

function shorten(catalog: Catalog, row: Parameters<typeof textOf>[0]): void {
  const facts = textOf(row, "facts");
  const brief = JSON.stringify(briefFigures(textOf(row, "operation"), JSON.parse(facts) as object));
  if (brief.length < facts.length) catalog.run("update runs set facts = :brief where id = :id", { id: textOf(row, "id"), brief });
}
