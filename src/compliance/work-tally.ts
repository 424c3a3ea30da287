import type { Success } from "../catalog/compliance-queries.ts";
import { BACKUP_TYPES } from "../domain/backup-id.ts";
import type { WorkCounts } from "../domain/compliance.ts";
import type { RunRecord } from "../domain/control-population.ts";

/** Work of one source in a period, counted as its records go by: of a year of frequent work nobody has to keep them. */
export class WorkTallies {
  readonly #tallies = new Map<string, WorkTally>();
  readonly #operations = new Set<string>();

  take(record: RunRecord): void {
    this.#operations.add(record.operation);
    this.#tally(record.operation, record.type).take(record);
  }

  has(operation: string, type: string): boolean {
    return this.#tallies.has(keyOf(operation, type));
  }

  operations(): string[] {
    return [...this.#operations];
  }

  /** `type` is asked for backups and the log. */
  of(operation: string, type: string | null): WorkTally {
    return this.#tallies.get(keyOf(operation, type)) ?? new WorkTally();
  }

  #tally(operation: string, type: string | null): WorkTally {
    const key = keyOf(operation, type);
    let tally = this.#tallies.get(key);
    if (tally === undefined) this.#tallies.set(key, (tally = new WorkTally()));
    return tally;
  }
}

/** Only of these are the types different work. */
const TYPED: readonly string[] = ["backup", "log"];

function keyOf(operation: string, type: string | null): string {
  return TYPED.includes(operation) ? `${operation} ${type}` : operation;
}

type Counts = Omit<WorkCounts, "operation" | "type" | "unaccounted" | "withoutLaterSuccess">;

/** Records of one kind of work, oldest first. */
export class WorkTally {
  readonly #slots = new SlotCount();
  readonly #runs: Record<string, number> = {};
  readonly #slotsByOutcome: Record<string, number> = {};
  readonly #unsuccessful: Unsuccessful[] = [];
  #unscheduled = 0;
  #lastSuccessAt: string | null = null;

  take({ id, operation, type, outcome, scheduledFor, until, slots, startedAt, finishedAt }: RunRecord): void {
    this.#slots.take(scheduledFor, slots);
    if (scheduledFor === null) this.#unscheduled++;
    this.#runs[outcome] = (this.#runs[outcome] ?? 0) + 1;
    // A run by hand is one; an interval of slots that were done counts for each.
    this.#slotsByOutcome[outcome] = (this.#slotsByOutcome[outcome] ?? 0) + Math.max(1, slots);
    if (outcome === "succeeded") this.#lastSuccessAt = finishedAt;
    // A missed slot is served by a run that began at or after it; a run that failed, by one that began later.
    if (outcome === "missed") this.#unsuccessful.push({ id, operation, type, since: until ?? scheduledFor ?? startedAt, isMissed: true });
    if (outcome === "failed" || outcome === "interrupted") this.#unsuccessful.push({ id, operation, type, since: startedAt, isMissed: false });
  }

  counts(): Counts {
    const runs = (outcome: string): number => this.#runs[outcome] ?? 0;
    const slots = (outcome: string): number => this.#slotsByOutcome[outcome] ?? 0;
    return {
      due: this.#slots.count(),
      succeeded: slots("succeeded"),
      failed: runs("failed"),
      cancelled: runs("cancelled"),
      interrupted: runs("interrupted"),
      missed: slots("missed"),
      superseded: slots("superseded"),
      skipped: slots("skipped"),
      running: runs("running"),
      unscheduled: this.#unscheduled,
      lastSuccessAt: this.#lastSuccessAt,
    };
  }

  /** Ids of runs that failed, were interrupted or missed, and that no success has made good. A stronger backup makes a weaker one good. */
  withoutLaterSuccess(successes: readonly Success[]): string[] {
    const isGood = (record: Unsuccessful): boolean =>
      successes.some((success) => makesGood(success, record) && (record.isMissed ? success.startedAt >= record.since : success.startedAt > record.since));
    return this.#unsuccessful.flatMap((record) => (isGood(record) ? [] : [record.id]));
  }
}

interface Unsuccessful extends Pick<RunRecord, "id" | "operation" | "type"> {
  readonly since: string;
  readonly isMissed: boolean;
}

function makesGood(success: Success, { operation, type }: Unsuccessful): boolean {
  if (success.operation !== operation) return false;
  if (operation !== "backup") return true;
  const strength = (of: string | null): number => BACKUP_TYPES.findIndex((candidate) => candidate === of);
  return success.type === type || (strength(success.type) !== -1 && strength(success.type) < strength(type));
}

/** Slots on record. Two runs for the sake of one slot (a second try) are one slot. */
export class SlotCount {
  readonly #slots = new Map<string, number>();

  take(scheduledFor: string | null, slots: number): void {
    if (scheduledFor !== null) this.#slots.set(scheduledFor, Math.max(slots, this.#slots.get(scheduledFor) ?? 0));
  }

  count(): number {
    return [...this.#slots.values()].reduce((sum, slots) => sum + slots, 0);
  }
}
