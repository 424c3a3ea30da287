import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf, timeOf, timeOrNull, timeValue } from "./catalog.ts";
import { isoTime } from "../domain/iso-time.ts";
import type { ExposureSpan } from "../domain/exposure-spans.ts";
import { readSpans } from "./exposure-spans.ts";
import { readTotals, uncountedSlots } from "./run-totals.ts";
import { findRun, IS_PASSED_OVER, listRuns, openRuns } from "./runs.ts";
import type { Run, RunFilter, RunOutcome } from "./runs.ts";

/** What reports, status and metrics ask of the catalog beyond what commands do. Every query goes along an index: most are asked for each source, again and again. */

export interface KindOnRecord {
  readonly operation: string;
  readonly type: string | null;
}

/** The kinds of work of a source that anything is on record about. */
export function kindsOnRecord(catalog: Catalog, source: string): KindOnRecord[] {
  const kinds = [...readTotals(catalog, source), ...openRuns(catalog).filter((run) => run.source === source)];
  return [...new Map(kinds.map(({ operation, type }) => [`${operation} ${type}`, { operation, type }])).values()];
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

/** The newest drill that ended, however; and the newest one that came to a result (an inconclusive one does not). Mostly they are one and the same. */
export function newestDrills(catalog: Catalog, source: string): { readonly ended: Run | null; readonly withResult: Run | null } {
  const idOf = (sql: string): string | null => {
    const [row] = catalog.all(sql, { source });
    return row === undefined ? null : textOf(row, "id");
  };
  const [endedId, resultId] = [idOf(NEWEST_DRILL), idOf(NEWEST_RESULT)];
  const ended = endedId === null ? null : findRun(catalog, endedId);
  return { ended, withResult: resultId === endedId ? ended : resultId === null ? null : findRun(catalog, resultId) };
}

const DRILLS = `select id from runs where source = :source and operation = 'drill' and outcome <> 'running' and not ${IS_PASSED_OVER}`;
const NEWEST_DRILL = `${DRILLS} order by started_at desc limit 1`;
const NEWEST_RESULT = `${DRILLS} and facts ->> '$.verdict' in ('pass', 'pass_with_warnings', 'fail') order by started_at desc limit 1`;

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
    .lists(`select at, seconds, bytes from exposure where source = :source and repository = :repository and at ${beginning} :from and at < :to order by at limit :limit`, {
      source: of.source,
      repository: of.repository,
      from: timeValue(of.from),
      to: timeValue(of.to),
      limit: SAMPLES_AT_ONCE,
    })
    .map(([at, seconds, bytes]) => ({ at: isoTime(Number(at)), seconds: typeof seconds === "number" ? seconds : null, bytes: typeof bytes === "number" ? bytes : null }));
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
