import { oldestPending } from "../catalog/slot-intervals.ts";
import { thinSamples } from "../catalog/exposure-spans.ts";
import { thinOldFigures } from "../catalog/thin-figures.ts";
import { fullResolutionMs } from "../domain/exposure-spans.ts";
import type { SourceConfig } from "../policy/types.ts";
import { commitSchedule } from "./commit-schedule.ts";
import { repositoriesOf } from "./installation.ts";
import type { Installation } from "./installation.ts";
import { recordPending } from "./record-run.ts";
import { recordOldLedger } from "./verify/record-ledger.ts";

/** What a process that schedules does beside it: promise what will be due, put frequent work into the evidence, and keep the catalog small. */
const PROMISE_EVERY_MS = 60_000;
const THIN_EVERY_MS = 600_000;
/** So old may what frequent work did become before it is evidence. What is not there yet is in the catalog, which outlives the process. */
const RECORD_AFTER_MS = 3_600_000;

/** How often each source is looked at: often enough for its objective, and never idle or frantic. */
const OBSERVE_SECONDS = { shortest: 2, longest: 15, perRpo: 10 } as const;

export function observeEverySeconds({ objectives }: SourceConfig): number {
  return Math.min(OBSERVE_SECONDS.longest, Math.max(OBSERVE_SECONDS.shortest, objectives.rpoSeconds / OBSERVE_SECONDS.perRpo));
}

/** Asked again and again; does each thing when it is time for it. */
export class House {
  readonly #installation: Installation;
  #promiseAtMs = 0;
  #thinAtMs = 0;

  constructor(installation: Installation) {
    this.#installation = installation;
  }

  /** What will be due is another than was promised: the next look promises it anew. */
  promiseAnew(): void {
    this.#promiseAtMs = 0;
  }

  async keep(): Promise<void> {
    const { clock, journal, inventory } = this.#installation;
    const nowMs = clock.monotonicMs();
    if (nowMs >= this.#promiseAtMs) {
      await commitSchedule(journal, inventory);
      await this.#recordOld();
      this.#promiseAtMs = nowMs + PROMISE_EVERY_MS;
    }
    if (nowMs < this.#thinAtMs) return;
    this.#thinAtMs = nowMs + THIN_EVERY_MS;
    thinCatalog(this.#installation);
  }

  async #recordOld(): Promise<void> {
    const { catalog, clock, journal } = this.#installation;
    if (await recordOldLedger(journal)) await journal.copyToRepositories();
    const oldest = oldestPending(catalog);
    if (oldest === null || clock.now().getTime() - Date.parse(oldest) < RECORD_AFTER_MS) return;
    await recordPending(journal, null);
    await journal.copyToRepositories();
  }
}

/** Merges old samples, and keeps of old figures what reports count. */
function thinCatalog({ catalog, inventory, clock }: Installation): void {
  const now = clock.now();
  const sources = [...inventory.sources.values()];
  const perSecond = sources.reduce((sum, source) => sum + repositoriesOf(source).length / observeEverySeconds(source), 0);
  const fullSince = new Date(now.getTime() - fullResolutionMs(perSecond));
  for (const source of sources) {
    const objectiveSeconds = source.objectives.rpoSeconds;
    for (const repository of repositoriesOf(source)) thinSamples(catalog, { source: source.name, repository }, { now, fullSince, objectiveSeconds });
  }
  thinOldFigures(catalog, now);
}
