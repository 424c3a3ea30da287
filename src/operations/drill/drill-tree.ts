import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { OperationContext } from "../context.ts";
import { planTreeRestore, restoreTree } from "../restore/restore-tree.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { faultOf } from "./drill-faults.ts";
import { runPhases } from "./drill-phases.ts";
import { checkContent, checkFindings, runTreeChecks } from "./tree-checks.ts";

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
        return phase("check", async () => [
          ...(await checkContent(plan, restored.target, restored.ownership, context)),
          ...checkFindings(restored.about),
          ...(await runTreeChecks(request.checks, restored.target, context.signal)),
        ]);
      },
      faultOf,
    },
    context,
  );
}
