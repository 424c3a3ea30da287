import type { RecordedRun } from "../catalog/period-records.ts";
import type { ReportSource } from "../domain/compliance.ts";
import type { RunRecord } from "../domain/control-population.ts";
import type { Schedule } from "../domain/schedule.ts";
import { countSlots } from "../domain/schedule.ts";

export interface Period {
  /** Inclusive and exclusive, RFC 3339 in UTC with milliseconds, so that they sort as text. */
  readonly from: string;
  readonly to: string;
}

/** A run as the population lists it. */
export function runRecord(run: RecordedRun, slots: number): RunRecord {
  const { id, source, operation, type, trigger, scheduledFor, until, startedAt, finishedAt, outcome, reason } = run;
  const durationSeconds = finishedAt === null || isPassedOver(run) ? null : (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
  const backupId = operation === "backup" ? textOrNull(run.facts["id"]) : null;
  return { id, source, operation, type, trigger, scheduledFor, until, slots, startedAt, finishedAt, durationSeconds, outcome, reason, backupId };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** A slot that nothing ran for: its record has no beginning and no end, only the time it was written. */
function isPassedOver({ outcome }: Pick<RecordedRun, "outcome">): boolean {
  return outcome === "missed" || outcome === "superseded" || outcome === "skipped";
}

/** How many slots of the period a run stands for, by the policy of its source. */
export function slotsOf(run: RecordedRun, source: ReportSource, period: Period): number {
  if (run.scheduledFor === null) return 0;
  if (run.until === null || (run.scheduledFor >= period.from && run.until < period.to)) return run.slots;
  return slotsInPeriod({ scheduledFor: run.scheduledFor, until: run.until, slots: run.slots, by: run.schedule ?? scheduleOf(source, run.operation, run.type) }, period);
}

/**
 * How many slots of the period a record stands for. An interval that reaches over a border is divided by the schedule that it names, else by that of today, if that explains its count;
 * after a change of schedule it counts as a whole, which can only make the period look worse.
 */
function slotsInPeriod({ scheduledFor, until, slots, by }: { scheduledFor: string; until: string; slots: number; by: Schedule | null }, { from, to }: Period): number {
  if (by === null) return slots;
  const [first, last] = [Date.parse(scheduledFor), Date.parse(until)];
  if (slotsIn(by, first - 1, last) !== slots) return slots;
  return slotsIn(by, Math.max(first, Date.parse(from)) - 1, Math.min(last, Date.parse(to) - 1));
}

/** Slots in (afterMs, untilMs]. */
function slotsIn(schedule: Schedule, afterMs: number, untilMs: number): number {
  return countSlots(schedule, new Date(afterMs), new Date(untilMs)).count;
}

/** The schedule of one kind of work by the policy as it is now; null where there is none (streamed logs have none either). */
export function scheduleOf({ policy }: ReportSource, operation: string, type: string | null): Schedule | null {
  if (operation === "backup") return [...policy.backups].find(([ruleType]) => ruleType === type)?.[1].schedule ?? null;
  if (operation === "log") return policy.log === null || policy.log.schedule.kind === "stream" ? null : policy.log.schedule;
  if (operation === "verify") return policy.verify?.schedule ?? null;
  if (operation === "expire") return policy.expire.schedule;
  return operation === "drill" ? (policy.drills?.schedule ?? null) : null;
}
