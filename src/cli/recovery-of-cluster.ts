import { formatSeconds } from "../domain/duration.ts";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { formatLsn, parseLsn } from "../domain/lsn.ts";
import { formatMicros } from "../domain/timestamp.ts";
import { HoldfastError, must } from "../errors.ts";
import type { Facts } from "../errors.ts";
import { checkFacts } from "../operations/drill/facts-check.ts";
import { observeSource } from "../operations/observe.ts";
import type { RecoveryOrder } from "../operations/recover/recovery-log.ts";
import type { RestorePlan } from "../operations/restore/plan-restore.ts";
import { existingPart } from "../operations/restore/restore-target-folder.ts";
import { joinRestored, restoredUrl, startRestored } from "../operations/restore/start-restored.ts";
import { serverOn } from "../postgres/left-server.ts";
import { requireReachable } from "../postgres/process.ts";
import type { Reading, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";
import { checkDatabases, checkWritable, reachedBy } from "./recovered-server.ts";
import type { PartsOfKind } from "./recovery-parts.ts";
import { parseTarget, portOfSource } from "./recovery-parts.ts";
import { chooseOwner, chooseSocketDirectory } from "./choose-owner.ts";
import { planAll, restoreFromFirst } from "./restore.ts";

const chosenSchema = z.object({ recordLsn: z.string(), backupId: z.string() });

/** The steps for a whole cluster: restored into a folder, started there, replayed to the point. */
export async function clusterParts(order: RecoveryOrder, reading: Reading, tools: Tools): Promise<PartsOfKind<RestorePlan>> {
  const app = must(reading.app, "an installation");
  const target = must(order.target, "a folder");
  const owner = await chooseOwner(order.owner ?? undefined, reading, target);
  const socketDirectory = await chooseSocketDirectory(owner);
  const { context } = tools;
  const port = order.port ?? (await portOfSource(reading));
  const startOf = (plan: RestorePlan): Parameters<typeof startRestored>[0] => ({
    plan,
    target,
    binaries: app.inventory.postgres.binaries,
    runAs: owner,
    socketDirectory,
    port,
    promotes: true,
  });
  const serverOf = (plan: RestorePlan): ReturnType<typeof reachedBy> =>
    reachedBy((database) => restoredUrl({ bootstrapRole: plan.stored.manifest.postgres.bootstrapRole, socketDirectory, port }, database));
  const checks = must(reading.config, "a source").policy.drills?.checks ?? [];
  return {
    assess: async () => assess(reading),
    plan: async (chosen) => planAgain(order, reading, tools, chosen),
    describe: describePlan,
    isRestored: async (plan) => isRestored(target, plan),
    restore: async (plans) => {
      await requireReachable(await existingPart(target), owner);
      const { result } = await restoreFromFirst(plans, { target, tablespaces: new Map(), owner, action: "promote", socketDirectory, port }, tools);
      return `${formatBytes(result.bytes)} and ${result.walSegments} WAL segments from ${result.repository} in ${formatSeconds(result.durationSeconds)}`;
    },
    applyLogs: async (plan) => {
      const joined = (await serverOn(target)) !== null;
      const reached = joined ? await joinRestored(startOf(plan), context) : (await startRestored(startOf(plan), context)).reachedLsn;
      return `recovery ended at ${reached ?? "an unknown place"}, where it should; the server runs on port ${port}`;
    },
    verify: async (plan) => [...(await checkFacts(plan, serverOf(plan))), ...(await checkDatabases(serverOf(plan), checks, context.signal))],
    connectivity: async (plan) => checkWritable(serverOf(plan), checks, context.signal),
    place: target,
  };
}

async function planAgain(order: RecoveryOrder, reading: Reading, tools: Tools, facts: Facts | null): Promise<RestorePlan[]> {
  const chosen = chosenSchema.nullable().parse(facts);
  const plans = await planAll(
    reading,
    chosen === null ? parseTarget(order.to) : { kind: "lsn", lsn: parseLsn(chosen.recordLsn) },
    { timeline: "latest", ...(chosen === null ? {} : { backup: chosen.backupId }) },
    tools,
  );
  const [plan] = plans;
  if (chosen !== null && plan !== undefined && formatLsn(plan.resolved.record) !== chosen.recordLsn)
    throw new HoldfastError("HF-TARGET-UNREACHABLE", `the point that was chosen (${chosen.recordLsn}) is planned as ${formatLsn(plan.resolved.record)} now`, {
      hint: "begin another recovery, without --resume, into another folder",
    });
  return plans;
}

function describePlan({ view, stored, resolved, bytes }: RestorePlan): { detail: string; facts: Facts } {
  const lost = resolved.nextCommit === null ? "nothing that is known of is lost" : `lost is what was committed from ${formatMicros(resolved.nextCommit.at)} on`;
  return {
    detail: `${stored.manifest.id} from ${view.repository.name}, to ${formatLsn(resolved.end)} on timeline ${resolved.timeline}; ${lost}`,
    facts: {
      repository: view.repository.name,
      backupId: stored.manifest.id,
      timeline: resolved.timeline,
      recordLsn: formatLsn(resolved.record),
      reachedLsn: formatLsn(resolved.end),
      bytes,
      walSegments: resolved.segments.length,
    },
  };
}

/** A folder that was restored to this very point, and whose record we did not live to write. pg_control is put in place last, so where it is all else is. */
async function isRestored(target: string, { resolved }: RestorePlan): Promise<boolean> {
  const [control, configuration] = await Promise.all(
    ["global/pg_control", "postgresql.auto.conf"].map(async (name) => readFile(path.join(target, name), "latin1").catch(() => null)),
  );
  return control !== null && control !== undefined && (configuration ?? "").includes(`recovery_target_lsn = '${formatLsn(resolved.record)}'`);
}

/** How far the damage goes, as far as it can be seen from here: a source that answers may need no recovery at all. */
async function assess(reading: Reading): Promise<string> {
  const info = await observeSource(must(reading.app, "an installation"), must(reading.config, "a source"));
  const answers = info.exposure.some(({ seconds }) => seconds !== null);
  const copies = reading.repositories.map(({ name }) => name).join(", ");
  return `the source ${answers ? "ANSWERS: make sure that nobody writes in it" : "does not answer"}; ${info.backups.length} backups in ${copies}, ${info.gaps.length} gaps in WAL`;
}
