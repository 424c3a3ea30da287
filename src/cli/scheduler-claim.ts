import type { App } from "../app.ts";
import { claimScheduler, readSchedulerHolder, releaseScheduler } from "../catalog/scheduler-holder.ts";
import type { SchedulerHolder } from "../catalog/scheduler-holder.ts";
import { HoldfastError } from "../errors.ts";
import { holderSchema, isCertainlyDead, thisProcess } from "../repository/process-holder.ts";

/** How often the one that schedules says that it is there, and after how long a silence it is taken for gone: where nobody can tell (it ran in another container). */
const BEAT_MS = 10_000;
const SILENT_MS = 45_000;

/** One process schedules for a state folder. Who was killed makes room at once, who may still live does after its silence. */
export class SchedulerClaim implements Disposable {
  readonly #app: App;
  readonly #holder: string;
  #beatAtMs = 0;

  private constructor(app: App) {
    this.#app = app;
    this.#holder = JSON.stringify(thisProcess(app.journal.hostName));
  }

  /** Throws `HF-BUSY` where another schedules. */
  static take(app: App): SchedulerClaim {
    const claim = new SchedulerClaim(app);
    claim.keep();
    return claim;
  }

  /** Says that we are there, when it is time for it. */
  keep(): void {
    const { clock, catalog } = this.#app;
    if (clock.monotonicMs() < this.#beatAtMs) return;
    const now = clock.now();
    const isOurs = claimScheduler(catalog, this.#holder, now, (before) => !isThere(before, now));
    if (!isOurs)
      throw new HoldfastError("HF-BUSY", "another 'holdfast serve' runs on this state folder", { hint: "stop it first; if it was killed in another container, wait a minute" });
    this.#beatAtMs = clock.monotonicMs() + BEAT_MS;
  }

  [Symbol.dispose](): void {
    releaseScheduler(this.#app.catalog, this.#holder);
  }
}

/** Whether a 'serve' runs on this state folder, as far as can be told. */
export function isServed({ catalog, clock }: Pick<App, "catalog" | "clock">): boolean {
  const holder = readSchedulerHolder(catalog);
  return holder !== null && isThere(holder, clock.now());
}

function isThere({ holder, at }: SchedulerHolder, now: Date): boolean {
  const parsed = holderSchema.safeParse(JSON.parse(holder));
  return parsed.success && !isCertainlyDead(parsed.data) && Math.abs(now.getTime() - Date.parse(at)) <= SILENT_MS;
}
