import { formatSeconds } from "../domain/duration.ts";
import { createInterface } from "node:readline/promises";
import { STEP_TITLES } from "../domain/recovery-steps.ts";
import type { RecoveryStep } from "../domain/recovery-steps.ts";
import { parseLsn } from "../domain/lsn.ts";
import { parseRestoreTarget } from "../domain/restore-target.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { HoldfastError, must } from "../errors.ts";
import { checkCatalog } from "../operations/drill/catalog-check.ts";
import { listDatabases } from "../operations/drill/drill-checks.ts";
import { checkFacts } from "../operations/drill/facts-check.ts";
import type { DrillCheckResult } from "../domain/drill-verdict.ts";
import type { UserCheck } from "../operations/drill/user-checks.ts";
import { runUserChecks } from "../operations/drill/user-checks.ts";
import { observeSource } from "../operations/observe.ts";
import type { RecoveryOrder } from "../operations/recover/recovery-log.ts";
import type { RecoveryParts } from "../operations/recover/recover.ts";
import type { RestorePlan } from "../operations/restore/plan-restore.ts";
import { existingPart } from "../operations/restore/restore-target-folder.ts";
import { isRunningOn, joinRestored, restoredUrl, startRestored } from "../operations/restore/start-restored.ts";
import { connect } from "../postgres/connection.ts";
import { requireReachable } from "../postgres/process.ts";
import type { ScratchCluster } from "../postgres/scratch-cluster.ts";
import type { Reading, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";
import { chooseOwner, chooseSocketDirectory, planAll, restoreFromFirst } from "./restore.ts";

/** What the steps of a recovery do here: the same code as `restore` and `drill`. */
export async function recoveryParts(order: RecoveryOrder, reading: Reading, tools: Tools, { yes }: { readonly yes: boolean }): Promise<RecoveryParts> {
  const app = must(reading.app, "an installation");
  const config = must(reading.config, "a source");
  const owner = await chooseOwner(order.owner ?? undefined, reading, order.target);
  const socketDirectory = await chooseSocketDirectory(owner);
  const { context } = tools;
  const port = order.port ?? (await portOfSource(reading));
  const startOf = (plan: RestorePlan): Parameters<typeof startRestored>[0] => ({
    plan,
    target: order.target,
    binaries: app.inventory.postgres.binaries,
    runAs: owner,
    socketDirectory,
    port,
    promotes: true,
  });
  const serverOf = (plan: RestorePlan): Server => {
    const url = (database: string): string => restoredUrl({ plan, socketDirectory, port }, database);
    return { url, connect: (database) => connect({ url: url(database) }, { purpose: "recovery" }) };
  };
  const checks = config.policy.drills?.checks ?? [];
  return {
    assess: async () => assess(reading),
    plan: async (chosen) =>
      planAll(
        reading,
        chosen === null ? parsed(order.to) : { kind: "lsn", lsn: parseLsn(chosen.lsn) },
        { timeline: "latest", ...(chosen === null ? {} : { backup: chosen.backupId }) },
        tools,
      ),
    restore: async (plans) => {
      await requireReachable(await existingPart(order.target), owner);
      const { result } = await restoreFromFirst(plans, { target: order.target, tablespaces: new Map(), owner, action: "promote", socketDirectory, port }, tools);
      return `${formatBytes(result.bytes)} and ${result.walSegments} WAL segments from ${result.repository} in ${formatSeconds(result.durationSeconds)}`;
    },
    applyLogs: async (plan) => {
      const joined = await isRunningOn(order.target);
      const reached = joined ? await joinRestored(startOf(plan), context) : (await startRestored(startOf(plan), context)).reachedLsn;
      return `recovery ended at ${reached ?? "an unknown place"}, where it should; the server runs on port ${port}`;
    },
    verify: async (plan) => verifyServer(plan, serverOf(plan), checks, context.signal),
    connectivity: async (plan) => testConnection(serverOf(plan), checks, context.signal),
    confirm: async (step, about) => (yes ? undefined : confirm(step, about)),
  };
}

type Server = Pick<ScratchCluster, "connect" | "url">;

/** Looks, and changes nothing: people are about to work with it. */
async function verifyServer(plan: RestorePlan, server: Server, checks: readonly UserCheck[], signal: AbortSignal): Promise<DrillCheckResult[]> {
  const found = await checkFacts(plan, server);
  for (const database of await listDatabases(server)) {
    await using connection = await server.connect(database);
    found.push(await checkCatalog(connection.client, database));
  }
  const ofPolicy = checks.filter(({ kind }) => kind === "sql");
  return [...found, ...(await runUserChecks(ofPolicy, server, signal))];
}

/** Whether it can be worked with: by us, and by what the policy has of programs. */
async function testConnection(server: Server, checks: readonly UserCheck[], signal: AbortSignal): Promise<DrillCheckResult[]> {
  await using connection = await server.connect("postgres");
  const { rows } = await connection.client.query<{ writable: boolean }>("select not pg_is_in_recovery() as writable");
  const writable = rows[0]?.writable === true;
  const detail = writable ? "it accepts connections and writes" : "it only reads";
  const ofPolicy = checks.filter(({ kind }) => kind === "command");
  return [{ name: "connection", required: true, outcome: writable ? "pass" : "fail", detail, fault: "environment" }, ...(await runUserChecks(ofPolicy, server, signal))];
}

function parsed(to: string): RestoreTarget {
  const target = parseRestoreTarget(to);
  if (typeof target === "string") throw new HoldfastError("HF-TARGET", target, { hint: "for example --to 2026-11-21T16:44:54Z, or latest" });
  return target;
}

/** How far the damage goes, as far as it can be seen from here: a source that answers may need no recovery at all. */
async function assess(reading: Reading): Promise<string> {
  const info = await observeSource(must(reading.app, "an installation"), must(reading.config, "a source"));
  const answers = info.exposure.some(({ seconds }) => seconds !== null);
  const copies = reading.repositories.map(({ name }) => name).join(", ");
  return `the source ${answers ? "ANSWERS: make sure that nobody writes in it" : "does not answer"}; ${info.backups.length} backups in ${copies}, ${info.gaps.length} gaps in WAL`;
}

/** As the source has it, by its address. Both cannot run beside each other on one machine: --port says another. */
async function portOfSource(reading: Reading): Promise<number> {
  const address = await must(reading.app, "an installation")
    .target(must(reading.config, "a source"))
    .then(
      ({ url }) => url,
      () => "",
    );
  return Number(/[?&]port=(\d+)/.exec(address)?.[1] ?? /^[a-z]+:\/\/[^/?]*:(\d+)(?:[/?]|$)/.exec(address)?.[1] ?? 5432);
}

async function confirm(step: RecoveryStep, about: string): Promise<void> {
  const hint = `what was done so far is on record: go on with 'holdfast recover --resume --yes'`;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new HoldfastError("HF-USAGE", `the step '${step}' (${STEP_TITLES[step]}) wants to be confirmed, and there is no terminal`, { hint });
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = (await reader.question(`${about}\nnext: ${STEP_TITLES[step]}. Go on? [yes/no]: `)).trim();
    if (answer !== "yes" && answer !== "y") throw new HoldfastError("HF-USAGE", `the step '${step}' was not confirmed`, { hint });
  } finally {
    reader.close();
  }
}
