import type { SlotsOnRecord } from "../domain/promised-slots.ts";
import { expandSlots } from "../domain/slot-population.ts";
import type { PopulatedSlot, SlotRecord } from "../domain/slot-population.ts";
import type { Schedule } from "../domain/schedule.ts";
import type { Catalog } from "./catalog.ts";
import { parseSchedule, SCHEDULE_TEXT, schedulesOf } from "./schedules.ts";
import { numberOrNull, textOf, textOrNull, timeOf, timeOrNull, timeValue } from "./catalog.ts";

/** How many records are in memory at once. */
const RECORDS_AT_ONCE = 1000;

/** No interval of slots that were done is longer than a day; one that was passed over may be, and is then found by its end. */
const DAY_MS = 86_400_000;

interface KindOfSource {
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
}

/**
 * Every slot of one kind of work of a source in [from, to) that anything is on record about, oldest first, each exactly once: what an auditor samples from. `fallback` takes apart intervals of older
 * versions, which do not say by which schedule.
 */
export function* listSlots(catalog: Catalog, kind: KindOfSource, from: Date, to: Date, fallback: Schedule | null = null): Generator<PopulatedSlot> {
  const [first, last] = [from.toISOString(), to.toISOString()];
  for (const slot of expandSlots(readRecords(catalog, kind, first, last), fallback)) if (slot.slot >= first && slot.slot < last) yield slot;
}

const COLUMNS = `id, scheduled_for, until, slots, outcome, attempt, reason, ${SCHEDULE_TEXT} as schedule, started_at, sequence`;

/** The records that those slots are in, in order of their first slot; some may lie before `from`. */
function* readRecords(catalog: Catalog, kind: KindOfSource, first: string, last: string): Generator<SlotRecord> {
  const [from, to] = [timeValue(first), timeValue(last)];
  const near = from - DAY_MS;
  const ofKind = "source = :source and operation = :operation and type is :type";
  const key = { source: kind.source, operation: kind.operation, type: kind.type };
  const long = catalog.all(
    `select ${COLUMNS} from runs where ${ofKind} and outcome in ('missed', 'superseded', 'skipped') and scheduled_for < :near and until is not null and until >= :from order by scheduled_for`,
    { ...key, from, near },
  );
  yield* long.map(recordOf);
  let after = near - 1;
  for (;;) {
    const rows = catalog.all(
      `select ${COLUMNS} from runs where ${ofKind} and scheduled_for >= :near and scheduled_for < :to and scheduled_for > :after order by scheduled_for limit :limit`,
      {
        ...key,
        near,
        to,
        after,
        limit: RECORDS_AT_ONCE,
      },
    );
    const end = rows.at(-1);
    if (end === undefined) return;
    after = numberOrNull(end, "scheduled_for") ?? 0;
    // Attempts for one slot share its time: those of the last one come together.
    const rest = rows.length < RECORDS_AT_ONCE ? [] : catalog.all(`select ${COLUMNS} from runs where ${ofKind} and scheduled_for = :after`, { ...key, after });
    const all = rest.length === 0 ? rows : [...rows.filter((row) => numberOrNull(row, "scheduled_for") !== after), ...rest];
    yield* all.map(recordOf);
    if (rows.length < RECORDS_AT_ONCE) return;
  }
}

/** Which slots in [first, last) anything is on record about, and some before them: no more than that, for who counts them by the million. */
export function slotsOnRecord(catalog: Catalog, kind: KindOfSource, first: string, last: string): SlotsOnRecord[] {
  const scheduleOf = schedulesOf(catalog);
  const [from, to] = [timeValue(first), timeValue(last)];
  const rows = catalog.lists(
    `select scheduled_for, until, schedule from runs
       where source = :source and operation = :operation and type is :type and outcome in ('missed', 'superseded', 'skipped') and scheduled_for < :near and until is not null and until >= :from
     union all
     select scheduled_for, until, schedule from runs where source = :source and operation = :operation and type is :type and scheduled_for >= :near and scheduled_for < :to`,
    { source: kind.source, operation: kind.operation, type: kind.type, from, to, near: from - DAY_MS },
  );
  return rows.map(([slot, until, schedule]) => ({
    fromMs: Number(slot),
    untilMs: typeof until === "number" ? until : null,
    schedule: typeof schedule === "number" ? scheduleOf(schedule) : null,
  }));
}

function recordOf(row: Parameters<typeof textOf>[0]): SlotRecord {
  const schedule = textOrNull(row, "schedule");
  return {
    id: textOf(row, "id"),
    scheduledFor: timeOf(row, "scheduled_for"),
    until: timeOrNull(row, "until"),
    slots: numberOrNull(row, "slots") ?? 1,
    outcome: textOf(row, "outcome"),
    attempt: numberOrNull(row, "attempt") ?? 1,
    reason: textOrNull(row, "reason"),
    schedule: schedule === null ? null : parseSchedule(schedule),
  };
}
