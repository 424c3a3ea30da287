import { HoldfastError, must } from "../errors.ts";
import { recover } from "../operations/recover/recover.ts";
import type { RecoveryOutcome } from "../operations/recover/recover.ts";
import type { RecordedRecovery, RecoveryOrder } from "../operations/recover/recovery-log.ts";
import { requireTime } from "../operations/restore/choose-by-time.ts";
import { inspectTarget } from "../operations/restore/restore-target-folder.ts";
import type { Reading, Tools } from "./action.ts";
import { clusterParts } from "./recovery-of-cluster.ts";
import { dumpParts } from "./recovery-of-dumps.ts";
import { treeParts } from "./recovery-of-tree.ts";
import { confirmStep, parseTarget } from "./recovery-parts.ts";
import type { PartsOfKind } from "./recovery-parts.ts";

/** The steps of a recovery by the kind of its source. What kinds of source there are is asked here, and nowhere below. */
export async function recoverByKind(recovery: RecordedRecovery, reading: Reading, tools: Tools, { yes }: { readonly yes: boolean }): Promise<RecoveryOutcome> {
  const { journal } = must(reading.app, "an installation");
  const { order } = recovery;
  const run = async <Plan>(parts: PartsOfKind<Plan>): Promise<RecoveryOutcome> =>
    recover(recovery, { ...parts, confirm: async (step, about) => (yes ? undefined : confirmStep(step, about, tools.context)) }, journal, tools.context);
  const config = must(reading.config, "a source");
  switch (config.kind) {
    case "postgres":
      return run(await clusterParts(order, reading, tools));
    case "postgres-logical":
      return run(await dumpParts(order, reading, config, tools));
    case "files":
      return run(treeParts(order, reading, config, tools));
  }
}

/** Rejects what does not go together, and a target that is not free, before anything is put on record or touched. */
export async function requireOrder({ name, config }: Reading, order: RecoveryOrder): Promise<void> {
  const kind = must(config, "a source").kind;
  const target = parseTarget(order.to);
  if (kind !== "postgres") requireTime(name, target);
  if (order.into !== null && kind !== "postgres-logical") throw misused("--into is for databases by pg_dump", "into a folder: --target /srv/recovered");
  if (kind === "files" && (order.owner !== null || order.port !== null))
    throw misused(`${name} is a tree of files: --${order.owner === null ? "port" : "owner"} is for clusters`, "whoever recovers it as root gives each file its owner");
  if (order.into !== null && (order.owner !== null || order.port !== null))
    throw misused(`--${order.owner === null ? "port" : "owner"} is of a new cluster`, "leave it out, or leave out --into");
  // What is there is never written over: with something in it that is not ours, the folder is refused.
  if (order.target !== null) await inspectTarget(order.target);
}

function misused(message: string, hint: string): HoldfastError {
  return new HoldfastError("HF-USAGE", message, { hint: `${hint}; nothing was touched` });
}
