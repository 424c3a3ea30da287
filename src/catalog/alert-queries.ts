import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull, timeOrNull, timeValue } from "./catalog.ts";
import { findRun } from "./runs.ts";
import type { Run } from "./runs.ts";

/** What alerts ask of the history, for each source, every few seconds: every query goes along an index and reads few rows. */

interface Kind {
  readonly source: string;
  readonly operation: string;
  /** Null: work that has no types. */
  readonly type: string | null;
}

/** The newest run of a kind that came to an end of its own; one that was cancelled says nothing. */
export function newestEnded(catalog: Catalog, kind: Kind): Run | null {
  return first(
    catalog,
    "select id from runs where source = :source and operation = :operation and type is :type and outcome in ('succeeded', 'failed', 'interrupted') order by started_at desc limit 1",
    kind,
  );
}

/** When expiry last did its work in one copy of a source, among its newest runs; null: in none of them. */
export function lastExpiredIn(catalog: Catalog, { source, repository }: { source: string; repository: string }): string | null {
  const [row] = catalog.all(
    `select max(finished_at) as at from (select finished_at, facts from runs where source = :source and operation = 'expire' order by started_at desc limit ${MOST_EXPIRIES}) as newest
     where exists (select 1 from json_each(newest.facts, '$.repositories') as copy where copy.value ->> '$.repository' = :repository)`,
    { source, repository },
  );
  return row === undefined ? null : timeOrNull(row, "at");
}

/** An expiry every hour that fails four times each: two days. */
const MOST_EXPIRIES = 200;

export interface MissedSlots {
  /** The first of them. */
  readonly slot: string;
  readonly slots: number;
}

/** Slots of a kind that were missed after the last success began; null: none. Of a long series the newest are counted. */
export function missedSinceSuccess(catalog: Catalog, kind: Kind): MissedSlots | null {
  const of = { source: kind.source, operation: kind.operation, type: kind.type };
  const [newest] = catalog.all("select started_at, outcome from runs where source = :source and operation = :operation and type is :type order by started_at desc limit 1", of);
  // The usual case, along the index: the newest record is a success.
  if (newest === undefined || newest["outcome"] === "succeeded") return null;
  const [success] = catalog.all(
    "select started_at from runs where source = :source and operation = :operation and type is :type and outcome = 'succeeded' order by started_at desc limit 1",
    of,
  );
  const [row] = catalog.all(
    `select min(scheduled_for) as slot, sum(slots) as slots from (select scheduled_for, slots from runs where source = :source and operation = :operation and type is :type
     and outcome = 'missed' and started_at >= :after order by started_at desc limit 100)`,
    { ...of, after: success === undefined ? 0 : numberOrNull(success, "started_at") },
  );
  const slot = row === undefined ? null : timeOrNull(row, "slot");
  return row === undefined || slot === null ? null : { slot, slots: numberOrNull(row, "slots") ?? 0 };
}

/** The newest drill that came to an end of its own. */
export function newestEndedDrill(catalog: Catalog, source: string): Run | null {
  return first(catalog, "select id from runs where source = :source and operation = 'drill' and outcome in ('succeeded', 'failed') order by started_at desc limit 1", { source });
}

/** The newest verification that found damage, and those that came to a result since, oldest first. */
export function verificationsSinceDamage(catalog: Catalog, source: string): Run[] {
  const found = first(
    catalog,
    `select id from runs where source = :source and operation = 'verify' and outcome = 'failed' and json_array_length(facts, '$.damage') > 0 order by started_at desc limit 1`,
    { source },
  );
  if (found === null) return [];
  const later = catalog.all(
    "select id from runs where source = :source and operation = 'verify' and outcome = 'succeeded' and started_at > :after order by started_at limit 1000",
    { source, after: timeValue(found.startedAt) },
  );
  return [found, ...later.flatMap((row) => findRun(catalog, textOf(row, "id")) ?? [])];
}

/** When the server of a source last no longer had WAL that was not stored. */
export function walLostAt(catalog: Catalog, source: string): string | null {
  const [row] = catalog.all("select at from wal_losses where source = :source", { source });
  return row === undefined ? null : textOrNull(row, "at");
}

function first(catalog: Catalog, sql: string, values: Kind | { readonly source: string }): Run | null {
  const [row] = catalog.all(sql, { ...values });
  return row === undefined ? null : findRun(catalog, textOf(row, "id"));
}
