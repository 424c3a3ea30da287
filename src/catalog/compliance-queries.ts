import type { Catalog, SqlRow, SqlValue } from "./catalog.ts";
import { numberOrNull, textOf, timeOf, timeOrNull, timeValue } from "./catalog.ts";
import type { ExposureSpan } from "../domain/exposure-spans.ts";
import { readSpans } from "./exposure-spans.ts";
import { readTotals, uncountedSlots } from "./run-totals.ts";
import { findRun, listRuns, openRuns, RUN_COLUMNS, runOf } from "./runs.ts";
import type { Run, RunFilter, RunOutcome } from "./runs.ts";

/** What reports, status and metrics ask of the catalog beyond what commands do. Every query goes along an index: most are asked for each source, again and again. */

/**
 * Every record of a source that belongs to [from, to), oldest first: a run to the time it began, slots that were passed over, and intervals of slots, to the time of the slot.
 * So each record belongs to exactly one of two adjacent periods, but for an interval that reaches over the border.
 */
export function* recordsOfPeriod(catalog: Catalog, period: { source: string; from: string; to: string; operation?: string }): Generator<Run> {
  const kinds = kindsOnRecord(catalog, period.source).filter(({ operation }) => operation === (period.operation ?? operation));
  // So much of one source is in memory at once: a year of frequent work that fails is more than there is room for.
  for (let from = period.from; from < period.to;) {
    const to = earlier(new Date(Date.parse(from) + TOGETHER_MS).toISOString(), period.to);
    const found = kinds.flatMap((kind) => rowsOfPeriod(catalog, { source: period.source, from, to, ...kind }, from === period.from));
    for (const row of found.toSorted(byTime)) yield runOf(row);
    from = to;
  }
}

const TOGETHER_MS = 90 * 86_400_000;

function earlier(a: string, b: string): string {
  return a < b ? a : b;
}

function byTime(a: SqlRow, b: SqlRow): number {
  const number = (row: SqlRow, column: string): number => numberOrNull(row, column) ?? 0;
  const [atA, atB] = [number(a, "at"), number(b, "at")];
  return atA === atB ? number(a, "sequence") - number(b, "sequence") : atA - atB;
}

interface KindOnRecord {
  readonly operation: string;
  readonly type: string | null;
}

/** The kinds of work of a source that anything is on record about. */
export function kindsOnRecord(catalog: Catalog, source: string): KindOnRecord[] {
  const kinds = [...readTotals(catalog, source), ...openRuns(catalog).filter((run) => run.source === source)];
  return [...new Map(kinds.map(({ operation, type }) => [`${operation} ${type}`, { operation, type }])).values()];
}

/** No interval of slots that were done is longer than a day. */
const INTERVAL_MS = 86_400_000;

const IS_PASSED_OVER = "outcome in ('missed', 'superseded', 'skipped')";

/**
 * Two ways into the records, each along an index and no further than the period: runs that began in it, and slots in it. In the first part of a period also intervals that reach into it: of slots that were
 * done, which are no longer than a day, and of what was passed over.
 */
function rowsOfPeriod(catalog: Catalog, period: KindOnRecord & { source: string; from: string; to: string }, isFirst: boolean): SqlRow[] {
  const key = { source: period.source, operation: period.operation, type: period.type };
  const [from, to] = [timeValue(period.from), timeValue(period.to)];
  const inside = catalog.all(
    `select ${RUN_COLUMNS}, started_at as at from runs
       where source = :source and operation = :operation and started_at >= :from and started_at < :to and type is :type and until is null and not ${IS_PASSED_OVER}
     union all
     select ${RUN_COLUMNS}, scheduled_for from runs
       where source = :source and operation = :operation and type is :type and scheduled_for >= :from and scheduled_for < :to and (until is not null or ${IS_PASSED_OVER})`,
    { ...key, from, to },
  );
  if (!isFirst) return inside;
  const reaching = catalog.all(
    `select ${RUN_COLUMNS}, scheduled_for as at from runs
       where source = :source and operation = :operation and type is :type and scheduled_for >= :near and scheduled_for < :from and until is not null and until >= :from
     union all
     select ${RUN_COLUMNS}, scheduled_for from runs
       where source = :source and operation = :operation and ${IS_PASSED_OVER} and scheduled_for < :near and type is :type and until is not null and until >= :from`,
    { ...key, from, near: from - INTERVAL_MS },
  );
  return [...reaching, ...inside];
}

export interface Success {
  readonly operation: string;
  readonly type: string | null;
  readonly startedAt: string;
}

/** Of each kind of work that has succeeded since `from`, when the newest success began. */
export function newestSuccesses(catalog: Catalog, source: string, from: string): Success[] {
  return readTotals(catalog, source)
    .filter(({ outcome, newestAt }) => outcome === "succeeded" && newestAt >= from)
    .map(({ operation, type, newestAt }) => ({ operation, type, startedAt: newestAt }));
}

