import type { App } from "../app.ts";
import { settledWithin, systemClock } from "../clock.ts";
import { keepSummary } from "../compliance/source-summary.ts";
import { observeEverySeconds } from "../operations/keep-house.ts";
import { observeAndKeep } from "../operations/observe.ts";
import type { SourceConfig } from "../policy/types.ts";

/** Looks at sources, several at a time: one server or bucket that takes its time must not keep us from the others. Each look waits mostly, and takes a connection of its own. */
const AT_ONCE = 16;

/** Who asks by hand or from cron waits no longer than this for all of it. */
const LOOK_WITHIN_MS = 30_000;

type Trouble = (source: string, error: unknown) => void;

/** Keeps a picture of every source, and samples of its exposure, until stopped. One source's trouble is not another's. `onLook` is told after each look. */
export async function observeRegularly(app: App, signal: AbortSignal, { onLook, onTrouble }: { onLook: (source: SourceConfig) => void; onTrouble: Trouble }): Promise<void> {
  const dueMs = new Map<string, number>();
  const underWay = new Map<string, Promise<void>>();
  const look = async (source: SourceConfig): Promise<void> => {
    await observeOne(app, source)
      .then(() => onLook(source))
      .catch((error: unknown) => onTrouble(source.name, error));
    dueMs.set(source.name, systemClock.monotonicMs() + observeEverySeconds(source) * 1000);
    underWay.delete(source.name);
  };
  while (!signal.aborted) {
    for (const source of app.inventory.sources.values()) {
      if (underWay.has(source.name) || systemClock.monotonicMs() < (dueMs.get(source.name) ?? 0)) continue;
      if (underWay.size >= AT_ONCE) await Promise.race(underWay.values());
      if (isAborted(signal)) break;
      underWay.set(source.name, look(source));
    }
    await systemClock.sleep(500, signal).catch(() => undefined);
  }
  await Promise.all(underWay.values());
}

/** Looks at these sources now. Answers with the names of those that it could not look at in time: of them is known what was known before. */
export async function observeNow(app: App, sources: readonly SourceConfig[]): Promise<string[]> {
  const waiting = [...sources];
  const left = new Set(sources.map(({ name }) => name));
  let isOver = false;
  const failures: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let source = waiting.shift(); source !== undefined && !isOver; source = waiting.shift()) {
      await observeOne(app, source);
      left.delete(source.name);
    }
  };
  const workers = Array.from({ length: AT_ONCE }, async () => work().catch((error: unknown) => (isOver ? undefined : failures.push(error))));
  await settledWithin(app.clock, LOOK_WITHIN_MS, workers);
  isOver = true;
  if (failures.length > 0) throw failures[0];
  return [...left];
}

async function observeOne(app: App, source: SourceConfig): Promise<void> {
  await observeAndKeep(app, source);
  keepSummary(app.catalog, source, app.clock.now());
}

/** Asked anew: it may have happened while we waited. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
