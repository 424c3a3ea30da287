import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { Findings } from "../../files/findings.ts";
import { OpenFolder } from "../../files/open-folder.ts";
import type { Ownership } from "../../files/restored-node.ts";
import { walkTree } from "../../files/tree-walk.ts";
import type { OperationContext } from "../context.ts";
import { openChain } from "../restore/open-chain.ts";
import type { TreePlan } from "../restore/restore-tree.ts";
import type { AboutTree } from "../restore/tree-about.ts";
import { compareTree } from "./compare-tree.ts";
import { runCommandCheck } from "./user-checks.ts";
import type { UserCheck } from "./user-checks.ts";

/** Whether a restored tree is what the map says: every name and every block, and nothing besides. */
export async function checkContent(plan: TreePlan, folder: string, ownership: Ownership, { signal }: OperationContext): Promise<DrillCheckResult[]> {
  const chain = await openChain(plan);
  const { entries, bytes, differing, differences } = await compareTree(chain, plan.stored.manifest, folder, ownership, signal);
  const found = await countNodes(folder, signal);
  return [
    {
      name: "content",
      required: true,
      outcome: differing === 0 ? "pass" : "fail",
      detail: differing === 0 ? `${entries} files, folders and links, ${bytes} bytes, as the map has them` : `${differing} differ: ${differences.slice(0, 3).join("; ")}`,
      fault: "backup",
    },
    { name: "nothing else", required: true, outcome: found === entries ? "pass" : "fail", detail: `${found} are there, the map has ${entries}`, fault: "backup" },
  ];
}

/** What the backup itself says that it lacks. */
export function checkFindings({ counts, findings }: AboutTree): DrillCheckResult[] {
  const lacking = findings.filter(({ kind }) => kind === "unread").slice(0, 3);
  const checks: DrillCheckResult[] = [
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
  return checks;
}

/** What the policy asks of a restored tree: its programs. */
export async function runTreeChecks(checks: readonly UserCheck[], folder: string, signal: AbortSignal): Promise<DrillCheckResult[]> {
  const results: DrillCheckResult[] = [];
  for (const check of checks) {
    signal.throwIfAborted();
    if (check.kind === "sql")
      results.push({ name: check.name, required: check.required, outcome: "skipped", detail: "there is no database in a tree of files", fault: "environment" });
    else results.push(await runCommandCheck(check, { HOLDFAST_DRILL_FOLDER: folder }, signal));
  }
  return results;
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
