import type { Catalog } from "../catalog/catalog.ts";
import { firstRecordAt } from "../catalog/compliance-queries.ts";
import type { Success } from "../catalog/compliance-queries.ts";
import { firstSuccess, lastHandledSlot } from "../catalog/runs.ts";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { ReportSource, WorkCounts } from "../domain/compliance.ts";
import type { RunRecord } from "../domain/control-population.ts";
import { countSlots } from "../domain/schedule.ts";
import { scheduleOf } from "./run-record.ts";

export interface WorkFacts {
  readonly catalog: Catalog;
  readonly source: ReportSource;
  /** Records of the source in the period, oldest first. */
  readonly records: readonly RunRecord[];
  /** The newest success of each kind from the beginning of the period to this day. */
  readonly successes: readonly Success[];
  readonly now: Date;
  readonly measuredUntil: Date;
}

/** Backups by type, strongest first, then the log: those the policy asks for, and those that are on record. */
export function countBackups(facts: WorkFacts): WorkCounts[] {
  const { policy } = facts.source;
  const onRecord = (operation: string, type: string): boolean => facts.records.some((record) => record.operation === operation && record.type === type);
  const types = BACKUP_TYPES.filter((type) => policy.backups.has(type) || onRecord("backup", type));
  const backups = types.map((type) => countWork(facts, "backup", type));
  const isScheduled = policy.log !== null && policy.log.schedule.kind !== "stream";
  return isScheduled || onRecord("log", "log") ? [...backups, countWork(facts, "log", "log")] : backups;
}

/** Everything else but drills. */
export function countOtherWork(facts: WorkFacts): WorkCounts[] {
  const operations = new Set(facts.records.map(({ operation }) => operation).filter((operation) => !["backup", "log", "drill"].includes(operation)));
  if (facts.source.policy.verify !== null) operations.add("verify");
  operations.add("expire");
  return [...operations].toSorted().map((operation) => countWork(facts, operation, null));
}

function countWork(facts: WorkFacts, operation: string, type: string | null): WorkCounts {
  const records = facts.records.filter((record) => record.operation === operation && (type === null || record.type === type));
  const count = (outcome: string): number => records.filter((record) => record.outcome === outcome).length;
  const slots = (outcome: string): number => records.filter((record) => record.outcome === outcome).reduce((sum, record) => sum + Math.max(1, record.slots), 0);
  const succeeded = records.filter(({ outcome }) => outcome === "succeeded");
  return {
    operation,
    type,
    due: dueSlots(records),
    // A run by hand is one; an interval of slots that were done counts for each.
    succeeded: succeeded.reduce((sum, record) => sum + Math.max(1, record.slots), 0),
    failed: count("failed"),
    cancelled: count("cancelled"),
    interrupted: count("interrupted"),
    missed: slots("missed"),
    superseded: slots("superseded"),
    skipped: slots("skipped"),
    running: count("running"),
    unscheduled: records.filter(({ scheduledFor }) => scheduledFor === null).length,
    unaccounted: unaccountedSlots(facts, operation, type),
    lastSuccessAt: succeeded.at(-1)?.finishedAt ?? null,
    withoutLaterSuccess: withoutLaterSuccess(records, facts.successes),
  };
}

/** Slots on record. Two runs for the sake of one slot (a second try) are one slot. */
export function dueSlots(records: readonly Pick<RunRecord, "scheduledFor" | "slots">[]): number {
  const bySlot = new Map<string, number>();
  for (const { scheduledFor, slots } of records) if (scheduledFor !== null) bySlot.set(scheduledFor, Math.max(slots, bySlot.get(scheduledFor) ?? 0));
  return [...bySlot.values()].reduce((sum, slots) => sum + slots, 0);
}

/** A slot may wait for another operation of its source, and is on record only when it is taken up. More than a day is not waiting. */
const WAITING_MS = 86_400_000;

/**
 * Slots that nobody accounts for. The scheduler puts every slot on record when it takes up a later one, so only the newest can be missing: because it no longer runs.
 * Counted by the policy as it is now; null where there is no schedule, or nothing on record from which to count.
 */
export function unaccountedSlots(
  { catalog, source, now, measuredUntil }: Pick<WorkFacts, "catalog" | "source" | "now" | "measuredUntil">,
  operation: string,
  type: string | null,
): number | null {
  const schedule = scheduleOf(source, operation, type);
  if (schedule === null) return null;
  const after = lastHandledSlot(catalog, source.name, operation, type) ?? beginOf(catalog, source.name, operation);
  if (after === null) return null;
  const until = new Date(Math.min(measuredUntil.getTime() - 1, now.getTime() - WAITING_MS));
  return countSlots(schedule, after, until).count;
}

/** Backups are due from the first record on; there is nothing to verify, drill or expire before the first of them. */
function beginOf(catalog: Catalog, source: string, operation: string): Date | null {
  if (operation !== "backup" && operation !== "log") return firstSuccess(catalog, source, "backup");
  const first = firstRecordAt(catalog, source);
  return first === null ? null : new Date(first);
}

const UNSUCCESSFUL: readonly string[] = ["failed", "interrupted", "missed"];

/** Ids of runs that failed, were interrupted or missed, and that no success has made good. A stronger backup makes a weaker one good. */
function withoutLaterSuccess(records: readonly RunRecord[], successes: readonly Success[]): string[] {
  return records
    .filter(({ outcome }) => UNSUCCESSFUL.includes(outcome))
    .filter((record) => {
      // A missed slot is served by a run that began at or after it; a run that failed, by one that began later.
      const since = record.outcome === "missed" ? (record.until ?? record.scheduledFor ?? record.startedAt) : record.startedAt;
      return !successes.some((success) => makesGood(success, record) && (record.outcome === "missed" ? success.startedAt >= since : success.startedAt > since));
    })
    .map(({ id }) => id);
}

function makesGood(success: Success, { operation, type }: RunRecord): boolean {
  if (success.operation !== operation) return false;
  if (operation !== "backup") return true;
  const strength = (of: string | null): number => BACKUP_TYPES.findIndex((candidate) => candidate === of);
  return success.type === type || (strength(success.type) !== -1 && strength(success.type) < strength(type));
}
