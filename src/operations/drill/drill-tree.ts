import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { Findings } from "../../files/findings.ts";
import { OpenFolder } from "../../files/open-folder.ts";
import { walkTree } from "../../files/tree-walk.ts";
import type { OperationContext } from "../context.ts";
import { openChain } from "../restore/open-chain.ts";
import { planTreeRestore, restoreTree } from "../restore/restore-tree.ts";
import type { RestoredTree, TreePlan } from "../restore/restore-tree.ts";
import { compareTree } from "./compare-tree.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { faultOf } from "./drill-faults.ts";
import { runPhases } from "./drill-phases.ts";
import { runCommandCheck } from "./user-checks.ts";

/** Restores a tree into a scratch folder, reads it back and compares it with the map, runs the policy's programs on it, and takes it away again. */
export async function drillTree(request: DrillRequest, context: OperationContext): Promise<DrillResult> {
  const folder = path.join(request.scratchDirectory, request.id);
  return runPhases(
    request,
    folder,
    {
      plan: async () => planTreeRestore(request.view, request),
      prove: async (plan, phase) => {
        const restored = await phase("restore", async () => {
          await mkdir(folder, { recursive: true, mode: 0o700 });
          return restoreTree({ plan, target: path.join(folder, "data") }, context);
        });
        return phase("check", async () => checkTree(plan, restored, request, context));
      },
      faultOf,
    },
    context,
  );
}

async function checkTree(plan: TreePlan, restored: RestoredTree, request: DrillRequest, context: OperationContext): Promise<DrillCheckResult[]> {
  const chain = await openChain(plan);
  const { manifest } = plan.stored;
  const { entries, bytes, differing, differences } = await compareTree(chain, manifest, restored.target, restored.ownership, context.signal);
  const found = await countNodes(restored.target, context.signal);
  const { counts } = restored.about;
  const lacking = restored.about.findings.filter(({ kind }) => kind === "unread").slice(0, 3);
  const checks: DrillCheckResult[] = [
    {
      name: "content",
      required: true,
      outcome: differing === 0 ? "pass" : "fail",
      detail: differing === 0 ? `${entries} files, folders and links, ${bytes} bytes, as the map has them` : `${differing} differ: ${differences.slice(0, 3).join("; ")}`,
      fault: "backup",
    },
    { name: "nothing else", required: true, outcome: found === entries ? "pass" : "fail", detail: `${found} are there, the map has ${entries}`, fault: "backup" },
    {
      name: "files of the source",
      required: true,
      outcome: counts.unread === 0 ? "pass" : "fail",
      detail:
        counts.unread === 0
          ? "all could be read when the backup was made"
          : `${counts.unread} could not be read when the backup was made: ${lacking.map((each) => each.path).join(", ")}`,
      fault: "source",
    },
  ];
  if (counts.changed + counts.grew > 0)
    checks.push({ name: "files at rest", required: false, outcome: "warn", detail: `${counts.changed + counts.grew} were written to while they were read`, fault: "source" });
  for (const check of request.checks) {
    context.signal.throwIfAborted();
    if (check.kind === "sql")
      checks.push({ name: check.name, required: check.required, outcome: "skipped", detail: "there is no database in a tree of files", fault: "environment" });
    else checks.push(await runCommandCheck(check, { HOLDFAST_DRILL_FOLDER: restored.target }, context.signal));
  }
  return checks;
}

async function countNodes(folder: string, signal: AbortSignal): Promise<number> {
  const root = await OpenFolder.root(folder);
  try {
    let count = 0;
    const findings = new Findings();
    for await (const found of walkTree(root, { exclude: [], oneFileSystem: false, notAtRoot: [] }, findings, signal)) {
      count++;
      await found.folder.release();
    }
    return count + findings.count("skipped");
  } finally {
    await root.closeAll();
  }
}
