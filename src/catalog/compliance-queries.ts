import type { Catalog, SqlValue } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import { findRun } from "./runs.ts";
import type { Run, RunOutcome } from "./runs.ts";

/** What reports, status and metrics ask of the catalog beyond what commands do. Every query goes along an index: most are asked for each source, again and again. */

/**
 * Every record of a source that belongs to [from, to), oldest first: a run to the time it began, a slot that was passed over to the time of the slot.
 * So each record belongs to exactly one of two adjacent periods, but for an interval of missed slots that reaches over the border.
 */
export function* recordsOfPeriod(catalog: Catalog, period: { source: string; from: string; to: string }): Generator<Run> {
  const rows = catalog.all(
    `select id from runs where source = :source and case
       when outcome in ('missed', 'superseded') then coalesce(scheduled_for, started_at) < :to and coalesce(until, scheduled_for, started_at) >= :from
       else started_at >= :from and started_at < :to end
     order by case when outcome in ('missed', 'superseded') then coalesce(scheduled_for, started_at) else started_at end, sequence`,
    period,
  );
  for (const row of rows) {
    const run = findRun(catalog, textOf(row, "id"));
    if (run !== null) yield run;
  }
}

export interface Success {
  readonly operation: string;
  readonly type: string | null;
  readonly startedAt: string;
}

/** Of each kind of work that has succeeded since `from`, when the newest success began. */
export function newestSuccesses(catalog: Catalog, source: string, from: string): Success[] {
  return catalog
    .all("select operation, type, max(started_at) as started_at from runs where source = :source and outcome = 'succeeded' and started_at >= :from group by operation, type", {
      source,
      from,
    })
    .map((row) => ({ operation: textOf(row, "operation"), type: textOrNull(row, "type"), startedAt: textOf(row, "started_at") }));
}

/** When the first record of a source was made; null: there is none. */
export function firstRecordAt(catalog: Catalog, source: string): string | null {
  const [row] = catalog.all("select min(started_at) as at from runs where source = :source", { source });
  return row === undefined ? null : textOrNull(row, "at");
}

export interface RunKind {
  readonly source: string;
  readonly operation: string;
  /** Null: of any type, and of none. */
  readonly type: string | null;
  /** Null: however it ended. */
  readonly outcome: RunOutcome | null;
}

/** The newest run of a kind that really began. */
export function newestRun(catalog: Catalog, kind: RunKind): Run | null {
  return firstOf(
    catalog,
    `select id from runs where source = :source and operation = :operation and (:type is null or type = :type)
       and (:outcome is null or outcome = :outcome) and outcome not in ('missed', 'superseded') order by started_at desc limit 1`,
    { ...kind },
  );
}

/** The newest drill that ended, however; and the newest one that came to a result (an inconclusive one does not). */
export function newestDrills(catalog: Catalog, source: string): { readonly ended: Run | null; readonly withResult: Run | null } {
  const newest = (condition: string): Run | null =>
    firstOf(
      catalog,
      `select id from runs where source = :source and operation = 'drill' and outcome not in ('missed', 'superseded', 'running') ${condition} order by started_at desc limit 1`,
      { source },
    );
  return { ended: newest(""), withResult: newest("and facts ->> '$.verdict' in ('pass', 'pass_with_warnings', 'fail')") };
}

function firstOf(catalog: Catalog, sql: string, values: Record<string, SqlValue>): Run | null {
  const [row] = catalog.all(sql, values);
  return row === undefined ? null : findRun(catalog, textOf(row, "id"));
}

export interface RunPage {
  /** Of these sources only; null: of all. */
  readonly sources: readonly string[] | null;
  readonly source: string | null;
  readonly operation: string | null;
  readonly outcome: RunOutcome | null;
  /** Began at or after, and before. */
  readonly from: string | null;
  readonly to: string | null;
  readonly limit: number;
  readonly offset: number;
}

const PAGE_CONDITIONS = {
  sources: "source in (select value from json_each(:sources))",
  source: "source = :source",
  operation: "operation = :operation",
  outcome: "outcome = :outcome",
  from: "started_at >= :from",
  to: "started_at < :to",
} as const;
const PAGE_FILTERS = ["sources", "source", "operation", "outcome", "from", "to"] as const;

/** One page of runs, newest first. Only the conditions that are asked for are in the query, so that an index can serve them. */
export function pageOfRuns(catalog: Catalog, page: RunPage): Run[] {
  const asked = PAGE_FILTERS.filter((filter) => page[filter] !== null);
  const where = asked.length === 0 ? "" : `where ${asked.map((filter) => PAGE_CONDITIONS[filter]).join(" and ")}`;
  const values = Object.fromEntries(asked.map((filter) => [filter, filter === "sources" ? JSON.stringify(page.sources) : page[filter]]));
  const rows = catalog.all(`select id from runs ${where} order by started_at desc, sequence desc limit :limit offset :offset`, {
    ...values,
    limit: page.limit,
    offset: page.offset,
  });
  return rows.flatMap((row) => findRun(catalog, textOf(row, "id")) ?? []);
}

