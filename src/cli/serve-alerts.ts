import path from "node:path";
import { AlertKeeper } from "../alerts/alert-keeper.ts";
import { AlertmanagerSender } from "../alerts/alertmanager-sender.ts";
import { ChannelSender } from "../alerts/channel-sender.ts";
import { getAddress } from "../alerts/http-post.ts";
import { planDeliveries } from "../alerts/plan-deliveries.ts";
import { readLockFacts } from "../alerts/lock-facts.ts";
import { readSourceFacts } from "../alerts/source-facts.ts";
import type { App } from "../app.ts";
import { accessEventsSince } from "../catalog/access-events.ts";
import { recentCapacity } from "../catalog/capacity.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { forgetOldFailures, listChannelHealth } from "../catalog/alert-deliveries.ts";
import { EVIDENCE_ROUTES, routeState } from "../catalog/evidence-routes.ts";
import { listTokens } from "../catalog/tokens.ts";
import { resolveSecret } from "../config.ts";
import type { CapacityFact, ExpiringFact, SystemAlertFacts } from "../domain/alert-facts.ts";
import { projectFull } from "../domain/capacity.ts";
import { whyNotAlive } from "../domain/alive.ts";
import { messageOf } from "../errors.ts";
import { recordEntry } from "../operations/record-run.ts";
import type { AlivePing, ChannelConfig, RepositoryConfig } from "../policy/types.ts";
import { openChannel } from "./open-channels.ts";

/** How often what is wrong is looked for, and how often the outbox is. */
const LOOK_EVERY_MS = 3000;
const SEND_EVERY_MS = 500;
/** Longer than anything about access is shown. */
const ACCESS_SHOWN_MS = 86_400_000;

export interface ServedAlerts {
  readonly isSchedulerOnTime: () => boolean;
  /** Why changed files are not in force; null: they are. */
  readonly configurationProblem: () => string | null;
  /** Certificates that the API uses. */
  readonly certificates: readonly ExpiringFact[];
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Keeps alerts as they should be, tells the channels, and presses the dead man's switch, until stopped. Each goes on by itself: none waits for another. */
export async function serveAlerts(app: App, served: ServedAlerts, signal: AbortSignal): Promise<void> {
  forgetOldFailures(app.catalog);
  const { alive, channels } = app.inventory;
  await Promise.all([
    keepAlerts(app, served, signal),
    ...[...channels.values()].map(async (channel) => keepSending(app, channel, served, signal)),
    ...(alive === null ? [] : [keepPinging(app, alive, served, signal)]),
  ]);
}

async function keepAlerts(app: App, { isSchedulerOnTime, configurationProblem, certificates, log }: ServedAlerts, signal: AbortSignal): Promise<void> {
  const keeper = new AlertKeeper({
    catalog: app.catalog,
    clock: app.clock,
    sources: () => [...app.inventory.sources.values()],
    systemFacts: () => systemFacts(app, { schedulerOnTime: isSchedulerOnTime(), configurationProblem: configurationProblem(), certificates, locks: locks() }),
    record: (kind, facts) => recordEntry(app.journal, kind, facts),
  });
  const channels = [...app.inventory.channels.values()];
  const locks = rarely(app, () =>
    readLockFacts(app.catalog, app.inventory.sources.values(), (name) => app.inventory.repositories.get(name)?.s3?.objectLock?.marginSeconds ?? null),
  );
  const copy = copierOf(app, (error) => log("evidence not copied", { error: String(error) }));
  await every({ app, ms: LOOK_EVERY_MS, log }, signal, async () => {
    // Before the look too: whoever died before us may have raised what nobody was told of, and what is over now was not then.
    planDeliveries(app.catalog, channels, app.clock.now());
    if ((await keeper.look()) === 0) return;
    planDeliveries(app.catalog, channels, app.clock.now());
    copy.want();
  });
  await copy.ended();
}

async function keepSending(app: App, config: ChannelConfig, { log }: ServedAlerts, signal: AbortSignal): Promise<void> {
  const { catalog, clock } = app;
  if (config.kind === "alertmanager") {
    const sender = new AlertmanagerSender(config, config.url, { catalog, clock, log });
    return every({ app, ms: SEND_EVERY_MS, log }, signal, async () => sender.step(signal));
  }
  const sender = new ChannelSender(await openChannel(config, clock), { catalog, clock, log });
  return every({ app, ms: SEND_EVERY_MS, log }, signal, async () => {
    while (await sender.step(signal));
  });
}

async function keepPinging(app: App, { url, everySeconds }: AlivePing, { isSchedulerOnTime, log }: ServedAlerts, signal: AbortSignal): Promise<void> {
  await every({ app, ms: everySeconds * 1000, log }, signal, async () => {
    const sources = [...app.inventory.sources.values()].map((source) => readSourceFacts(app.catalog, source));
    const reasons = whyNotAlive({ schedulerOnTime: isSchedulerOnTime(), sources }, app.clock.now());
    if (reasons.length > 0) log("not alive: the ping is left out", { reasons });
    else await getAddress(await resolveSecret(url, "the address of alive"), signal).catch((error: unknown) => log("the ping failed", { reason: messageOf(error) }));
  });
}

/** Does something again and again until stopped. A trouble is told, and not the end of it. */
async function every({ app, ms, log }: { app: App; ms: number; log: ServedAlerts["log"] }, signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await act().catch((error: unknown) => {
      if (!signal.aborted) log("alerts are in trouble", { error: String(error) });
    });
    await app.clock.sleep(ms, signal).catch(() => undefined);
  }
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

/** What changes by the hour, read once a minute. */
const RARELY_MS = 60_000;

function rarely<T>({ clock }: App, read: () => T): () => T {
  let kept: { readonly value: T; readonly atMs: number } | null = null;
  return () => {
    if (kept === null || clock.monotonicMs() - kept.atMs > RARELY_MS) kept = { value: read(), atMs: clock.monotonicMs() };
    return kept.value;
  };
}

interface OwnFacts extends Pick<SystemAlertFacts, "schedulerOnTime" | "configurationProblem" | "locks"> {
  readonly certificates: readonly ExpiringFact[];
}

function systemFacts({ findings, catalog, inventory, journal, clock }: App, { certificates, ...own }: OwnFacts): SystemAlertFacts {
  return {
    ...own,
    findings: findings.map(({ severity, file, line, message, sources }) => ({ severity, place: `${path.basename(file)}:${line}`, message, sources })),
    expiring: [
      ...listTokens(catalog, journal.evidence.writer).flatMap(({ name, expiresAt, revokedAt }) =>
        expiresAt === null || revokedAt !== null ? [] : [{ what: `token ${name}`, expiresAt }],
      ),
      ...certificates,
    ],
    capacity: [...inventory.repositories.values()].map((repository) => capacityFact(catalog, repository, clock.now())),
    access: accessEventsSince(catalog, new Date(clock.now().getTime() - ACCESS_SHOWN_MS)),
    evidence: EVIDENCE_ROUTES.filter((route) => inventory.evidence[route] !== null).map((route) => routeState(catalog, route)),
    channels: listChannelHealth(catalog).flatMap(({ channel, failingSince, error }) => (inventory.channels.has(channel) ? [{ name: channel, failingSince, error }] : [])),
  };
}

function capacityFact(catalog: Catalog, repository: RepositoryConfig, now: Date): CapacityFact {
  const readings = recentCapacity(catalog, repository, now);
  const full = projectFull(readings);
  return { repository: repository.name, freeBytes: readings.at(-1)?.freeBytes ?? null, fullAt: full.kind === "full" ? full.at.toISOString() : null };
}
