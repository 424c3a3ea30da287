import type { Schedule } from "../domain/schedule.ts";
import { isoTime } from "../domain/iso-time.ts";
import type { Catalog, SqlValue } from "./catalog.ts";
import { timeValue } from "./catalog.ts";
import { kindsOnRecord } from "./compliance-queries.ts";
import type { KindOnRecord } from "./compliance-queries.ts";
import { IS_PASSED_OVER } from "./runs.ts";
import { schedulesOf } from "./schedules.ts";
import type { RunOutcome, Run } from "./runs.ts";

/** The records of a period, as reports go through them: by the million, so that of each only what a report tells is read. */

/** A run or slots as they are on record. What it put on record about itself is taken apart where somebody asks. */
export type RecordedRun = Omit<Run, "holder" | "attempt">;

/**
 * Every record of a source that belongs to [from, to), oldest first: a run to the time it began, slots that were passed over, and intervals of slots, to the time of the slot.
 * So each record belongs to exactly one of two adjacent periods, but for an interval that reaches over the border.
 */
export function* recordsOfPeriod(catalog: Catalog, period: { source: string; from: string; to: string }): Generator<RecordedRun> {
  const kinds = kindsOnRecord(catalog, period.source);
  const scheduleOf = schedulesOf(catalog);
  // So much of one source is in memory at once: a year of frequent work that fails is more than there is room for.
  for (let from = period.from; from < period.to;) {
    const to = earlier(new Date(Date.parse(from) + TOGETHER_MS).toISOString(), period.to);
    const found = kinds.flatMap((kind) => rowsOfPeriod(catalog, { source: period.source, from, to, ...kind }, from === period.from).map((row) => ({ kind, row })));
    found.sort(byTime);
    for (const { kind, row } of found) yield new RecordedRow(period.source, kind, row, scheduleOf);
    from = to;
  }
}

interface Found {
  readonly row: readonly SqlValue[];
}

function byTime(a: Found, b: Found): number {
  const byAt = Number(a.row[AT]) - Number(b.row[AT]);
  return byAt === 0 ? Number(a.row[SEQUENCE]) - Number(b.row[SEQUENCE]) : byAt;
}

const TOGETHER_MS = 90 * 86_400_000;

function earlier(a: string, b: string): string {
  return a < b ? a : b;
}

/** In the order of `COLUMNS`. */
const [AT, SEQUENCE] = [0, 1];
/** Of frequent work nobody asks what it told about itself, and there is most of it. */
const COLUMNS = `sequence, id, trigger, scheduled_for, until, slots, started_at, finished_at, outcome, reason, schedule, case when operation in ('log', 'expire') then '{}' else facts end`;

class RecordedRow implements RecordedRun {
  readonly id: string;
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly trigger: string;
  readonly scheduledFor: string | null;
  readonly until: string | null;
  readonly slots: number;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly outcome: RunOutcome;
  readonly reason: string | null;
  readonly #schedule: SqlValue;
  readonly #scheduleOf: (number: number) => Schedule | null;
  readonly #facts: string;

  constructor(source: string, { operation, type }: KindOnRecord, row: readonly SqlValue[], scheduleOf: (number: number) => Schedule | null) {
    const [, , id, trigger, scheduledFor, until, slots, startedAt, finishedAt, outcome, reason, schedule, facts] = row;
    this.id = String(id);
    this.source = source;
    this.operation = operation;
    this.type = type;
    this.trigger = String(trigger);
    this.scheduledFor = timeOrNull(scheduledFor);
    this.until = timeOrNull(until);
    this.slots = Number(slots);
    this.startedAt = isoTime(Number(startedAt));
    this.finishedAt = timeOrNull(finishedAt);
    this.outcome = String(outcome) as RunOutcome;
    this.reason = reason === null || reason === undefined ? null : String(reason);
    this.#schedule = schedule ?? null;
    this.#scheduleOf = scheduleOf;
    this.#facts = String(facts);
  }

  get schedule(): Schedule | null {
    return this.#schedule === null ? null : this.#scheduleOf(Number(this.#schedule));
  }

  get facts(): Readonly<Record<string, unknown>> {
    return JSON.parse(this.#facts) as Record<string, unknown>;
  }
}

function timeOrNull(value: SqlValue | undefined): string | null {
  return value === null || value === undefined ? null : isoTime(Number(value));
}

/** No interval of slots that were done is longer than a day. */
const INTERVAL_MS = 86_400_000;

/**
 * Two ways into the records, each along an index and no further than the period: runs that began in it, and slots in it. In the first part of a period also intervals that reach into it: of slots that were
 * done, which are no longer than a day, and of what was passed over.
 */
function rowsOfPeriod(catalog: Catalog, period: KindOnRecord & { source: string; from: string; to: string }, isFirst: boolean): SqlValue[][] {
  const key = { source: period.source, operation: period.operation, type: period.type };
  const [from, to] = [timeValue(period.from), timeValue(period.to)];
  const inside = catalog.lists(
    `select started_at, ${COLUMNS} from runs
       where source = :source and operation = :operation and started_at >= :from and started_at < :to and type is :type and until is null and not ${IS_PASSED_OVER}
     union all
     select scheduled_for, ${COLUMNS} from runs
       where source = :source and operation = :operation and type is :type and scheduled_for >= :from and scheduled_for < :to and (until is not null or ${IS_PASSED_OVER})`,
    { ...key, from, to },
  );
  if (!isFirst) return inside;
  const reaching = catalog.lists(
    `select scheduled_for, ${COLUMNS} from runs
       where source = :source and operation = :operation and type is :type and scheduled_for >= :near and scheduled_for < :from and until is not null and until >= :from
     union all
     select scheduled_for, ${COLUMNS} from runs
       where source = :source and operation = :operation and ${IS_PASSED_OVER} and scheduled_for < :near and type is :type and until is not null and until >= :from`,
    { ...key, from, near: from - INTERVAL_MS },
  );
  return [...reaching, ...inside];
}
