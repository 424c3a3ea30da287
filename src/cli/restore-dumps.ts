import { formatSeconds } from "../domain/duration.ts";
import { parseSecretRef, resolveSecret } from "../config.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { HoldfastError, must } from "../errors.ts";
import { loadDumps, planDumpRestore } from "../operations/restore/load-dumps.ts";
import type { DumpPlan, LoadedDumps } from "../operations/restore/load-dumps.ts";
import { loadIntoNewCluster } from "../operations/restore/load-new-cluster.ts";
import { requireClients } from "../postgres/binaries.ts";
import { majorOf } from "../postgres/server-identity.ts";
import { serverUser } from "../postgres/process.ts";
import type { Reading, Tools } from "./action.ts";
import { formatBytes, plainLines } from "./output.ts";
import { planByBackup } from "./plan-by-backup.ts";
import { recordedRestore } from "./recorded-restore.ts";

/** What only a backup of a whole cluster has. */
const OF_CLUSTERS = ["cluster", "exclusive", "tablespace", "acceptGap", "port", "delta", "walDir", "standby", "primaryConninfo", "start"] as const;

type DumpRestoreOptions = { readonly backup?: string; readonly plan?: boolean; readonly into?: string; readonly database?: readonly string[] } & {
  readonly [Name in (typeof OF_CLUSTERS)[number]]?: unknown;
};

/** Loads dumps into a new cluster in a folder, or into a server that is there. */
export async function runDumpRestore(
  reading: Reading,
  { target, folder }: { target: RestoreTarget; folder: string | null },
  options: DumpRestoreOptions,
  tools: Tools,
): Promise<number> {
  const stray = OF_CLUSTERS.find((name) => options[name] !== undefined && options[name] !== false);
  if (stray !== undefined)
    throw new HoldfastError("HF-USAGE", `${reading.name} is databases by pg_dump: --${stray.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for clusters`, {
      hint: "they take --to, --target or --into, --database, --backup, --from and --plan",
    });
  if ((folder === null) === (options.into === undefined))
    throw new HoldfastError("HF-USAGE", "where should the databases go?", { hint: "--target FOLDER for a new cluster, or --into env:NAME for a server that is there" });
  const plans = await planByBackup(reading, target, tools, async (view) => planDumpRestore(view, { target, backup: options.backup ?? null }));
  const plan = must(plans[0], "a plan");
  if (options.plan === true) {
    const shown = {
      kind: "postgres-logical",
      repository: plan.view.repository.name,
      backupId: plan.stored.manifest.id,
      databases: plan.about.databases.map(({ name }) => name).join(", "),
      from: plan.stored.manifest.start.at,
      reachedTime: plan.stored.manifest.stop.at,
      bytes: plan.bytes,
    };
    tools.output.result(shown, () => plainLines(shown));
    return 0;
  }
  const result = await recordedRestore(
    reading,
    tools,
    (watched) => load(plan, folder, options, reading, watched),
    (loaded) => present(loaded, folder),
  );
  tools.output.result(present(result, folder), () => describe(result, plan, folder));
  return 0;
}

async function load(plan: DumpPlan, folder: string | null, options: DumpRestoreOptions, { app }: Reading, tools: Tools): Promise<LoadedDumps> {
  const binaries = app?.inventory.postgres.binaries ?? [];
  const databases = options.database ?? null;
  if (folder !== null)
    return loadIntoNewCluster(plan, { folder, binaries, runAs: await serverUser(app?.inventory.postgres.runAs ?? null), databases, address: null }, tools.context);
  const url = await addressOf(must(options.into, "a server"));
  return loadDumps(plan, { url, clients: await requireClients(binaries, majorOf(plan.about.version)), databases }, tools.context);
}

/** Of the server that a reference leads to. */
export async function addressOf(into: string): Promise<string> {
  const reference = parseSecretRef(into);
  if (reference === null) throw new HoldfastError("HF-USAGE", "--into names where the address is, not the address", { hint: "--into env:NAME, or file:/path" });
  return resolveSecret(reference, "the server to load into");
}

/** As every restore: what only a cluster has is null. */
function present(result: LoadedDumps, folder: string | null): object {
  return { kind: "postgres-logical", ...result, target: folder, timeline: null, reachedLsn: null, walSegments: null, predictedSeconds: null, startable: folder !== null };
}

function describe({ backupId, repository, databases, bytes, durationSeconds, from, reachedTime }: LoadedDumps, { about }: DumpPlan, folder: string | null): string {
  return `${[
    `loaded ${databases.join(", ")} of ${backupId} from ${repository} into ${folder ?? "the server"}`,
    `  ${formatBytes(bytes)} of dumps, in ${formatSeconds(durationSeconds)}, each as it was at some moment between ${from} and ${reachedTime}`,
    ...(about.rolePasswords ? [] : ["  roles have no passwords: the backup was made by a role that may not read them"]),
    ...(folder === null ? [] : [`  start it as the owner of the folder: pg_ctl -D ${folder} start; its superuser is ${about.bootstrapRole}`]),
  ].join("\n")}\n`;
}
