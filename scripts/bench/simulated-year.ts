import type { Catalog } from "../../src/catalog/catalog.ts";
import { applyEntry } from "../../src/catalog/apply-entry.ts";
import { pendingIntervals, recordSlotDone, slotFacts } from "../../src/catalog/slot-intervals.ts";
import { thinOldFigures } from "../../src/catalog/thin-figures.ts";
import { briefFigures } from "../../src/domain/brief-figures.ts";
import type { Pause } from "../../src/domain/pause.ts";
import type { SourceConfig } from "../../src/policy/types.ts";
import { findDue } from "../../src/scheduler/find-due.ts";
import { SlotHistory } from "../../src/scheduler/slot-history.ts";
import { inTurn } from "../../src/scheduler/tasks.ts";
import type { DueTask, PassedOver } from "../../src/scheduler/tasks.ts";
import type { Fates } from "./year-fates.ts";

/**
 * A year of many sources on a clock of its own, by the planner and the catalog that work in earnest: what is due is what `findDue` says, and what becomes of it is put on record by the functions that jobs
 * use. Only the work itself is made up: how it ends comes from `Fates`. Evidence is counted, not signed.
 */
export interface YearOptions {
  readonly catalog: Catalog;
  readonly sources: readonly SourceConfig[];
  readonly from: Date;
  readonly until: Date;
  readonly fates: Fates;
  /** Of the evidence that is counted. */
  readonly writer: string;
  readonly onDay: (day: Date) => void;
}

export interface YearFigures {
  readonly looks: number;
  readonly entries: number;
  readonly entryBytes: number;
}

const STEP_MS = 15 * 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CACHE_KIB = 256 * 1024;
/** How many things of one source are done in one step at most: more than kinds there are. */
const MOST_IN_STEP = 12;

export function simulateYear(options: YearOptions): YearFigures {
  return new Year(options).run();
}

class Year {
  readonly #options: YearOptions;
  readonly #history: SlotHistory;
  readonly #pauses = new Map<string, Pause[]>();
  #now: Date;
  #sequence = 0;
  #bytes = 0;
  #looks = 0;

  constructor(options: YearOptions) {
    this.#options = options;
    this.#now = options.from;
    // The catalog is asked once and then told: nobody else writes.
    this.#history = new SlotHistory(options.catalog, { now: () => this.#now, monotonicMs: () => 0, sleep: async () => undefined });
  }

