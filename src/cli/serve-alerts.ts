import path from "node:path";
import { AlertKeeper } from "../alerts/alert-keeper.ts";
import type { App } from "../app.ts";
import type { SystemAlertFacts } from "../domain/alert-facts.ts";
import { recordEntry } from "../operations/record-run.ts";

/** How often what is wrong is looked for. */
const LOOK_EVERY_MS = 3000;

export interface ServedAlerts {
  readonly isSchedulerOnTime: () => boolean;
  readonly onTrouble: (error: unknown) => void;
}

/** Keeps alerts as they should be until stopped. */
export async function keepAlerts(app: App, { isSchedulerOnTime, onTrouble }: ServedAlerts, signal: AbortSignal): Promise<void> {
  const keeper = new AlertKeeper({
    catalog: app.catalog,
    clock: app.clock,
    sources: [...app.inventory.sources.values()],
    systemFacts: () => systemFacts(app, isSchedulerOnTime()),
    record: (kind, facts) => recordEntry(app.journal, kind, facts),
  });
  const copy = copierOf(app, onTrouble);
  while (!signal.aborted) {
    try {
      if ((await keeper.look()) > 0) copy.want();
    } catch (error) {
      onTrouble(error);
    }
    await app.clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }
  await copy.ended();
}

/** Copies what is on record to the repositories beside everything else: one may be what is wrong, and answer late. Wanted again while it is under way, it begins anew afterwards. */
function copierOf(app: App, onTrouble: (error: unknown) => void): { want(): void; ended(): Promise<void> } {
  let [isWanted, running] = [false, Promise.resolve()];
  let isRunning = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    while (isWanted) {
      isWanted = false;
      await app.journal.copyToRepositories().catch(onTrouble);
    }
    isRunning = false;
  };
  return {
    want: () => {
      isWanted = true;
      if (!isRunning) running = run();
    },
    ended: async () => running,
  };
}

function systemFacts({ findings }: App, schedulerOnTime: boolean): SystemAlertFacts {
  return {
    schedulerOnTime,
    findings: findings.map(({ severity, file, line, message, sources }) => ({ severity, place: `${path.basename(file)}:${line}`, message, sources })),
    expiring: [],
    access: [],
    channels: [],
  };
}
