import { once } from "node:events";
import Bree from "bree";
import type { Clock } from "../clock.ts";
import { HoldfastError, messageOf } from "../errors.ts";

/** What a job posts: notices on the way, and one report before it ends. */
export interface JobReport {
  readonly kind: "result" | "failed" | "notice";
  readonly message: string | null;
}

/** How a job ended. `lost`: its thread died without a word. */
export type JobEnd = { readonly kind: "result" } | { readonly kind: "failed" | "lost"; readonly message: string };

/**
 * Bree, with its three traps closed (each reproduced before this was written): `run` on a running job is dropped with a log line, `stop` waits for ever for a job that ignores it, and posting "done"
 * kills a worker in the middle of its work. Jobs here never post "done"; they report, close their port, and end.
 */
export class Workers {
  readonly #bree: Bree;
  readonly #clock: Clock;
  readonly #reports = new Map<string, JobReport>();

  constructor(clock: Clock, onNotice: (job: string, notice: string) => void) {
    this.#clock = clock;
    this.#bree = new Bree({
      root: false,
      doRootCheck: false,
      logger: false,
      defaultExtension: "ts",
      acceptedExtensions: [".ts"],
      errorHandler: (error: unknown, { name }: { name: string }) => void this.#reports.set(name, { kind: "failed", message: messageOf(error) }),
      workerMessageHandler: ({ name, message }: { name: string; message: unknown }) => {
        if (!isReport(message)) return;
        if (message.kind === "notice") onNotice(name, message.message ?? "");
        else this.#reports.set(name, message);
      },
    });
  }

  isRunning(name: string): boolean {
    return this.#bree.workers.has(name);
  }

  get running(): string[] {
    return [...this.#bree.workers.keys()];
  }

  /** Runs a job in a thread of its own, and resolves when the thread has ended. */
  async run(name: string, file: string, workerData: object): Promise<JobEnd> {
    if (this.isRunning(name)) throw new HoldfastError("HF-BUG", `the job ${name} runs already`);
    this.#reports.delete(name);
    await this.#bree.add({ name, path: file, worker: { workerData } });
    await this.#bree.run(name);
    const worker = this.#bree.workers.get(name);
    if (worker !== undefined) await once(worker, "exit");
    await this.#bree.remove(name);
    const report = this.#reports.get(name);
    if (report?.kind === "result") return { kind: "result" };
    return report === undefined ? { kind: "lost", message: "its thread ended without a word" } : { kind: "failed", message: report.message ?? "unknown" };
  }

  /** Asks one job to stop; nothing where it does not run. */
  cancel(name: string): void {
    this.#bree.workers.get(name)?.postMessage("cancel");
  }

  /** Asks all jobs to stop, and ends the threads of those that have not by the deadline. */
  async stopAll(deadlineMs: number): Promise<string[]> {
    for (const worker of this.#bree.workers.values()) worker.postMessage("cancel");
    const since = this.#clock.monotonicMs();
    while (this.#bree.workers.size > 0 && this.#clock.monotonicMs() - since < deadlineMs) await this.#clock.sleep(50);
    const stubborn = this.running;
    await Promise.all([...this.#bree.workers.values()].map((worker) => worker.terminate()));
    return stubborn;
  }
}

function isReport(message: unknown): message is JobReport {
  return typeof message === "object" && message !== null && "kind" in message && (message.kind === "result" || message.kind === "failed" || message.kind === "notice");
}
