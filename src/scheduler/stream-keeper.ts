import type { SourceConfig } from "../policy/types.ts";
import type { SchedulerOptions } from "./scheduler-options.ts";
import type { Task } from "./tasks.ts";

/** A stream that ended is started again after this long, doubled each time up to the limit. */
const RESTART_MS = { first: 1000, most: 60_000 } as const;

/** A streamed log is one job that should never end. When it does, it is started again, ever more slowly. */
export class StreamKeeper {
  readonly #options: SchedulerOptions;
  readonly #streams = new Map<string, { delayMs: number; notBeforeMs: number }>();
  #stopping = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Starts nothing any more. */
  stop(): void {
    this.#stopping = true;
  }

  /** Sees to it that a source that streams does. */
  keep(source: SourceConfig): void {
    const { workers, jobFile, clock, inventory, log } = this.#options;
    const name = `${source.name}.stream`;
    if (source.policy.log?.schedule.kind !== "stream" || workers.isRunning(name) || this.#stopping) return;
    const state = this.#streams.get(name) ?? { delayMs: RESTART_MS.first, notBeforeMs: 0 };
    if (clock.monotonicMs() < state.notBeforeMs) return;
    const startedMs = clock.monotonicMs();
    this.#streams.set(name, { ...state, notBeforeMs: Number.POSITIVE_INFINITY });
    const task: Task = { source: source.name, operation: "log", type: "log", slot: null, attempt: 1, schedule: null, late: null, command: null };
    workers
      .run(name, jobFile("stream"), { config: inventory.file, task })
      .then((end) => {
        const lasted = clock.monotonicMs() - startedMs;
        const delayMs = lasted > RESTART_MS.most ? RESTART_MS.first : Math.min(state.delayMs * 2, RESTART_MS.most);
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
