import { parentPort, workerData } from "node:worker_threads";
import { openApp } from "../src/app.ts";
import type { App } from "../src/app.ts";
import { systemClock } from "../src/clock.ts";
import { readEnvironment } from "../src/config.ts";
import { armCrashPoint } from "../src/crash-points.ts";
import { HoldfastError, messageOf } from "../src/errors.ts";
import type { OperationContext } from "../src/operations/context.ts";
import { chooseSource } from "../src/operations/installation.ts";
import type { RunTrigger } from "../src/operations/record-run.ts";
import type { Inventory, SourceConfig } from "../src/policy/types.ts";
import type { Task } from "../src/scheduler/tasks.ts";

/** What set a job off: the slot that it serves, or the command that somebody gave. */
function triggerOf({ slot, command, attempt, schedule, late }: Task): RunTrigger {
  if (command === null) return { trigger: "schedule", scheduledFor: slot, attempt, schedule, reason: late };
  return { trigger: "api", scheduledFor: null, runId: command.id, requestedBy: command.requestedBy };
}

export interface JobWork {
  readonly app: App;
  readonly source: SourceConfig;
  readonly task: Task;
  readonly trigger: RunTrigger;
  readonly context: OperationContext;
}

/**
 * The frame of every job: opens the installation in this thread, answers a cancel by aborting its signal, reports how it went, closes its port, and lets the thread end by itself.
 * It never posts "done": Bree would kill the thread at once.
 */
export async function job(work: (work: JobWork) => Promise<void>): Promise<void> {
  const { config, inForce, task } = workerData as { config: string; inForce?: Inventory; task: Task };
  armCrashPoint(readEnvironment().crashAt);
  const stopper = new AbortController();
  parentPort?.on("message", (message: unknown) => {
    if (message === "cancel") stopper.abort(new HoldfastError("HF-INTERRUPTED", "stopped"));
  });
  try {
    const onNotice = (message: string): void => parentPort?.postMessage({ kind: "notice", message });
    await using app = await openApp({ config, clock: systemClock, onNotice, ...(inForce === undefined ? {} : { inForce }) });
    const context: OperationContext = { clock: systemClock, signal: stopper.signal, onProgress: () => undefined, onNotice };
    await work({ app, source: chooseSource(app.inventory, task.source), task, trigger: triggerOf(task), context });
    parentPort?.postMessage({ kind: "result", message: null });
  } catch (error) {
    parentPort?.postMessage({ kind: "failed", message: error instanceof HoldfastError ? `${error.code}: ${error.message}` : messageOf(error) });
  } finally {
    parentPort?.close();
  }
}

/** An argument of a command that is text, or is left out. */
export function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
