import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { stopwatch } from "../../clock.ts";
import { judgeDrill } from "../../domain/drill-verdict.ts";
import type { DrillCheckResult } from "../../domain/drill-verdict.ts";
import { describeTarget } from "../../domain/restore-target.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { Findings } from "../../files/findings.ts";
import { OpenFolder } from "../../files/open-folder.ts";
import { walkTree } from "../../files/tree-walk.ts";
import { runProgram } from "../../postgres/process.ts";
import type { OperationContext } from "../context.ts";
import { openChain } from "../restore/open-chain.ts";
import { planTreeRestore, restoreTree } from "../restore/restore-tree.ts";
import type { RestoredTree, TreePlan } from "../restore/restore-tree.ts";
import { compareTree } from "./compare-tree.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { warnOf } from "./drill.ts";
import { faultOf } from "./drill-faults.ts";
import { KEPT_MARKER } from "./sweep-scratch.ts";
import { runCommandCheck } from "./user-checks.ts";

/** What a drill of a tree has come to so far. */
interface Attempt {
  readonly phases: { name: string; seconds: number }[];
  readonly checks: DrillCheckResult[];
  plan: TreePlan | null;
  restored: RestoredTree | null;
  rtoSeconds: number | null;
}

/** Restores a tree into a scratch folder, reads it back and compares it with the map, runs the policy's programs on it, and takes it away again. Never throws for what the backup did wrong. */
export async function drillTree(request: DrillRequest, context: OperationContext): Promise<DrillResult> {
  const declaredAt = context.clock.now();
  const elapsed = stopwatch(context.clock);
  const folder = path.join(request.scratchDirectory, request.id);
  const attempt: Attempt = { phases: [], checks: [], plan: null, restored: null, rtoSeconds: null };
  const phase = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
    const seconds = stopwatch(context.clock);
    context.onProgress({ phase: name, doneBytes: 0, totalBytes: null });
    try {
      return await act();
    } finally {
      attempt.phases.push({ name, seconds: seconds() });
    }
  };
  try {
    const plan = await phase("plan", async () => planTreeRestore(request.view, request));
    attempt.plan = plan;
    refuseTooLarge(plan, request);
    const target = path.join(folder, "data");
    attempt.restored = await phase("restore", async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      return restoreTree({ plan, target }, context);
    });
    attempt.checks.push(...(await phase("check", async () => checkTree(plan, attempt.restored, request, context))));
    attempt.rtoSeconds = elapsed();
  } catch (error) {
    context.signal.throwIfAborted();
    attempt.checks.push({ name: "recovery", required: true, outcome: "fail", detail: messageOf(error), fault: faultOf(error) });
  } finally {
    await phase("clean up", async () => (request.keep ? writeFile(path.join(folder, KEPT_MARKER), "") : removeTree(folder)));
  }
  return resultOf(request, attempt, declaredAt, request.keep ? folder : null);
}

function refuseTooLarge({ bytes }: TreePlan, { maxBytes }: DrillRequest): void {
  if (maxBytes !== null && bytes > maxBytes)
    throw new HoldfastError("HF-SPACE", `the restored tree would take ${bytes} bytes, and scratch.maxBytes is ${maxBytes}`, { hint: "raise scratch.maxBytes in the inventory" });
}

async function checkTree(plan: TreePlan, restored: RestoredTree | null, request: DrillRequest, context: OperationContext): Promise<DrillCheckResult[]> {
  if (restored === null) return [];
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

const CHMOD_TIMEOUT_MS = 10 * 60_000;

/** Folders that nobody may write in come back as such: whoever is not root opens them first. */
async function removeTree(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) await runProgram("chmod", ["-R", "u+rwX", folder], { timeoutMs: CHMOD_TIMEOUT_MS });
  await rm(folder, { recursive: true, force: true });
}

function resultOf(request: DrillRequest, { plan, restored, phases, checks, rtoSeconds }: Attempt, declaredAt: Date, keptAt: string | null): DrillResult {
  const { id, view, target, objectives, segregation, passedOver = [] } = request;
  const fallbacks = [...passedOver, ...view.fallbacks];
  const measured = {
    rtoActualSeconds: rtoSeconds,
    rtoObjectiveSeconds: objectives.rtoSeconds,
    rpoActualSeconds: plan === null || restored === null ? null : lostSeconds(plan, request, declaredAt),
    rpoObjectiveSeconds: objectives.rpoSeconds,
  };
  const all = [...checks, ...fallbacks.map(warnOf)];
  return {
    id,
    ...judgeDrill({ checks: all, ...measured }),
    backupId: plan?.stored.manifest.id ?? null,
    repository: view.repository.name,
    target: describeTarget(target),
    expectedLsn: null,
    achievedLsn: null,
    heartbeatOk: null,
    ...measured,
    phases,
    checks: all,
    bytes: plan?.bytes ?? null,
    walSegments: null,
    keptAt,
    fallbacks,
    segregation,
  };
}

/** What was written after the backup began may be in none: so long before the moment that was asked for. Null: a certain backup was asked for, not a moment. */
function lostSeconds({ stored }: TreePlan, { target, backup }: DrillRequest, declaredAt: Date): number | null {
  const aimedAtMs = target.kind === "time" ? Number(target.time / 1000n) : target.kind === "latest" && backup === null ? declaredAt.getTime() : null;
  return aimedAtMs === null ? null : Math.max(0, (aimedAtMs - new Date(stored.manifest.start.at).getTime()) / 1000);
}
