import { commandEnded, queuedCommands } from "../catalog/commands.ts";
import type { Command } from "../catalog/commands.ts";
import type { Pause } from "../domain/pause.ts";
import type { SourceConfig } from "../policy/types.ts";
import { pauseAt } from "../domain/pause.ts";
import { Copying } from "./copying.ts";
import { Scrubbing } from "./scrubbing.ts";
import { findDue } from "./find-due.ts";
import { Holds } from "./holds.ts";
import { mustWaitFor } from "./limits.ts";
import type { SchedulerOptions } from "./scheduler-options.ts";
import { pausesBySource, SlotHistory } from "./slot-history.ts";
import { StreamKeeper } from "./stream-keeper.ts";
import { afterTaking, inTurn, taskOf } from "./tasks.ts";
import type { PassedOver, Task, Waited } from "./tasks.ts";
import type { JobEnd } from "./workers.ts";

const TICK_MS = 500;
const PAUSE_AFTER_FAILURE_MS = 5000;
/** A command whose job fails before its run is on record is tried so often, and then given up. */
const MOST_COMMAND_TRIES = 3;
/** Of the ten seconds that a stop may take: running jobs get these to finish or cancel, the rest is for closing. */
const STOP_DEADLINE_MS = 7000;

/**
 * Wakes up, asks what is due (a function of policies, history and time), and runs it: one heavy operation per source at a time, the most urgent first and none for ever last, and over all sources no more
 * than the inventory allows. Nothing depends on a timer having fired.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #copying: Copying;
  readonly #scrubbing: Scrubbing;
  readonly #history: SlotHistory;
  readonly #streams: StreamKeeper;
  readonly #holds: Holds;
  readonly #running = new Map<string, Task>();
  readonly #waited = new Map<string, Waited>();
  readonly #notBeforeMs = new Map<string, number>();
  readonly #commandTries = new Map<string, number>();
  #stopping = false;
  #loop: Promise<void> = Promise.resolve();
  #lastTickMs = 0;
  /** Where the next look begins: if there is less room than work, each source is first in its turn. */
  #first = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#copying = new Copying({ ...options, inventoryFile: options.inventory.file });
    this.#scrubbing = new Scrubbing({ ...options, inventoryFile: options.inventory.file });
    this.#history = new SlotHistory(options.catalog, options.clock);
    this.#streams = new StreamKeeper(options);
    this.#holds = new Holds(options.clock.now());
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** True while ticks come as they should. */
  get isAlive(): boolean {
    return !this.#stopping && this.#options.clock.monotonicMs() - this.#lastTickMs < 20 * TICK_MS;
  }

  /** Starts nothing more, cancels what runs, and returns when all of it has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#streams.stop();
    await this.#loop;
    const stubborn = await this.#options.workers.stopAll(STOP_DEADLINE_MS);
    if (stubborn.length > 0) this.#options.log("jobs did not stop in time and were ended", { jobs: stubborn });
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#lastTickMs = this.#options.clock.monotonicMs();
      // What could not be promised is not begun, nor anything by one that no longer is the one to schedule.
      const isInOrder = await this.#isolated({}, async () => this.#options.keepHouse());
      if (isInOrder) await this.#isolated({}, async () => this.#lookAtAll());
      await this.#options.clock.sleep(TICK_MS);
    }
  }

  /** One look at every source. */
  async #lookAtAll(): Promise<void> {
    const { catalog, inventory, clock } = this.#options;
    const commands = this.#readCommands();
    const pauses = pausesBySource(catalog, clock.now());
    const sources = [...inventory.sources.values()];
    const from = this.#first;
    for (let i = 0; i < sources.length; i++) {
      const index = (from + i) % sources.length;
      const source = sources[index];
      if (source === undefined || this.#stopping) continue;
      // One source's trouble (its evidence cannot be written, say) must not stop the others.
      await this.#isolated({ source: source.name }, async () => {
        this.#streams.keep(source);
        this.#copying.keep(source);
        this.#scrubbing.keep(source, pauseAt(pauses.get(source.name) ?? [], clock.now()) !== null);
        if (await this.#startDue(source, commands.get(source.name) ?? [], pauses.get(source.name) ?? [])) this.#first = (index + 1) % sources.length;
      });
    }
  }

  async #isolated(about: Readonly<Record<string, unknown>>, act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.#options.log("cannot schedule", { ...about, error: String(error) });
      return false;
    }
  }

  /** Commands that wait, by source. Those that can never run are ended. */
  #readCommands(): Map<string, Command[]> {
    const { catalog, inventory, clock } = this.#options;
    const queued = queuedCommands(catalog);
    const giveUp = ({ id }: Command, reason: string): void => commandEnded(catalog, id, { state: "failed", reason, at: clock.now().toISOString() });
    for (const command of queued) {
      if (!inventory.sources.has(command.source)) giveUp(command, "the inventory has no such source any more");
      else if ((this.#commandTries.get(command.id) ?? 0) >= MOST_COMMAND_TRIES) giveUp(command, "its job failed before it could begin");
    }
    return Map.groupBy(queued, ({ source }) => source);
  }

  /** Starts at most one thing of a source; whether it did. */
  async #startDue(source: SourceConfig, commands: readonly Command[], pauses: readonly Pause[]): Promise<boolean> {
    const due = findDue(source, this.#history.of(source.name), this.#options.clock.now(), pauses);
    const waited = this.#waited.get(source.name) ?? new Map();
    const wanted = [...commands.map(taskOf), ...due.run];
    const next = inTurn(wanted, waited).find((task) => this.#mayStart(task));
    for (const passed of due.passedOver) if (isFinal(passed, due.passedOver, next)) await this.#passOver(passed);
    if (next === undefined || this.#isStopping()) return false;
    if (next.operation !== "log") this.#waited.set(source.name, afterTaking(next, wanted, waited));
    this.#launch({ ...next, late: this.#holds.lateReason(next, this.#options.clock.now()) });
    return true;
  }

  #isStopping(): boolean {
    return this.#stopping;
  }

  async #passOver(passed: PassedOver): Promise<void> {
    await this.#options.recordPassedOver(passed);
    this.#history.forget(passed.source, passed.operation, passed.type);
  }

  #mayStart(task: Task): boolean {
    const name = nameOf(task);
    if (this.#running.has(name) || this.#options.workers.isRunning(name)) return this.#holds.hold(task, "its run for an earlier slot went on");
    if (this.#options.clock.monotonicMs() < (this.#notBeforeMs.get(name) ?? 0)) return this.#holds.hold(task, "its job had failed to begin");
    if (task.operation === "log") return true;
    const others = [...this.#running.values()].filter(({ operation }) => operation !== "log");
    if (others.some(({ source }) => source === task.source)) return this.#holds.hold(task, "other work of its source ran");
    const limit = mustWaitFor(task, others, this.#options.inventory);
    return limit === null || this.#holds.hold(task, limit);
  }

  #launch(task: Task): void {
    const { workers, jobFile, log, inventory } = this.#options;
    const name = nameOf(task);
    this.#running.set(name, task);
    if (task.command !== null) this.#commandTries.set(task.command.id, (this.#commandTries.get(task.command.id) ?? 0) + 1);
    const { schedule: _, ...about } = task;
    log("job started", about);
    const startedMs = this.#options.clock.monotonicMs();
    workers
      .run(name, jobFile(task.operation), { config: inventory.file, task })
      .then(async (end) => this.#ended(task, end, (this.#options.clock.monotonicMs() - startedMs) / 1000))
      .catch((error: unknown) => log("job could not be run", { ...about, error: String(error) }))
      .finally(() => {
        this.#running.delete(name);
        this.#holds.release(task);
        this.#history.forget(task.source, task.operation, task.type);
      });
  }

  async #ended(task: Task, end: JobEnd, seconds: number): Promise<void> {
    const { schedule: _, ...about } = task;
    this.#options.log(end.kind === "result" ? "job finished" : "job failed", { ...about, seconds, ...(end.kind === "result" ? {} : { message: end.message }) });
    if (end.kind === "result") return;
    // A job that fails before its run is on record leaves its slot due: not again at once.
    this.#notBeforeMs.set(nameOf(task), this.#options.clock.monotonicMs() + PAUSE_AFTER_FAILURE_MS);
    await this.#options.closeLost(task);
  }
}

function nameOf(task: Task): string {
  return `${task.source}.${task.operation}`;
}

/**
 * Whether slots go on record now. What is superseded or skipped does at once, and with it what was missed before it; what a later slot serves, when that one is taken up, not each time we look.
 */
function isFinal(passed: PassedOver, all: readonly PassedOver[], next: Task | undefined): boolean {
  const isSame = (other: { readonly operation: string; readonly type: string | null }): boolean => other.operation === passed.operation && other.type === passed.type;
  if (passed.outcome !== "missed") return true;
  if (all.some((other) => other.outcome !== "missed" && isSame(other) && other.slot > passed.slot)) return true;
  return typeof next?.slot === "string" && isSame(next);
}