/** An element of a list of copies, as its repository: some operations name it, others describe it. What is neither is of no copy, and no error. */
const REPOSITORY_OF_COPY = "case copy.type when 'object' then copy.value ->> '$.repository' else copy.value end";

/** Which copies a run reached, as its figures say it; each operation says it in its own way. */
const REACHED_COPY: Readonly<Record<string, string>> = {
  backup: `exists (select 1 from json_each(facts, '$.copies') copy where ${REPOSITORY_OF_COPY} = :repository and case copy.type when 'object' then copy.value ->> '$.state' end = 'complete')`,
  verify: `outcome = 'succeeded' and exists (select 1 from json_each(facts, '$.repositories') copy where ${REPOSITORY_OF_COPY} = :repository)`,
  expire: `outcome = 'succeeded' and exists (select 1 from json_each(facts, '$.repositories') copy where ${REPOSITORY_OF_COPY} = :repository)`,
  drill: "outcome = 'succeeded' and facts ->> '$.repository' = :repository",
};

/** When an operation last succeeded for one copy: a backup that one repository has and another lacks is a success for the first. Null: never, or the operation does not say which copies it reached. */
export function lastSuccessOfCopy(catalog: Catalog, kind: { source: string; operation: string; type: string | null; repository: string }): string | null {
  const reached = REACHED_COPY[kind.operation];
  if (reached === undefined) return null;
  const [row] = catalog.all(
    `select finished_at from runs where source = :source and operation = :operation and (:type is null or type = :type) and finished_at is not null and ${reached}
     order by started_at desc limit 1`,
    kind,
  );
  return row === undefined ? null : textOrNull(row, "finished_at");
}

export interface RunCount {
  readonly source: string;
  readonly operation: string;
  readonly outcome: string;
  /** An interval of slots that were missed together counts for each. */
  readonly count: number;
}

/** How often what ended how, over all history. */
export function countRuns(catalog: Catalog): RunCount[] {
  return catalog
    .all("select source, operation, outcome, sum(slots) as count from runs where outcome <> 'running' group by source, operation, outcome")
    .map((row) => ({ source: textOf(row, "source"), operation: textOf(row, "operation"), outcome: textOf(row, "outcome"), count: numberOrNull(row, "count") ?? 0 }));
}

/** How many runs are going on, by operation. */
export function countRunning(catalog: Catalog): [operation: string, count: number][] {
  return catalog
    .all("select operation, count(*) as count from runs where outcome = 'running' group by operation")
    .map((row) => [textOf(row, "operation"), numberOrNull(row, "count") ?? 0]);
}

export interface CopySample {
  readonly at: string;
  readonly seconds: number | null;
  readonly bytes: number | null;
}

/** The newest exposure sample of one copy. */
export function newestSample(catalog: Catalog, source: string, repository: string): CopySample | null {
  const [row] = catalog.all("select at, seconds, bytes from exposure where source = :source and repository = :repository order by at desc limit 1", { source, repository });
  return row === undefined ? null : { at: textOf(row, "at"), seconds: numberOrNull(row, "seconds"), bytes: numberOrNull(row, "bytes") };
}

/** How many samples are in memory at once; a year has more than a million. */
const SAMPLES_AT_ONCE = 10_000;

/** Exposure samples of one copy in [from, to), in order of time. */
export function* readSamples(catalog: Catalog, of: { source: string; repository: string; from: string; to: string }): Generator<CopySample> {
  let rows = readSomeSamples(catalog, of, ">=");
  for (;;) {
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < SAMPLES_AT_ONCE) return;
    rows = readSomeSamples(catalog, { ...of, from: last.at }, ">");
  }
}

function readSomeSamples(catalog: Catalog, of: { source: string; repository: string; from: string; to: string }, beginning: ">=" | ">"): CopySample[] {
  return catalog
    .all(`select at, seconds, bytes from exposure where source = :source and repository = :repository and at ${beginning} :from and at < :to order by at limit :limit`, {
      ...of,
      limit: SAMPLES_AT_ONCE,
    })
    .map((row) => ({ at: textOf(row, "at"), seconds: numberOrNull(row, "seconds"), bytes: numberOrNull(row, "bytes") }));
}

/** Copies of a source that were ever sampled. Steps from one to the next along the index instead of reading all samples. */
export function sampledCopies(catalog: Catalog, source: string): string[] {
  return catalog
    .all(
      `with recursive copies (repository) as (
         select min(repository) from exposure where source = :source
         union all
         select (select min(repository) from exposure where source = :source and repository > copies.repository) from copies where copies.repository is not null
       ) select repository from copies where repository is not null`,
      { source },
    )
    .map((row) => textOf(row, "repository"));
}
