import { writeFile } from "node:fs/promises";
import path from "node:path";
import { stopwatch } from "../../clock.ts";
import { judgeDrill } from "../../domain/drill-verdict.ts";
import type { DrillCheckResult, DrillFault } from "../../domain/drill-verdict.ts";
import { describeTarget } from "../../domain/restore-target.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import { removeTree } from "../../files/remove-tree.ts";
import type { StoredManifest } from "../../repository/manifest.ts";
import type { OperationContext } from "../context.ts";
import { openForRemoval } from "../restore/restore-target-folder.ts";
import { warnOf } from "./drill.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { KEPT_MARKER } from "./sweep-scratch.ts";

export type Phase = <T>(name: string, act: () => Promise<T>) => Promise<T>;

/** What a drill of a source without a log does between being declared and being cleared away. */
export interface DrillActs<P> {
  plan(): Promise<P>;
  /** Restores into the folder and checks what is there. */
  prove(plan: P, phase: Phase): Promise<DrillCheckResult[]>;
  /** Whose fault it is that it did not get as far as its checks. */
  faultOf(error: unknown): DrillFault;
}

/** Runs a drill in timed phases, and judges it. Never throws for what the backup did wrong. */
export async function runPhases<P extends { readonly stored: StoredManifest; readonly bytes: number }>(
  request: DrillRequest,
  folder: string,
  acts: DrillActs<P>,
  context: OperationContext,
): Promise<DrillResult> {
  const declaredAt = context.clock.now();
  const elapsed = stopwatch(context.clock);
  const phases: { name: string; seconds: number }[] = [];
  const checks: DrillCheckResult[] = [];
  let plan: P | null = null;
  let rtoSeconds: number | null = null;
  const phase = phaseInto(phases, context);
  try {
    const planned = await phase("plan", async () => acts.plan());
    plan = planned;
    refuseTooLarge(planned, request);
    checks.push(...(await acts.prove(planned, phase)));
    rtoSeconds = elapsed();
  } catch (error) {
    context.signal.throwIfAborted();
    checks.push({ name: "recovery", required: true, outcome: "fail", detail: messageOf(error), fault: acts.faultOf(error) });
  } finally {
    await phase("clean up", async () => (request.keep ? writeFile(path.join(folder, KEPT_MARKER), "") : removeRestored(folder)));
  }
  const { id, view, target, objectives, segregation, passedOver = [] } = request;
  const fallbacks = [...passedOver, ...view.fallbacks];
  const measured = {
    rtoActualSeconds: rtoSeconds,
    rtoObjectiveSeconds: objectives.rtoSeconds,
    rpoActualSeconds: plan === null || rtoSeconds === null ? null : lostSeconds(plan.stored, request, declaredAt),
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
    keptAt: request.keep ? folder : null,
    fallbacks,
    segregation,
  };
}

function phaseInto(phases: { name: string; seconds: number }[], context: OperationContext): Phase {
  return async (name, act) => {
    const seconds = stopwatch(context.clock);
    context.onProgress({ phase: name, doneBytes: 0, totalBytes: null });
    try {
      return await act();
    } finally {
      phases.push({ name, seconds: seconds() });
    }
  };
}

function refuseTooLarge({ bytes }: { readonly bytes: number }, { maxBytes }: DrillRequest): void {
  if (maxBytes !== null && bytes > maxBytes)
    throw new HoldfastError("HF-SPACE", `what is restored would take ${bytes} bytes, and scratch.maxBytes is ${maxBytes}`, { hint: "raise scratch.maxBytes in the inventory" });
}

async function removeRestored(folder: string): Promise<void> {
  await openForRemoval(folder);
  await removeTree(folder);
}

/** What was written after the backup began may be in none: so long before the moment that was asked for. Null: a certain backup was asked for, not a moment. */
function lostSeconds({ manifest }: StoredManifest, { target, backup }: DrillRequest, declaredAt: Date): number | null {
  const aimedAtMs = target.kind === "time" ? Number(target.time / 1000n) : target.kind === "latest" && backup === null ? declaredAt.getTime() : null;
  return aimedAtMs === null ? null : Math.max(0, (aimedAtMs - new Date(manifest.start.at).getTime()) / 1000);
}
