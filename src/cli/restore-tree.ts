import { formatSeconds } from "../domain/duration.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { DamageError, HoldfastError, must } from "../errors.ts";
import { planTreeRestore, restoreTree } from "../operations/restore/restore-tree.ts";
import type { RestoredTree, TreePlan } from "../operations/restore/restore-tree.ts";
import type { Reading, Tools } from "./action.ts";
import { formatBytes, plainLines } from "./output.ts";
import { planByBackup } from "./plan-by-backup.ts";
import { recordedRestore } from "./recorded-restore.ts";

/** What only a cluster has. */
const OF_CLUSTERS = ["cluster", "exclusive", "tablespace", "acceptGap", "owner", "port", "delta", "walDir", "database", "standby", "primaryConninfo", "start"] as const;

type TreeRestoreOptions = { readonly backup?: string; readonly plan?: boolean } & { readonly [Name in (typeof OF_CLUSTERS)[number]]?: unknown };

/** Restores a tree of files: from the first copy that is whole. */
export async function runTreeRestore(reading: Reading, { target, folder }: { target: RestoreTarget; folder: string }, options: TreeRestoreOptions, tools: Tools): Promise<number> {
  const stray = OF_CLUSTERS.find((name) => options[name] !== undefined && options[name] !== false);
  if (stray !== undefined)
    throw new HoldfastError("HF-USAGE", `${reading.name} is a tree of files: --${stray.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for clusters`, {
      hint: "a tree takes --to, --target, --backup, --from and --plan",
    });
  const plans = await planByBackup(reading, target, tools, (view) => planTreeRestore(view, { target, backup: options.backup ?? null }));
  if (options.plan === true) {
    const { view, stored, bytes } = must(plans[0], "a plan");
    const plan = {
      kind: "files",
      repository: view.repository.name,
      backupId: stored.manifest.id,
      from: stored.manifest.start.at,
      reachedTime: stored.manifest.stop.at,
      bytes,
      files: stored.manifest.sizes.files,
    };
    tools.output.result(plan, () => plainLines(plan));
    return 0;
  }
  const result = await recordedRestore(reading, tools, (watched) => restoreFromFirst(plans, folder, watched), present);
  tools.output.result(present(result), () => describe(result));
  return 0;
}

export async function restoreFromFirst(plans: readonly TreePlan[], target: string, tools: Tools): Promise<RestoredTree> {
  let damage: unknown = null;
  for (const plan of plans) {
    try {
      return await restoreTree({ plan, target }, tools.context);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      damage ??= error;
      tools.output.notice(`note: ${plan.view.repository.name} cannot serve this restore: ${error.message}`);
    }
  }
  throw damage;
}

/** As every restore: what only a cluster has is null. */
function present({ about, ...result }: RestoredTree): object {
  return { ...result, timeline: null, reachedLsn: null, walSegments: null, predictedSeconds: null, startable: false, counts: about.counts, findings: about.findings };
}

function describe({ backupId, repository, target, bytes, files, durationSeconds, from, reachedTime, about }: RestoredTree): string {
  const named = about.findings.filter(({ kind }) => kind !== "skipped").slice(0, 10);
  return `${[
    `restored ${backupId} from ${repository} to ${target}`,
    `  ${files} files, ${formatBytes(bytes)}, in ${formatSeconds(durationSeconds)}`,
    `  as ${about.root} on ${about.host} was between ${from} and ${reachedTime}`,
    ...named.map(({ kind, path, detail }) => `  ${kind}: ${path} ${detail}`),
  ].join("\n")}\n`;
}
