import type { Task } from "./tasks.ts";

/** Work that begins this much later than its slot is late, and says why. */
const LATE_MS = 60_000;

/** Why work that is due did not begin at its time: what stood in its way last, kept until its job has ended. */
export class Holds {
  readonly #since: Date;
  readonly #reasons = new Map<string, string>();

  /** `since`: when scheduling began. What was due before it could not begin in time. */
  constructor(since: Date) {
    this.#since = since;
  }

  /** Notes the reason; always false, for the one who asks whether a task may begin. */
  hold(task: Task, reason: string): false {
    this.#reasons.set(keyOf(task), reason);
    return false;
  }

  release(task: Task): void {
    this.#reasons.delete(keyOf(task));
  }

  /** Null: it begins in its time, or serves no slot. Texts without figures: slots that are late for the same reason are one interval. */
  lateReason(task: Task, now: Date): string | null {
    if (task.slot === null || task.attempt > 1) return null;
    const slot = new Date(task.slot);
    if (now.getTime() - slot.getTime() <= LATE_MS) return null;
    if (slot < this.#since) return "began late: nothing ran at its time";
    const usual = task.operation === "backup" ? "it waited for its window, or others of its hour" : "the scheduler came late";
    return `began late: ${this.#reasons.get(keyOf(task)) ?? usual}`;
  }
}

function keyOf({ source, operation, type }: Task): string {
  return JSON.stringify([source, operation, type]);
}
