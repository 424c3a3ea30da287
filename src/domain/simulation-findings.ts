import type { BackupType } from "./backup-id.ts";
import { BACKUP_TYPES } from "./backup-id.ts";
import type { FeasibilityInput } from "./feasibility.ts";
import { countSlots, nextSlot } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import type { SimulatedStart } from "./simulated-backups.ts";
import type { SimulatedBackup, SimulatedCopy } from "./simulated-copy.ts";
import type { Assumptions, SimulationModel } from "./simulation-model.ts";
import { ProblemTallies } from "./simulation-problems.ts";
import type { ProblemAbout, SimulatedProblem } from "./simulation-problems.ts";
import { describeProblems } from "./simulation-wording.ts";
import { isHeavy, isWithin, nextClosing } from "./window.ts";

interface Watched extends FeasibilityInput {
  readonly heavy: readonly string[];
  readonly from: Date;
  readonly defaulted: ReadonlySet<keyof Assumptions>;
}

/** A backup that begins a few seconds after its slot is on time. */
const LATE_SECONDS = 60;

/** Looks on while a simulation runs, and keeps every moment at which something does not hold. */
export class SimulationFindings {
  readonly #input: Watched;
  readonly #model: SimulationModel;
  readonly #tallies = new ProblemTallies();
  readonly #ran = new Set<BackupType>();

  constructor(input: Watched, model: SimulationModel) {
    this.#input = input;
    this.#model = model;
  }

  began({ rule, slot, missed }: SimulatedStart, backup: SimulatedBackup): void {
    const isFirst = this.#ran.size === 0;
    this.#ran.add(rule.type);
    const { startedAt, at } = backup;
    const about = (kind: ProblemAbout["kind"], more: Partial<ProblemAbout> = {}): ProblemAbout => ({ ...BARE, kind, severity: "warning", type: rule.type, ...more });
    if (rule.type !== backup.type && !isFirst) this.#tallies.add(about("full-instead", { severity: "breach" }), { from: startedAt, until: at });
    const lateSeconds = secondsBetween(slot, startedAt);
    if (!isFirst && lateSeconds > LATE_SECONDS) this.#tallies.add(about("late"), { from: slot, until: startedAt, seconds: lateSeconds });
    if (missed > 0) this.#tallies.add(about("missed"), { from: slot, until: startedAt, times: missed });
    this.#watchWindow(backup, about("overrun", this.#onAssumption("warning", ["databaseBytes", "backupBytesPerSecond"])));
    const budget = rule.recoveryTimeBudgetSeconds;
    const seconds = this.#model.restoreSeconds(at);
    if (budget === null || seconds <= budget) return;
    this.#tallies.add(about("budget", { objectiveSeconds: budget, ...this.#onAssumption("breach", RESTORE) }), { from: at, until: at, seconds });
  }