/** When the first record of a source was made; null: there is none. */
export function firstRecordAt(catalog: Catalog, source: string): string | null {
  const begun = openRuns(catalog).filter((run) => run.source === source);
  const [first] = [...readTotals(catalog, source).map(({ oldestAt }) => oldestAt), ...begun.map(({ startedAt }) => startedAt)].toSorted();
  return first ?? null;
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
export function newestRun(catalog: Catalog, { source, operation, type, outcome }: RunKind): Run | null {
  const ofType = type === null ? "" : "and type = :type";
  const values = { source, operation, ...(type === null ? {} : { type }) };
  const ended =
    outcome === null
      ? catalog.all(`select newest_id as id, newest_at as at from run_totals where source = :source and operation = :operation ${ofType} and not ${IS_PASSED_OVER}`, values)
      : catalog.all(`select newest_id as id, newest_at as at from run_totals where source = :source and operation = :operation ${ofType} and outcome = :outcome`, {
          ...values,
          outcome,
        });
  const isAsked = outcome === null || outcome === "running";
  const begun = isAsked
    ? catalog
        .all(`select id, started_at from runs where outcome = 'running' and source = :source and operation = :operation ${ofType}`, values)
        .map((row) => ({ ...row, at: timeOf(row, "started_at") }))
    : [];
  const [newest] = [...ended, ...begun].toSorted((a, b) => (textOf(a, "at") < textOf(b, "at") ? 1 : -1));
  return newest === undefined ? null : findRun(catalog, textOf(newest, "id"));
}

/** The newest drill that ended, however; and the newest one that came to a result (an inconclusive one does not). */
export function newestDrills(catalog: Catalog, source: string): { readonly ended: Run | null; readonly withResult: Run | null } {
  const newest = (condition: string): Run | null =>
    firstOf(
      catalog,
      `select id from runs where source = :source and operation = 'drill' and outcome <> 'running' and not ${IS_PASSED_OVER} ${condition} order by started_at desc limit 1`,
      { source },
    );
  return { ended: newest(""), withResult: newest("and facts ->> '$.verdict' in ('pass', 'pass_with_warnings', 'fail')") };
}

function firstOf(catalog: Catalog, sql: string, values: Record<string, SqlValue>): Run | null {
  const [row] = catalog.all(sql, values);
  return row === undefined ? null : findRun(catalog, textOf(row, "id"));
}

export interface RunPage extends RunFilter {
  /** Of these sources only; null: of all. */
  readonly sources: readonly string[] | null;
  readonly limit: number;
  readonly offset: number;
}

/** One page of runs, newest first. */
export function pageOfRuns(catalog: Catalog, page: RunPage): Run[] {
  return listRuns(catalog, page);
}

/** An element of a list of copies, as its repository: some operations name it, others describe it. What is neither is of no copy, and no error. */
const REPOSITORY_OF_COPY = "case copy.type when 'object' then copy.value ->> '$.repository' else copy.value end";

/** What failed for copies that were away did its work in the others. */
const ONLY_AWAY = "json_array_length(facts, '$.notReached') > 0";

/** Which copies a run reached, as its figures say it; each operation says it in its own way. */
const REACHED_COPY: Readonly<Record<string, string>> = {
  backup: `exists (select 1 from json_each(facts, '$.copies') copy where ${REPOSITORY_OF_COPY} = :repository and case copy.type when 'object' then copy.value ->> '$.state' end = 'complete')`,
  verify: `(outcome = 'succeeded' or ${ONLY_AWAY} and json_array_length(facts, '$.damage') = 0) and exists (select 1 from json_each(facts, '$.repositories') copy where ${REPOSITORY_OF_COPY} = :repository)`,
  expire: `(outcome = 'succeeded' or ${ONLY_AWAY}) and exists (select 1 from json_each(facts, '$.repositories') copy where ${REPOSITORY_OF_COPY} = :repository)`,
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
  return row === undefined ? null : timeOrNull(row, "finished_at");
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
  const counts = new Map<string, RunCount>();
  const pending = uncountedSlots(catalog).map((slots) => ({ ...slots, outcome: "succeeded" }));
  for (const { source, operation, outcome, count } of [...readTotals(catalog, null), ...pending]) {
    const key = JSON.stringify([source, operation, outcome]);
    counts.set(key, { source, operation, outcome, count: (counts.get(key)?.count ?? 0) + count });
  }
  return [...counts.values()];
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
  return row === undefined ? null : { at: timeOf(row, "at"), seconds: numberOrNull(row, "seconds"), bytes: numberOrNull(row, "bytes") };
}

/** How many samples are in memory at once; a year has more than a million. */
const SAMPLES_AT_ONCE = 10_000;

/** Exposure of one copy in [from, to), in order of time: what was merged of old samples, then samples. */
export function* readSamples(catalog: Catalog, of: { source: string; repository: string; from: string; to: string }): Generator<CopySample | ExposureSpan> {
  yield* readSpans(catalog, of, of.from, of.to);
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
      source: of.source,
      repository: of.repository,
      from: timeValue(of.from),
      to: timeValue(of.to),
      limit: SAMPLES_AT_ONCE,
    })
    .map((row) => ({ at: timeOf(row, "at"), seconds: numberOrNull(row, "seconds"), bytes: numberOrNull(row, "bytes") }));
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
