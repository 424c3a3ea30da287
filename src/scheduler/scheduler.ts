import type { Catalog } from "../catalog/catalog.ts";
import { commandEnded, queuedCommands } from "../catalog/commands.ts";
import type { Command } from "../catalog/commands.ts";
import { firstSuccess, lastHandledSlot } from "../catalog/runs.ts";
import type { Clock } from "../clock.ts";
import type { Inventory, SourceConfig } from "../policy/types.ts";
import { Copying } from "./copying.ts";
import { afterTaking, findDue, inTurn, taskOf } from "./tasks.ts";
import type { PassedOver, Task, Waited } from "./tasks.ts";
import type { JobEnd, Workers } from "./workers.ts";

/** What the scheduler needs of the world around it. */
export interface SchedulerOptions {
  readonly inventory: Inventory;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly workers: Workers;
  /** Absolute path of a job's file by its name. */
  readonly jobFile: (name: string) => string;
  /** Puts slots on record that will not be run. */
  readonly recordPassedOver: (passed: PassedOver) => Promise<void>;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}

const TICK_MS = 500;
/** A stream that ended is started again after this long, doubled each time up to the limit. */
const STREAM_RESTART_MS = { first: 1000, most: 60_000 } as const;
const PAUSE_AFTER_FAILURE_MS = 5000;
/** A command whose job fails before its run is on record is tried so often, and then given up. */
const MOST_COMMAND_TRIES = 3;
/** Of the ten seconds that a stop may take: running jobs get these to finish or cancel, the rest is for closing. */
const STOP_DEADLINE_MS = 7000;

/**
 * Wakes up, asks what is due (a function of policies, history and time), and runs it: one heavy operation per source at a time, the most urgent first and none for ever last. Nothing depends on a timer having fired.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #copying: Copying;
  readonly #busy = new Map<string, Task>();
  readonly #waited = new Map<string, Waited>();
  readonly #streams = new Map<string, { delayMs: number; notBeforeMs: number }>();
  readonly #pausedUntilMs = new Map<string, number>();
  readonly #commandTries = new Map<string, number>();
  #stopping = false;
  #loop: Promise<void> = Promise.resolve();
  #lastTickMs = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#copying = new Copying({ ...options, inventoryFile: options.inventory.file });
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
    await this.#loop;
    const stubborn = await this.#options.workers.stopAll(STOP_DEADLINE_MS);
    if (stubborn.length > 0) this.#options.log("jobs did not stop in time and were ended", { jobs: stubborn });
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#lastTickMs = this.#options.clock.monotonicMs();
      const commands = this.#readCommands();
      for (const source of this.#options.inventory.sources.values()) {
        try {
          this.#keepStreaming(source);
          this.#copying.keep(source);
          await this.#startDue(source, commands.get(source.name) ?? []);
        } catch (error) {
          // One source's trouble (its evidence cannot be written, say) must not stop the others.
          this.#options.log("cannot schedule", { source: source.name, error: String(error) });
        }
      }
      await this.#options.clock.sleep(TICK_MS);
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

  async #startDue(source: SourceConfig, commands: readonly Command[]): Promise<void> {
    const { catalog, clock } = this.#options;
    const due = findDue(source, historyOf(catalog, source.name), clock.now());
    const running = this.#busy.get(source.name);
    for (const passed of due.passedOver) if (passed.outcome === "superseded") await this.#options.recordPassedOver(passed);
    const waited = this.#waited.get(source.name) ?? new Map();
    const wanted = [...commands.map(taskOf), ...due.run];
    const next = inTurn(wanted, waited).find((task) => (task.operation === "log" || running === undefined) && this.#mayStart(task));
    if (next === undefined || this.#stopping) return;
    if (next.operation !== "log") this.#waited.set(source.name, afterTaking(next, wanted, waited));
    // Missed slots go on record when the one that serves them is taken up, not each time we look.
    for (const passed of due.passedOver)
      if (next.slot !== null && passed.outcome === "missed" && passed.operation === next.operation && passed.type === next.type) await this.#options.recordPassedOver(passed);
    this.#launch(next);
  }

  #mayStart(task: Task): boolean {
    const name = nameOf(task);
    return !this.#options.workers.isRunning(name) && this.#options.clock.monotonicMs() >= (this.#pausedUntilMs.get(name) ?? 0);
  }

  #launch(task: Task): void {
    const { workers, jobFile, log, inventory } = this.#options;
    const exclusive = task.operation !== "log";
    if (exclusive) this.#busy.set(task.source, task);
    if (task.command !== null) this.#commandTries.set(task.command.id, (this.#commandTries.get(task.command.id) ?? 0) + 1);
    log("job started", { ...task });
    const startedMs = this.#options.clock.monotonicMs();
    workers
      .run(nameOf(task), jobFile(task.operation), { config: inventory.file, task })
      .then((end) => this.#ended(task, end, (this.#options.clock.monotonicMs() - startedMs) / 1000))
      .catch((error: unknown) => log("job could not be run", { ...task, error: String(error) }))
      .finally(() => {
        if (exclusive) this.#busy.delete(task.source);
      });
  }

  #ended(task: Task, end: JobEnd, seconds: number): void {
    // A job that fails before its run is on record leaves its slot due: not again at once.
    if (end.kind !== "result") this.#pausedUntilMs.set(nameOf(task), this.#options.clock.monotonicMs() + PAUSE_AFTER_FAILURE_MS);
    this.#options.log(end.kind === "result" ? "job finished" : "job failed", { ...task, seconds, ...(end.kind === "result" ? {} : { message: end.message }) });
  }

  /** A streamed log is one job that should never end. When it does, it is started again, ever more slowly. */
  #keepStreaming(source: SourceConfig): void {
    const { workers, jobFile, clock, inventory, log } = this.#options;
    const name = `${source.name}.stream`;
    if (source.policy.log?.schedule.kind !== "stream" || workers.isRunning(name) || this.#stopping) return;
    const state = this.#streams.get(name) ?? { delayMs: STREAM_RESTART_MS.first, notBeforeMs: 0 };
    if (clock.monotonicMs() < state.notBeforeMs) return;
    const startedMs = clock.monotonicMs();
    this.#streams.set(name, { ...state, notBeforeMs: Number.POSITIVE_INFINITY });
    workers
      .run(name, jobFile("stream"), { config: inventory.file, task: { source: source.name, slot: null, command: null } })
      .then((end) => {
        const lasted = clock.monotonicMs() - startedMs;
        const delayMs = lasted > STREAM_RESTART_MS.most ? STREAM_RESTART_MS.first : Math.min(state.delayMs * 2, STREAM_RESTART_MS.most);
        this.#streams.set(name, { delayMs, notBeforeMs: clock.monotonicMs() + delayMs });
        log("WAL stream ended", {
          source: source.name,
          ...(end.kind === "result" ? {} : { message: end.message }),
          ...(this.#stopping ? {} : { restartInSeconds: delayMs / 1000 }),
        });
      })
      .catch((error: unknown) => log("job could not be run", { source: source.name, error: String(error) }));
  }
}

function nameOf(task: Task): string {
  return `${task.source}.${task.operation}`;
}

function historyOf(catalog: Catalog, source: string): Parameters<typeof findDue>[1] {
  return { lastHandled: (operation, type) => lastHandledSlot(catalog, source, operation, type), firstBackupAt: firstSuccess(catalog, source, "backup") };
}