  run(): YearFigures {
    const { catalog, from, until, onDay } = this.#options;
    // A day in one transaction changes more pages than any in earnest, and journals for single statements, which others have no need of, would go to a file.
    catalog.all(`pragma cache_size = -${CACHE_KIB}`);
    catalog.all("pragma temp_store = memory");
    for (let day = from.getTime(); day < until.getTime(); day += DAY_MS) {
      // One transaction a day: a day of work in earnest takes a day for its transactions.
      catalog.transaction(() => {
        for (let ms = day; ms < Math.min(day + DAY_MS, until.getTime()); ms += STEP_MS) this.#step(ms);
      });
      thinOldFigures(catalog, this.#now);
      onDay(new Date(day));
    }
    this.#recordPending();
    catalog.all("pragma temp_store = default");
    return { looks: this.#looks, entries: this.#sequence, entryBytes: this.#bytes };
  }

  #step(ms: number): void {
    const { sources, fates } = this.#options;
    this.#now = new Date(ms);
    for (const source of sources) if (!fates.isAway(source.name, this.#now)) this.#look(source);
    if (ms % HOUR_MS === 0) this.#recordPending();
  }

  #look(source: SourceConfig): void {
    this.#pauseAsFated(source.name);
    const pauses = this.#pauses.get(source.name) ?? [];
    for (let i = 0; i < MOST_IN_STEP; i++) {
      this.#looks++;
      const due = findDue(source, this.#history.of(source.name), this.#now, pauses);
      const [next] = inTurn(due.run, new Map()) as DueTask[];
      for (const passed of due.passedOver) if (passed.outcome !== "missed" || isSame(passed, next) || next === undefined) this.#passOver(passed);
      if (next === undefined) return;
      this.#carryOut(next);
      // Nothing else was due, and what was done makes nothing due at the same moment: another look would say so.
      if (due.run.length === 1 && due.passedOver.length === 0) return;
    }
  }

  #pauseAsFated(source: string): void {
    const pause = this.#options.fates.pauseOf(source, this.#now);
    if (pause === null || (this.#pauses.get(source) ?? []).includes(pause)) return;
    this.#pauses.set(source, [...(this.#pauses.get(source) ?? []), pause]);
    this.#append("source.paused", { id: `p${this.#sequence}-${source}`, source, until: pause.until.toISOString(), reason: pause.reason, by: "year" });
  }

  #passOver({ slot, ...passed }: PassedOver): void {
    this.#recordPendingOf(passed.source);
    this.#append("run.missed", { run: `m${this.#sequence}-${passed.source}`, ...passed, trigger: "schedule", scheduledFor: slot });
    this.#history.remember(passed.source, passed.operation, passed.type, {
      slot: new Date(passed.until ?? slot),
      outcome: passed.outcome,
      attempt: 1,
      retryable: false,
      endedAt: this.#now,
    });
  }

  #carryOut(task: DueTask): void {
    const { source, operation, type, slot, schedule, attempt } = task;
    const slotAt = new Date(slot);
    const { outcome, figures, seconds } = this.#options.fates.endOf(task, slotAt);
    const finishedAt = new Date(this.#now.getTime() + seconds * 1000);
    const isFrequent = operation === "log" || operation === "expire";
    if (isFrequent && outcome === "succeeded") {
      const reason = attempt > 1 ? `succeeded at attempt ${attempt}` : null;
      recordSlotDone(this.#options.catalog, {
        source,
        operation,
        type,
        slot: slotAt,
        schedule,
        startedAt: this.#now,
        finishedAt,
        reason,
        figures: briefFigures(operation, figures),
      });
    } else if (isFrequent) {
      this.#recordPendingOf(source);
      const what = { run: nameOf(task), source, operation, type, trigger: "schedule", scheduledFor: slot, schedule, attempt, startedAt: this.#now.toISOString() };
      this.#append("run.finished", { ...what, outcome, reason: "HF-CONNECT: cannot connect", retryable: true, figures: {} });
    } else {
      const run = nameOf(task);
      this.#append("run.started", { run, source, operation, type, trigger: "schedule", scheduledFor: slot, schedule, attempt });
      const reason = outcome === "succeeded" ? null : "HF-CONNECT: cannot connect";
      this.#append("run.finished", { run, source, operation, type, outcome, reason, figures, retryable: outcome !== "succeeded" }, finishedAt);
    }
    this.#history.remember(source, operation, type, { slot: slotAt, outcome, attempt, retryable: outcome !== "succeeded", endedAt: finishedAt });
  }

  #recordPending(): void {
    const intervals = pendingIntervals(this.#options.catalog, null, 10_000);
    if (intervals.length > 0) this.#append("run.slots", slotFacts(intervals));
  }

  #recordPendingOf(source: string): void {
    const intervals = pendingIntervals(this.#options.catalog, source, 100);
    if (intervals.length > 0) this.#append("run.slots", slotFacts(intervals));
  }

  #append(kind: string, facts: Record<string, unknown>, at: Date = this.#now): void {
    const { catalog, writer } = this.#options;
    this.#sequence++;
    this.#bytes += JSON.stringify(facts).length;
    applyEntry(catalog, { writer, sequence: this.#sequence, at: at.toISOString(), kind, facts });
  }
}

function nameOf({ source, operation, slot, attempt }: DueTask): string {
  return `${slot.replaceAll(/[-:.]/g, "")}-${attempt}-${operation}-${source}`;
}

function isSame(passed: PassedOver, next: DueTask | undefined): boolean {
  return next !== undefined && next.operation === passed.operation && next.type === passed.type;
}
