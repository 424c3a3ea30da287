import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** What one thread does of a year: plays some of the sources in a catalog of their own, or counts their slots in the catalog of all. */
export interface YearTask {
  readonly kind: "play" | "account";
  readonly file: string;
  /** How many sources there are, and those of this thread: every `threads`-th from `thread` on. */
  readonly sources: number;
  readonly thread: number;
  readonly threads: number;
  readonly from: Date;
  readonly until: Date;
}

/** Runs tasks at the same time, each in a thread of its own; their answers in the order of the tasks. */
export async function inThreads<Answer>(tasks: readonly YearTask[], say: (text: string) => void): Promise<Answer[]> {
  return Promise.all(
    tasks.map(async (task) => {
      const worker = new Worker(new URL("year-thread.ts", import.meta.url), { workerData: task });
      const answers: Answer[] = [];
      worker.on("message", (message: { say: string } | { answer: Answer }) => {
        if ("answer" in message) answers.push(message.answer);
        else say(`thread ${task.thread + 1}: ${message.say}`);
      });
      // An error in the thread is thrown here.
      await once(worker, "exit");
      const [answer] = answers;
      if (answer === undefined) throw new Error("a thread ended without an answer");
      return answer;
    }),
  );
}
