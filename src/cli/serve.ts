import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { pino } from "pino";
import type { Logger } from "pino";
import type { App } from "../app.ts";
import { systemClock } from "../clock.ts";
import { ExposureWatch } from "../compliance/exposure-watch.ts";
import { isInScope } from "../domain/access.ts";
import type { TlsMaterial } from "../api/tls.ts";
import { certificateEnds } from "../api/certificate-ends.ts";
import { addDashboard } from "../dashboard/dashboard.ts";
import { newRunId } from "../operations/installation.ts";
import { sweepScratch } from "../operations/drill/sweep-scratch.ts";
import { keepEvidence } from "../operations/evidence/keep-evidence.ts";
import { House } from "../operations/keep-house.ts";
import { measureRegularly } from "../operations/measure-capacity.ts";
import { closeInterrupted, closeLost, recordEntry, recordPending } from "../operations/record-run.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import type { PassedOver } from "../scheduler/tasks.ts";
import { Workers } from "../scheduler/workers.ts";
import { VERSION } from "../version.ts";
import { newCommand, perform } from "./action.ts";
import type { CommonOptions, Tools } from "./action.ts";
import { ConfigurationWatch } from "./configuration-watch.ts";
import { observeRegularly } from "./observe-sources.ts";
import { SchedulerClaim } from "./scheduler-claim.ts";
import { serveAlerts } from "./serve-alerts.ts";
import { listen, openServedApi, readTls } from "./serve-api.ts";

export function serveCommand(): Command {
  return newCommand("serve", "scheduler, WAL streams and API, until stopped", "holdfast serve").action(async (options: CommonOptions) => perform(options, serve));
}

async function serve({ context, openApp }: Tools): Promise<number> {
  const app = await openApp();
  const log = pino({ base: { program: "holdfast" } });
  using claim = SchedulerClaim.take(app);
  const house = new House(app);
  const workers = new Workers(systemClock, (job, notice) => log.info({ job }, notice));
  const configuration = watchConfiguration(app, { house, workers, log });
  const scheduler = new Scheduler({
    inventory: app.inventory,
    catalog: app.catalog,
    clock: systemClock,
    workers: withInForce(workers, app),
    jobFile: (name) => fileURLToPath(new URL(`../../jobs/${name}.ts`, import.meta.url)),
    recordPassedOver: (passed) => recordPassedOver(app, passed),
    closeLost: ({ source, operation, slot, command }) => closeLost(app.journal, { source, operation, scheduledFor: slot, run: command?.id ?? null }),
    keepHouse: async () => {
      claim.keep();
      await configuration.keep();
      await house.keep();
    },
    log: (event, fields) => log.info(fields, event),
  });
  const tls = await readTls(app.inventory.api.tls);
  const api = await openServedApi(app, { tls, isSchedulerRunning: () => scheduler.isAlive, log });
  addDashboard(api, {
    catalog: app.catalog,
    inventory: app.inventory,
    clock: systemClock,
    findings: app.findings,
    version: VERSION,
    evidenceHead: () => app.journal.evidence.head(),
    evidence: (upTo, limit) => app.journal.evidence.entriesBefore(upTo, limit),
    visibleSources: ({ identity }) => [...app.inventory.sources.values()].filter((source) => identity !== null && isInScope(identity.scope, source)),
    onError: (error) => log.error({ error: String(error) }, "a page failed"),
  });
  // Servers and folders of drills that were killed.
  await sweepScratch(app.inventory.scratch.directory);
  await closeInterrupted(app.journal);
  const address = await listen(api, app.inventory.api);
  log.info({ address, sources: app.inventory.sources.size, findings: app.findings.length }, "serving");
  scheduler.start();
  const observing = observe(app, log, context.signal);
  const measuring = measureRegularly(app, context.signal, (repository, error) => log.warn({ repository, error: String(error) }, "cannot measure"));
  const keeping = keepEvidence(app, context.signal, (route, reason) => log.warn({ route, reason }, "evidence does not get everywhere"));
  const alerting = keepAlerting(app, { scheduler, configuration, tls, log }, context.signal);
  if (!context.signal.aborted) await once(context.signal, "abort");
  log.info("stopping");
  await scheduler.stop();
  await Promise.all([observing, measuring, keeping]);
  await alerting;
  await api.close();
  await recordPending(app.journal, null);
  await app.journal.copyToRepositories();
  log.info("stopped");
  return 0;
}

function watchConfiguration(app: App, { house, workers, log }: { house: House; workers: Workers; log: Logger }): ConfigurationWatch {
  return new ConfigurationWatch({
    app,
    // A stream has no end at which it would read what is in force: it is started again.
    onTakenUp: (changed) => {
      house.promiseAnew();
      for (const name of changed) workers.cancel(`${name}.stream`);
    },
    log: (event, fields) => log.info(fields, event),
  });
}

/** A job works by what is in force here, whatever the files say by then. */
function withInForce(workers: Workers, { inventory }: App): Pick<Workers, "isRunning" | "run" | "stopAll"> {
  return {
    isRunning: (name) => workers.isRunning(name),
    run: async (name, file, data) => workers.run(name, file, { ...data, inForce: inventory }),
    stopAll: async (deadlineMs) => workers.stopAll(deadlineMs),
  };
}

/** What frequent work did before is evidence before what was passed over after it: intervals end there. */
async function recordPassedOver(app: App, { slot, ...passed }: PassedOver): Promise<void> {
  await recordPending(app.journal, passed.source);
  await recordEntry(app.journal, "run.missed", { run: newRunId(app.clock), ...passed, trigger: "schedule", scheduledFor: slot });
}

async function observe(app: App, log: Logger, signal: AbortSignal): Promise<void> {
  const exposure = new ExposureWatch();
  return observeRegularly(app, signal, {
    onLook: (source) => exposure.look(app.catalog, source, systemClock.now()),
    onTrouble: (source, error) => log.warn({ source, error: String(error) }, "cannot observe"),
  });
}

interface Alerting {
  readonly scheduler: Scheduler;
  readonly configuration: ConfigurationWatch;
  readonly tls: TlsMaterial | null;
  readonly log: Logger;
}

async function keepAlerting(app: App, { scheduler, configuration, tls, log }: Alerting, signal: AbortSignal): Promise<void> {
  return serveAlerts(
    app,
    {
      isSchedulerOnTime: () => scheduler.isAlive,
      configurationProblem: () => configuration.problem,
      certificates: tls === null ? [] : certificateEnds(tls),
      log: (event, fields) => log.info(fields, event),
    },
    signal,
  );
}
