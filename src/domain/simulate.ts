import type { FeasibilityInput } from "./feasibility.ts";
import { countSlots, previousSlot } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import { BackupTurns, makeBackup } from "./simulated-backups.ts";
import type { SimulatedStart } from "./simulated-backups.ts";
import { SimulatedCopy } from "./simulated-copy.ts";
import type { CopyDay, CopyRules, SimulatedBackup } from "./simulated-copy.ts";
import { SimulationModel } from "./simulation-model.ts";
import type { Assumptions } from "./simulation-model.ts";
import { SimulationFindings } from "./simulation-findings.ts";
import type { SimulatedProblem } from "./simulation-problems.ts";
import type { Window } from "./window.ts";

/**
 * A policy played through, day by day, by the functions that decide in earnest: what is due, what supersedes what, which parent, what retention keeps. Only sizes and speeds are made up.
 * Everything goes as planned: no failures, no clock that jumps. What does not hold here holds nowhere.
 */
export interface SimulationInput extends FeasibilityInput {
  readonly heavy: readonly Window[];
  readonly blackout: readonly Window[];
  readonly verify: Schedule | null;
  readonly drills: Schedule | null;
  readonly expire: Schedule;
  /** Of the repositories that lock what is written in them: how long beyond retention. */
  readonly locks?: ReadonlyMap<string, { readonly marginSeconds: number }>;
  /** 00:00 UTC. */
  readonly from: Date;
  readonly days: number;
  readonly assumptions: Assumptions;
  /** Those that were not told: what follows from them is a warning only. */
  readonly defaulted: ReadonlySet<keyof Assumptions>;
}

export interface RunCounts {
  readonly full: number;
  readonly differential: number;
  readonly incremental: number;
  /** Due within the hour of a stronger one; counts as done. */
  readonly superseded: number;
  readonly missed: number;
  readonly log: number;
  readonly verify: number;
  readonly drill: number;
  readonly expire: number;
}

export interface SimulatedDay {
  /** `2026-11-22`, UTC. */
  readonly date: string;
  readonly runs: RunCounts;
  /** At the end of the day. */
  readonly repositories: readonly CopyDay[];
}

export interface Simulation {
  readonly days: readonly SimulatedDay[];
  readonly runs: RunCounts;
  /** In the order of their first moment. */
  readonly problems: readonly SimulatedProblem[];
}

const DAY_MS = 86_400_000;

/** A policy with more backups is not read day by day, and each is weighed against all that are kept. */
const MAX_BACKUPS = 20_000;

/** Null: there would be more backups than a simulation goes through; fewer days will do. */
export function simulate(input: SimulationInput): Simulation | null {
  const until = new Date(input.from.getTime() + input.days * DAY_MS);
  const slots = input.backups.reduce((sum, { schedule }) => sum + countSlots(schedule, input.from, until).count, 0);
  return slots > MAX_BACKUPS ? null : new Run(input, until).play();
}

type Counts = { -readonly [key in keyof RunCounts]: number };

const NOTHING: RunCounts = { full: 0, differential: 0, incremental: 0, superseded: 0, missed: 0, log: 0, verify: 0, drill: 0, expire: 0 };

class Run {
  readonly #input: SimulationInput;
  readonly #until: Date;
  readonly #model: SimulationModel;
  readonly #turns: BackupTurns;
  readonly #copies: ReadonlyMap<string, SimulatedCopy>;
  readonly #findings: SimulationFindings;
  #counts: Counts = { ...NOTHING };
  #pending: SimulatedBackup | null = null;
  #firstBackupAt: Date | null = null;
  #expiredAt: Date;

  constructor(input: SimulationInput, until: Date) {
    this.#input = input;
    this.#until = until;
    this.#model = new SimulationModel(input.assumptions, input.from);
    this.#turns = new BackupTurns(input);
    this.#copies = new Map(copyRules(input).map((rules) => [rules.repository, new SimulatedCopy(rules)]));
    this.#findings = new SimulationFindings(input, this.#model);
    this.#expiredAt = input.from;
  }

