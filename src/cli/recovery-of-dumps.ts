import { formatSeconds } from "../domain/duration.ts";
import { HoldfastError, must } from "../errors.ts";
import type { Facts } from "../errors.ts";
import { checkRows } from "../operations/drill/rows-check.ts";
import { forgetLoading, openLoadLedger } from "../operations/recover/load-ledger.ts";
import type { RecoveryOrder } from "../operations/recover/recovery-log.ts";
import { loadDumps, planDumpRestore, refuseOverwriting } from "../operations/restore/load-dumps.ts";
import type { DumpPlan, LoadedDumps } from "../operations/restore/load-dumps.ts";
import { isLoadedInto, loadIntoNewCluster } from "../operations/restore/load-new-cluster.ts";
import { restoredUrl, startServer } from "../operations/restore/start-restored.ts";
import type { LogicalSource } from "../policy/types.ts";
import { requireClients } from "../postgres/binaries.ts";
import { connect, urlOfDatabase } from "../postgres/connection.ts";
import { readDumpedServer } from "../postgres/dump.ts";
import { serverOn } from "../postgres/left-server.ts";
import { majorOf } from "../postgres/server-identity.ts";
import type { Reading, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";
import { planRecovery } from "./plan-by-backup.ts";
import { checkDatabases, checkWritable, reachedBy } from "./recovered-server.ts";
import type { RecoveredServer } from "./recovered-server.ts";
import type { PartsOfKind } from "./recovery-parts.ts";
import { portOfSource } from "./recovery-parts.ts";
import { addressOf } from "./restore-dumps.ts";
import { chooseOwner, chooseSocketDirectory } from "./choose-owner.ts";

/** Where dumps are brought back: a new cluster in a folder, or a server that is there. */
interface Destination {
  readonly name: string;
  /** Rejects, before anything is touched, where something is that would have to be written over. */
  requireFree(plan: DumpPlan): Promise<void>;
  isLoaded(plan: DumpPlan): Promise<boolean>;
  load(plan: DumpPlan): Promise<LoadedDumps>;
  /** Makes sure that there is a server. In words, where. */
  start(plan: DumpPlan): Promise<string>;
  server(plan: DumpPlan): RecoveredServer;
}

/** The steps for dumps: each database is loaded as it was at its moment, and has no log. */
export async function dumpParts(order: RecoveryOrder, reading: Reading, config: LogicalSource, tools: Tools): Promise<PartsOfKind<DumpPlan>> {
  const { context } = tools;
  const destination = order.into === null ? await inFolder(order, reading, tools) : await inServer(order.into, order, reading, tools);
  const checks = config.policy.drills?.checks ?? [];
  return {
    assess: async () => assess(config, reading),
    plan: async (facts) => {
      const plans = await planRecovery(reading, { to: order.to, tools, facts }, planDumpRestore);
      if (facts === null) await destination.requireFree(must(plans[0], "a plan"));
      return plans;
    },
    describe: describePlan,
    isRestored: async (plan) => destination.isLoaded(plan),
    restore: async ([plan]) => {
      const { bytes, databases, repository, durationSeconds } = await destination.load(must(plan, "a plan"));
      return `${databases.join(", ")}, ${formatBytes(bytes)} of dumps, from ${repository} in ${formatSeconds(durationSeconds)}`;
    },
    applyLogs: async (plan) => `nothing to apply: dumps have no log; ${await destination.start(plan)}`,
    verify: async (plan) => [...(await checkRows(plan.about, destination.server(plan), context)), ...(await checkDatabases(destination.server(plan), checks, context.signal))],
    connectivity: async (plan) => checkWritable(destination.server(plan), checks, context.signal),
    place: destination.name,
  };
}

async function inFolder(order: RecoveryOrder, reading: Reading, { context }: Tools): Promise<Destination> {
  const folder = must(order.target, "a folder");
  const { binaries } = must(reading.app, "an installation").inventory.postgres;
  const runAs = await chooseOwner(order.owner ?? undefined, reading, folder);
  const address = { socketDirectory: await chooseSocketDirectory(runAs), port: order.port ?? (await portOfSource(reading)) };
  return {
    name: folder,
    requireFree: async () => undefined,
    isLoaded: async (plan) => isLoadedInto(folder, plan),
    load: async (plan) => loadIntoNewCluster(plan, { folder, binaries, runAs, databases: null, address }, context),
    start: async ({ about }) => {
      if ((await serverOn(folder)) === null) await startServer({ target: folder, runAs, binaries, version: about.version }, context);
      return `the server runs on port ${address.port}, with settings of its own and not with the source's`;
    },
    server: ({ about }) => reachedBy((database) => restoredUrl({ bootstrapRole: about.bootstrapRole, ...address }, database)),
  };
}

async function inServer(into: string, { recovery }: RecoveryOrder, reading: Reading, { context }: Tools): Promise<Destination> {
  const { inventory } = must(reading.app, "an installation");
  const url = await addressOf(into);
  return {
    name: `the server that ${into} leads to`,
    requireFree: async ({ about }) => refuseOverwriting(url, about.databases),
    isLoaded: async () => false,
    load: async (plan) => {
      const ledger = await openLoadLedger(inventory.state, recovery, await identityOf(url));
      const clients = await requireClients(inventory.postgres.binaries, majorOf(plan.about.version));
      return loadDumps(plan, { url, clients, databases: null, ledger }, context);
    },
    start: async () => {
      await identityOf(url);
      await forgetLoading(inventory.state, recovery);
      return "the server answers";
    },
    server: () => reachedBy((database) => urlOfDatabase({ url }, database)),
  };
}

async function identityOf(url: string): Promise<string | null> {
  await using connection = await connect({ url }, { purpose: "recovery", database: "postgres" });
  return (await readDumpedServer(connection.client)).systemIdentifier;
}

function describePlan({ view, stored, about, bytes }: DumpPlan): { detail: string; facts: Facts } {
  const { id, start, stop } = stored.manifest;
  const databases = about.databases.map(({ name }) => name);
  return {
    detail: `${id} from ${view.repository.name}, with ${databases.join(", ")}; lost is what was written from ${start.at} on`,
    facts: { repository: view.repository.name, backupId: id, from: start.at, reachedTime: stop.at, bytes, databases },
  };
}

async function assess(config: LogicalSource, { app, repositories }: Reading): Promise<string> {
  const copies = repositories.map(({ name }) => name).join(", ");
  return `the server ${(await answers(config, must(app, "an installation"))) ? "ANSWERS: make sure that nobody writes in it" : "does not answer"}; copies in ${copies}`;
}

async function answers(config: LogicalSource, app: NonNullable<Reading["app"]>): Promise<boolean> {
  try {
    await using _ = await connect(await app.target(config), { purpose: "recovery" });
    return true;
  } catch (error) {
    if (error instanceof HoldfastError) return false;
    throw error;
  }
}
