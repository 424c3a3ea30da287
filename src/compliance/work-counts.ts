import type { Catalog } from "../catalog/catalog.ts";
import { firstRecordAt } from "../catalog/compliance-queries.ts";
import type { Success } from "../catalog/compliance-queries.ts";
import { firstSuccess, lastHandledSlot } from "../catalog/runs.ts";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { ReportSource, WorkCounts } from "../domain/compliance.ts";
import { countSlots } from "../domain/schedule.ts";
import { scheduleOf } from "./run-record.ts";
import type { WorkTallies } from "./work-tally.ts";

export interface WorkFacts {
  readonly catalog: Catalog;
  readonly source: ReportSource;
  readonly work: WorkTallies;
  /** The newest success of each kind from the beginning of the period to this day. */
  readonly successes: readonly Success[];
  readonly now: Date;
  readonly measuredUntil: Date;
}

/** Backups by type, strongest first, then the log: those the policy asks for, and those that are on record. */
export function countBackups(facts: WorkFacts): WorkCounts[] {
  const { policy } = facts.source;
  const types = BACKUP_TYPES.filter((type) => policy.backups.has(type) || facts.work.has("backup", type));
  const backups = types.map((type) => countWork(facts, "backup", type));
  const isScheduled = policy.log !== null && policy.log.schedule.kind !== "stream";
  return isScheduled || facts.work.has("log", "log") ? [...backups, countWork(facts, "log", "log")] : backups;
}

/** Everything else but drills. */
export function countOtherWork(facts: WorkFacts): WorkCounts[] {
  const operations = new Set(facts.work.operations().filter((operation) => !["backup", "log", "drill"].includes(operation)));
  if (facts.source.policy.verify !== null) operations.add("verify");
  operations.add("expire");
  return [...operations].toSorted().map((operation) => countWork(facts, operation, null));
}

function countWork(facts: WorkFacts, operation: string, type: string | null): WorkCounts {
  const tally = facts.work.of(operation, type);
  return { operation, type, ...tally.counts(), unaccounted: unaccountedSlots(facts, operation, type), withoutLaterSuccess: tally.withoutLaterSuccess(facts.successes) };
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