  play(): Simulation {
    const days: SimulatedDay[] = [];
    let turn = this.#input.from;
    for (let day = this.#input.from; day < this.#until; day = new Date(day.getTime() + DAY_MS)) {
      const end = new Date(day.getTime() + DAY_MS);
      while (turn < end) turn = this.#turn(turn);
      days.push(this.#endDay(day, end));
    }
    const copies = [...this.#copies.values()];
    return { days, runs: days.map((day) => day.runs).reduce(add, NOTHING), problems: this.#findings.close(copies, this.#firstBackupAt, this.#until) };
  }

  /** One look at what is due; answers when to look again. */
  #turn(now: Date): Date {
    this.#finish(now);
    this.#expire(now);
    const { start, superseded } = this.#turns.take(now);
    this.#counts.superseded += superseded;
    return start === null ? this.#turns.nextTurn(now) : this.#begin(start, now);
  }

  /** One operation of a source at a time: nothing else begins before it has ended. */
  #begin(start: SimulatedStart, now: Date): Date {
    const backup = makeBackup(start.rule, now, this.#copies, this.#model);
    this.#counts[backup.type] += 1;
    this.#counts.missed += start.missed;
    this.#findings.began(start, backup);
    this.#pending = backup;
    return backup.at;
  }

  #finish(now: Date): void {
    const backup = this.#pending;
    if (backup === null || backup.at > now) return;
    this.#pending = null;
    this.#firstBackupAt ??= backup.at;
    for (const name of backup.repositories) {
      const copy = this.#copies.get(name);
      if (copy === undefined) continue;
      this.#findings.stored(backup, copy);
      copy.add(backup);
    }
  }

  /** The newest slot serves all since the last look: what age took at an earlier one, it takes now. */
  #expire(now: Date): void {
    const slot = previousSlot(this.#input.expire, now);
    if (this.#firstBackupAt === null || slot === null || slot <= this.#expiredAt) return;
    this.#expiredAt = slot;
    for (const copy of this.#copies.values()) for (const gone of copy.expire(now)) this.#findings.removed(gone, copy, now);
  }

  #endDay(day: Date, end: Date): SimulatedDay {
    this.#finish(end);
    this.#expire(end);
    this.#countOthers(day, end);
    const runs = this.#counts;
    this.#counts = { ...NOTHING };
    const copies = [...this.#copies.values()];
    for (const copy of copies) this.#findings.dayEnded(copy, end);
    return { date: day.toISOString().slice(0, 10), runs, repositories: copies.map((copy) => copy.day(end, this.#model)) };
  }

  /** All else begins with the first backup. Slots are counted, not gone through; one at midnight is of the day that begins. */
  #countOthers(day: Date, end: Date): void {
    if (this.#firstBackupAt === null) return;
    const after = new Date(Math.max(day.getTime(), this.#firstBackupAt.getTime()) - 1);
    const until = new Date(end.getTime() - 1);
    const { log, verify, drills, expire } = this.#input;
    const count = (schedule: Schedule | null): number => (schedule === null ? 0 : countSlots(schedule, after, until).count);
    this.#counts.log = log === null || log.schedule.kind === "stream" ? 0 : count(log.schedule);
    this.#counts.verify = count(verify);
    this.#counts.drill = count(drills);
    this.#counts.expire = count(expire);
  }
}

/** Every repository of the policy, with the rules that `holdfast expire` goes by there. */
function copyRules({ backups, log, locks }: SimulationInput): CopyRules[] {
  const names = new Set([...backups.flatMap(({ repositories }) => repositories), ...(log?.repositories ?? [])]);
  return [...names].map((repository) => ({
    repository,
    rules: new Map(backups.filter(({ repositories }) => repositories.includes(repository)).map(({ type, retention }) => [type, retention])),
    logRetentionSeconds: log?.retentionSeconds ?? null,
    hasLog: log?.repositories.includes(repository) === true,
    lockMarginSeconds: locks?.get(repository)?.marginSeconds ?? null,
  }));
}

function add(a: RunCounts, b: RunCounts): RunCounts {
  return {
    full: a.full + b.full,
    differential: a.differential + b.differential,
    incremental: a.incremental + b.incremental,
    superseded: a.superseded + b.superseded,
    missed: a.missed + b.missed,
    log: a.log + b.log,
    verify: a.verify + b.verify,
    drill: a.drill + b.drill,
    expire: a.expire + b.expire,
  };
}
