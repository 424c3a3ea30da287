import type { RunFacts } from "../domain/control-population.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Catalog, SqlRow, SqlValue } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull, timeOf, timeOrNull, timeValue } from "./catalog.ts";
import { readTotals } from "./run-totals.ts";
import { parseSchedule, SCHEDULE_TEXT } from "./schedules.ts";

/** History of runs, projected from evidence entries: `run.started`, `run.finished`, `run.missed`, and `run.slots` (slot-intervals.ts). */
export const OUTCOMES = ["running", "succeeded", "failed", "cancelled", "interrupted", "missed", "superseded", "skipped"] as const;
export type RunOutcome = (typeof OUTCOMES)[number];

/** In SQL about runs. */
export const IS_PASSED_OVER = "outcome in ('missed', 'superseded', 'skipped')";

export interface Run extends RunFacts {
  readonly outcome: RunOutcome;
  /** 1, and more where it failed for its slot before. */
  readonly attempt: number;
  /** Of its slot, where it is known. */
  readonly schedule: Schedule | null;
  /** Who runs it, as JSON; null once it ended. */
  readonly holder: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Null, and what is left out: any. */
export interface RunFilter {
  readonly sources?: readonly string[] | null;
  readonly source?: string | null;
  readonly operation?: string | null;
  readonly outcome?: RunOutcome | null;
  /** Started at or after, and before. */
  readonly from?: string | null;
  readonly to?: string | null;
  readonly limit?: number;
  readonly offset?: number;
}

const CONDITIONS = {
  sources: "source in (select value from json_each(:sources))",
  source: "source = :source",
  operation: "operation = :operation",
  outcome: "outcome = :outcome",
  from: "started_at >= :from",
  to: "started_at < :to",
} as const;
const FILTERS = ["sources", "source", "operation", "outcome", "from", "to"] as const;

/** Of a schedule a run has the number. */
const RUN_COLUMNS = `runs.*, ${SCHEDULE_TEXT} as schedule_text`;

/** Runs that match, newest first. Only the conditions that are asked for are in the query, so that an index can serve them. */
export function listRuns(catalog: Catalog, filter: RunFilter = {}): Run[] {
  const asked = FILTERS.flatMap((name): { name: (typeof FILTERS)[number]; value: SqlValue }[] => {
    const value = filter[name];
    if (value === undefined || value === null) return [];
    if (name === "from" || name === "to") return [{ name, value: timeValue(filter[name] ?? "") }];
    return [{ name, value: typeof value === "string" ? value : JSON.stringify(value) }];
  });
  const where = asked.length === 0 ? "" : `where ${asked.map(({ name }) => CONDITIONS[name]).join(" and ")}`;
  const rows = catalog.all(`select ${RUN_COLUMNS} from runs ${where} order by started_at desc, sequence desc limit :limit offset :offset`, {
    ...Object.fromEntries(asked.map(({ name, value }) => [name, value])),
    limit: filter.limit ?? 1000,
    offset: filter.offset ?? 0,
  });
  return rows.map(runOf);
}

export function findRun(catalog: Catalog, id: string): Run | null {
  const [row] = catalog.all(FIND, { id });
  return row === undefined ? null : runOf(row);
}

/** Made once: a text that is put together at each call is hashed and compared at each call, to find its statement. */
const FIND = `select ${RUN_COLUMNS} from runs where id = :id`;

/** The newest slot of a kind of work that was dealt with in some way, and the newest record about it. */
export interface NewestSlot {
  readonly slot: Date;
  readonly outcome: RunOutcome;
  readonly attempt: number;
  /** Whether what made it fail may pass. */
  readonly retryable: boolean;
  readonly endedAt: Date | null;
}

/** `before`: slots from then on are left out (a clock that was wrong may have left some in the future). Null: none was dealt with. */
export function newestSlot(catalog: Catalog, kind: { source: string; operation: string; type: string | null }, before: Date): NewestSlot | null {
  // Along the index of slots, from its end; a few, as an interval may reach beyond what begins after it.
  const rows = catalog.all(
    `select scheduled_for, until, outcome, attempt, retryable, finished_at from runs
     where source = :source and operation = :operation and type is :type and scheduled_for < :before order by scheduled_for desc, started_at desc, sequence desc limit 4`,
    { source: kind.source, operation: kind.operation, type: kind.type, before: before.getTime() },
  );
  const [newest] = rows.toSorted((a, b) => endOf(b) - endOf(a));
  if (newest === undefined) return null;
  const endedAt = numberOrNull(newest, "finished_at");
  return {
    slot: new Date(endOf(newest)),
    outcome: textOf(newest, "outcome") as RunOutcome,
    attempt: numberOrNull(newest, "attempt") ?? 1,
    retryable: numberOrNull(newest, "retryable") === 1,
    endedAt: endedAt === null ? null : new Date(endedAt),
  };
}

function endOf(row: SqlRow): number {
  return numberOrNull(row, "until") ?? numberOrNull(row, "scheduled_for") ?? 0;
}

const EVER = new Date("9999-01-01T00:00:00Z");

/** As above, only when it was. */
export function lastHandledSlot(catalog: Catalog, source: string, operation: string, type: string | null): Date | null {
  return newestSlot(catalog, { source, operation, type }, EVER)?.slot ?? null;
}

/** When the first run of a kind that succeeded began, or null. */
export function firstSuccess(catalog: Catalog, source: string, operation: string): Date | null {
  const times = readTotals(catalog, source).filter((total) => total.operation === operation && total.outcome === "succeeded");
  const [first] = times.map(({ oldestAt }) => oldestAt).toSorted();
  return first === undefined ? null : new Date(first);
}

/** Runs that began and are not on record as ended. */
export function openRuns(catalog: Catalog): Run[] {
  return catalog.all(`select ${RUN_COLUMNS} from runs where outcome = 'running' order by started_at desc, sequence desc`).map(runOf);
}

/** A row of the table as a run. */
function runOf(row: SqlRow): Run {
  return {
    id: textOf(row, "id"),
    source: textOf(row, "source"),
    operation: textOf(row, "operation"),
    type: textOrNull(row, "type"),
    trigger: textOf(row, "trigger"),
    scheduledFor: timeOrNull(row, "scheduled_for"),
    startedAt: timeOf(row, "started_at"),
    finishedAt: timeOrNull(row, "finished_at"),
    outcome: textOf(row, "outcome") as RunOutcome,
    reason: textOrNull(row, "reason"),
    slots: numberOrNull(row, "slots") ?? 1,
    until: timeOrNull(row, "until"),
    holder: textOrNull(row, "holder"),
    attempt: numberOrNull(row, "attempt") ?? 1,
    schedule: scheduleOrNull(textOrNull(row, "schedule_text")),
    facts: JSON.parse(textOf(row, "facts")) as Record<string, unknown>,
  };
}

function scheduleOrNull(text: string | null): Schedule | null {
  return text === null ? null : parseSchedule(text);
}