  #watchWindow({ type, startedAt, at }: SimulatedBackup, about: ProblemAbout): void {
    const { heavy } = this.#input;
    if (!isHeavy(type) || !isWithin(heavy, startedAt)) return;
    const closing = nextClosing(heavy, startedAt);
    if (closing !== null && at > closing) this.#tallies.add(about, { from: closing, until: at, seconds: secondsBetween(closing, at) });
  }

  /** `copy` does not hold the backup yet. */
  stored(backup: SimulatedBackup, copy: SimulatedCopy): void {
    const before = copy.backups.at(-1);
    if (before === undefined) {
      const { from } = this.#input;
      this.#tallies.add(this.#of(copy, "unprotected", "note"), { from, until: backup.at, seconds: secondsBetween(from, backup.at) });
    } else this.#between(before, backup.at, copy);
  }

  /** From the end of one backup to the end of the next, or to the end of it all. */
  #between(before: SimulatedBackup, until: Date, copy: SimulatedCopy): void {
    const { rpoSeconds, rtoSeconds } = this.#input.objectives;
    const lossSeconds = secondsBetween(before.at, until);
    if (!copy.place.hasLog && lossSeconds > rpoSeconds)
      this.#tallies.add(this.#of(copy, "rpo", "breach", { objectiveSeconds: rpoSeconds }), { from: secondsLater(before.at, rpoSeconds), until, seconds: lossSeconds });
    const seconds = this.#model.restoreSeconds(until) + (copy.place.hasLog ? this.#model.replaySeconds(before.startedAt, until) : 0);
    if (seconds > rtoSeconds) {
      const about = this.#of(copy, "rto", "breach", { objectiveSeconds: rtoSeconds, ...this.#onAssumption("breach", [...RESTORE, "dailyWalBytes", "replayBytesPerSecond"]) });
      this.#tallies.add(about, { from: before.at, until, seconds });
    }
  }

  removed(backup: SimulatedBackup, copy: SimulatedCopy, now: Date): void {
    const since = copy.heldSince.get(backup.id);
    if (since !== undefined) this.#heldFrom(backup, since, now, copy);
  }

  #heldFrom(backup: SimulatedBackup, since: Date, until: Date, copy: SimulatedCopy): void {
    this.#tallies.add(this.#of(copy, "held-for-dependents", "note", { type: backup.type }), { from: since, until, seconds: secondsBetween(since, until) });
  }

  dayEnded(copy: SimulatedCopy, now: Date): void {
    const { backups, place } = copy;
    const ids = new Set(backups.map(({ id }) => id));
    for (const { type, ancestors } of backups) if (ancestors.some((id) => !ids.has(id))) this.#tallies.add(this.#of(copy, "orphan", "breach", { type }), { from: now, until: now });
    for (const type of BACKUP_TYPES)
      if (!place.rules.has(type) && backups.some((backup) => backup.type === type))
        this.#tallies.add(this.#of(copy, "never-expires", "warning", { type }), { from: now, until: now });
    if (place.hasLog) this.#watchLogWindow(copy, now);
  }

  #watchLogWindow(copy: SimulatedCopy, now: Date): void {
    const { firstAt, backups, place } = copy;
    const recoverableFrom = copy.recoverableFrom();
    if (firstAt === null || place.logRetentionSeconds === null) return;
    const wanted = secondsLater(now, -place.logRetentionSeconds);
    if (firstAt <= wanted && (recoverableFrom === null || recoverableFrom > wanted)) {
      const seconds = recoverableFrom === null ? place.logRetentionSeconds : secondsBetween(wanted, recoverableFrom);
      this.#tallies.add(this.#of(copy, "window-short", "breach", { type: "log", objectiveSeconds: place.logRetentionSeconds }), { from: now, until: now, seconds });
    }
    const oldest = backups[0]?.at;
    if (oldest === undefined || recoverableFrom === null || oldest >= recoverableFrom) return;
    this.#tallies.add(this.#of(copy, "single-points", "note"), { from: now, until: now, seconds: secondsBetween(oldest, recoverableFrom) });
  }

  close(copies: readonly SimulatedCopy[], firstBackupAt: Date | null, until: Date): SimulatedProblem[] {
    for (const copy of copies) {
      const last = copy.backups.at(-1);
      if (last !== undefined) this.#between(last, until, copy);
      for (const backup of copy.backups) {
        const since = copy.heldSince.get(backup.id);
        if (since !== undefined) this.#heldFrom(backup, since, until, copy);
      }
      if (copy.place.hasLog && firstBackupAt !== null) this.#watchLogSlots(copy, firstBackupAt, until);
    }
    for (const { type, schedule } of this.#input.backups) {
      const times = countSlots(schedule, this.#input.from, until).count;
      if (times > 0 && !this.#ran.has(type)) this.#tallies.add({ ...BARE, kind: "never", severity: "breach", type }, { from: this.#input.from, until, times });
    }
    return describeProblems(this.#tallies.values(), copies.length);
  }

  #watchLogSlots(copy: SimulatedCopy, from: Date, until: Date): void {
    const schedule = this.#input.log?.schedule;
    if (schedule === undefined || schedule.kind === "stream") return;
    const { rpoSeconds } = this.#input.objectives;
    const about = this.#of(copy, "rpo", "breach", { type: "log", objectiveSeconds: rpoSeconds });
    for (const { at, seconds, times } of longIntervals(schedule, from, until, rpoSeconds))
      this.#tallies.add(about, { from: secondsLater(at, rpoSeconds), until: new Date(Math.min(until.getTime(), secondsLater(at, seconds * times).getTime())), seconds, times });
  }

  #of(copy: SimulatedCopy, kind: ProblemAbout["kind"], severity: ProblemAbout["severity"], more: Partial<ProblemAbout> = {}): ProblemAbout {
    return { ...BARE, kind, severity, repository: copy.place.repository, ...more };
  }

  /** What follows from a number that nobody gave is no verdict about the policy. */
  #onAssumption(severity: ProblemAbout["severity"], from: readonly (keyof Assumptions)[]): Pick<ProblemAbout, "severity" | "assumed"> {
    const assumed = from.some((key) => this.#input.defaulted.has(key));
    return { severity: assumed ? "warning" : severity, assumed };
  }
}

const BARE: Omit<ProblemAbout, "kind" | "severity"> = { repository: null, type: null, objectiveSeconds: null, assumed: false };
const RESTORE: readonly (keyof Assumptions)[] = ["databaseBytes", "restoreBytesPerSecond"];

/** The intervals between log slots that are longer than the objective. Regular ones are one answer with a number of times. */
function* longIntervals(schedule: Schedule, from: Date, until: Date, rpoSeconds: number): Generator<{ at: Date; seconds: number; times: number }> {
  if (schedule.kind === "every") {
    const times = countSlots(schedule, from, until).count;
    if (schedule.seconds > rpoSeconds && times > 0) yield { at: from, seconds: schedule.seconds, times };
    return;
  }
  for (let at = from, next = nextSlot(schedule, at); next !== null && next <= until; at = next, next = nextSlot(schedule, at)) {
    const seconds = secondsBetween(at, next);
    if (seconds > rpoSeconds) yield { at, seconds, times: 1 };
  }
}

function secondsBetween(a: Date, b: Date): number {
  return Math.round((b.getTime() - a.getTime()) / 1000);
}

function secondsLater(at: Date, seconds: number): Date {
  return new Date(at.getTime() + seconds * 1000);
}
