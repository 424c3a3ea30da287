import { HoldfastError, messageOf } from "../../errors.ts";
import { describeHook, runHook } from "../hooks.ts";
import type { HookFacts, HookResult, HookRun } from "../hooks.ts";
import type { RunConclusion } from "../record-run.ts";

export interface HookedBackup extends HookRun {
  readonly facts: Pick<HookFacts, "source" | "run" | "type">;
  /** Keeps how hooks went for the record of a run that fails. */
  readonly keep: (figures: { readonly hooks: readonly HookResult[] }) => void;
  readonly onNotice: (notice: string) => void;
}

/**
 * A backup with the hooks of its policy around it: `beforeBackup` before anything is touched, and its failure is the backup's; then exactly one of `afterBackup`, whose failure is a
 * warning, and `onFailure`, which is told the reason. What was frozen before is thawed by one of these two, also when the backup is cancelled; only a killed process runs neither.
 */
export async function withHooks<T extends { readonly id: string }>(hooked: HookedBackup, act: () => Promise<RunConclusion<T>>): Promise<RunConclusion<T>> {
  const { facts, keep, onNotice } = hooked;
  const results: HookResult[] = [];
  const run = async (...[hook, more]: [Parameters<typeof runHook>[1], Partial<HookFacts>]): Promise<HookResult | null> => {
    const { hooks, inventory, clock } = hooked;
    // The ones that follow run although we are being stopped.
    const result = await runHook(hook === "beforeBackup" ? hooked : { hooks, inventory, clock }, hook, { ...facts, ...more });
    if (result !== null) results.push(result);
    return result;
  };
  try {
    const before = await run("beforeBackup", {});
    hooked.signal?.throwIfAborted();
    if (before !== null && !before.ok)
      throw new HoldfastError("HF-HOOK", describeHook(before), { hint: "nothing was touched; repair the program that the policy names, or leave it out" });
    const conclusion = await act();
    const { outcome, reason, value } = conclusion;
    const told = { backupId: value.id, outcome, ...(reason === null ? {} : { reason }) };
    const after = await run(outcome === "succeeded" ? "afterBackup" : "onFailure", told);
    const warning = after === null || after.ok ? null : describeHook(after);
    if (warning !== null) onNotice(warning);
    return { ...conclusion, reason: reason ?? warning, figures: { ...conclusion.figures, hooks: results } };
  } catch (error) {
    const cancelled = hooked.signal?.aborted === true;
    const failed = await run("onFailure", { outcome: cancelled ? "cancelled" : "failed", reason: messageOf(error) });
    if (failed !== null && !failed.ok) onNotice(describeHook(failed));
    keep({ hooks: results });
    throw error;
  }
}
