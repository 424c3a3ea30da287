import { stat } from "node:fs/promises";
import { formatSeconds } from "../domain/duration.ts";
import { HoldfastError, must } from "../errors.ts";
import type { Facts } from "../errors.ts";
import { checkContent, checkFindings, runTreeChecks } from "../operations/drill/tree-checks.ts";
import type { RecoveryOrder } from "../operations/recover/recovery-log.ts";
import { openChain } from "../operations/restore/open-chain.ts";
import { inspectTarget } from "../operations/restore/restore-target-folder.ts";
import { dressRoot, ownershipHere, planTreeRestore } from "../operations/restore/restore-tree.ts";
import type { TreePlan } from "../operations/restore/restore-tree.ts";
import { readAboutTree } from "../operations/restore/tree-about.ts";
import type { TreeSource } from "../policy/types.ts";
import type { Reading, Tools } from "./action.ts";
import { formatBytes } from "./output.ts";
import { planRecovery } from "./plan-by-backup.ts";
import type { PartsOfKind } from "./recovery-parts.ts";
import { restoreFromFirst } from "./restore-tree.ts";

/** The steps for a tree of files: there is no log, and no server. */
export function treeParts(order: RecoveryOrder, reading: Reading, config: TreeSource, tools: Tools): PartsOfKind<TreePlan> {
  const target = must(order.target, "a folder");
  const { context } = tools;
  const checks = config.policy.drills?.checks ?? [];
  return {
    assess: async () => assess(config, reading),
    plan: async (facts) => planRecovery(reading, { to: order.to, tools, facts }, planTreeRestore),
    describe: describePlan,
    isRestored: async (plan) => isRestored(plan, target, tools),
    restore: async (plans) => {
      const { bytes, files, repository, durationSeconds } = await restoreFromFirst(plans, target, tools);
      return `${files} files, ${formatBytes(bytes)}, from ${repository} in ${formatSeconds(durationSeconds)}`;
    },
    applyLogs: async ({ stored }) => `nothing to apply: a tree has no log, and is as it was between ${stored.manifest.start.at} and ${stored.manifest.stop.at}`,
    verify: async (plan) => {
      const about = await readAboutTree(await openChain(plan), plan.stored.manifest);
      // What the backup lacks it will lack however often it is restored: said, and no reason to keep people from working.
      const findings = checkFindings(about).map((check) => (check.outcome === "fail" ? { ...check, required: false, outcome: "warn" as const } : check));
      return [...(await checkContent(plan, target, ownershipHere(), context)), ...findings];
    },
    connectivity: async () => {
      const programs = await runTreeChecks(checks, target, context.signal);
      // SQL in a policy that trees share with databases can never be asked here.
      return programs.map((check) => (check.outcome === "skipped" ? { ...check, required: false } : check));
    },
    place: target,
  };
}

function describePlan({ view, stored, bytes }: TreePlan): { detail: string; facts: Facts } {
  const { id, start, stop, sizes } = stored.manifest;
  return {
    detail: `${id} from ${view.repository.name}; lost is what was written from ${start.at} on`,
    facts: { repository: view.repository.name, backupId: id, from: start.at, reachedTime: stop.at, bytes, files: sizes.files },
  };
}

/** A folder without our mark is never written into; where it holds this very backup, name for name and block for block, we made it and did not live to say so. */
async function isRestored(plan: TreePlan, target: string, { context }: Tools): Promise<boolean> {
  try {
    await inspectTarget(target);
    return false;
  } catch (refusal) {
    if (!(refusal instanceof HoldfastError) || refusal.code !== "HF-TARGET-NOT-EMPTY") throw refusal;
    const wrong = (await checkContent(plan, target, ownershipHere(), context)).some(({ outcome }) => outcome !== "pass");
    if (wrong) throw refusal;
    // The last that a restore does, after its mark is gone.
    await dressRoot(plan, target);
    return true;
  }
}

async function assess({ path }: TreeSource, { repositories }: Reading): Promise<string> {
  const isThere = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  return `${path} ${isThere ? "IS THERE: make sure that nobody writes in it" : "is not there"}; copies in ${repositories.map(({ name }) => name).join(", ")}`;
}
