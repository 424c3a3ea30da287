import type { RestoreTarget } from "../domain/restore-target.ts";
import { z } from "zod";
import { HoldfastError, must } from "../errors.ts";
import type { Facts } from "../errors.ts";
import type { CopyView } from "../operations/copy-view.ts";
import type { StoredManifest } from "../repository/manifest.ts";
import { openViews } from "./action.ts";
import type { Reading, Tools } from "./action.ts";
import { parseTarget } from "./recovery-parts.ts";

/** How a source without a log is restored from one copy. */
interface BackupPlan {
  readonly view: CopyView;
  readonly stored: StoredManifest;
}

/** A plan from every copy that holds a backup for the target, in the order of the policy; for the latest, the newest backup first, whichever copy holds it. */
export async function planByBackup<Plan extends BackupPlan>(
  reading: Reading,
  target: RestoreTarget,
  tools: Tools,
  planFrom: (view: CopyView) => Plan | Promise<Plan>,
): Promise<readonly Plan[]> {
  const opened = await openViews(reading, tools.output.notice);
  if (opened.length === 0)
    throw new HoldfastError("HF-NO-BACKUP", `there is nothing of ${reading.name} in ${reading.repositories.map(({ name }) => name).join(", ")}`, { hint: "see 'holdfast info'" });
  const plans: Plan[] = [];
  let refusal: unknown = null;
  for (const view of opened) {
    try {
      plans.push(await planFrom(view.withOthers(opened)));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      refusal ??= error;
      if (opened.length > 1) tools.output.notice(`note: ${view.repository.name}: ${error.message}`);
    }
  }
  if (plans.length === 0) throw refusal;
  if (target.kind !== "latest") return plans;
  const sorted = plans.toSorted((a, b) => compare(b.stored.manifest.stop.at, a.stored.manifest.stop.at));
  const [first, nearest] = [must(sorted[0], "a plan"), must(plans[0], "a plan")];
  if (first !== nearest) tools.output.notice(`note: ${first.view.repository.name} has a newer backup than ${nearest.view.repository.name}: ${first.stored.manifest.id}`);
  return sorted;
}

const chosenSchema = z.object({ backupId: z.string() });

/** For a recovery: the backup that was chosen before, as it is on record; else the one that leads to where it is to go. From every copy of that one backup. */
export async function planRecovery<Plan extends BackupPlan>(
  reading: Reading,
  { to, tools, facts }: { readonly to: string; readonly tools: Tools; readonly facts: Facts | null },
  planFrom: (view: CopyView, choice: { readonly target: RestoreTarget; readonly backup: string | null }) => Plan | Promise<Plan>,
): Promise<readonly Plan[]> {
  const choice = { target: parseTarget(to), backup: chosenSchema.nullable().parse(facts)?.backupId ?? null };
  const plans = await planByBackup(reading, choice.target, tools, (view) => planFrom(view, choice));
  // What one copy cannot give another may, and nothing else than what was chosen.
  return plans.filter(({ stored }) => stored.manifest.id === plans[0]?.stored.manifest.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
