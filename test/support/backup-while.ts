import { systemClock } from "../../src/clock.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import type { OperationContext } from "../../src/operations/context.ts";
import { CopyView } from "../../src/operations/copy-view.ts";
import { planRestore } from "../../src/operations/restore/plan-restore.ts";
import { restore } from "../../src/operations/restore/restore.ts";
import type { RestoreResult } from "../../src/operations/restore/restore.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import type { Cluster } from "./running-cluster.ts";

/** Takes a full backup, and does something as soon as it began to copy. */
export async function backUpWhile(source: Cluster, repository: WritableRepository, act: () => Promise<void>): Promise<{ duringCopy: boolean }> {
  const acts: Promise<void>[] = [];
  let [copying, ended] = [true, false];
  const context = contextFor(({ phase }) => {
    if (phase !== "copy" || acts.length > 0) return;
    acts.push(act().then(() => void (ended = copying)));
  });
  const target = { name: "db", url: source.url(), dataDirectory: null };
  const result = await backUp({ source: target, type: "full", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 }, context);
  copying = false;
  await Promise.all(acts);
  // What followed the backup must be in WAL that is there: a second one brings it.
  await backUp({ source: target, type: "incremental", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 }, contextFor());
  const [copy] = result.copies;
  if (copy === undefined || copy.error !== null) throw new Error("the backup failed", { cause: copy?.error });
  return { duringCopy: ended };
}

/** From the full backup, to the end of WAL. */
export async function restoreLatest(repository: WritableRepository, target: string, source: Cluster): Promise<RestoreResult> {
  const view = await CopyView.open(repository, "db");
  if (view === null) throw new Error("nothing was backed up");
  const [full] = view.listing.backups;
  const plan = await planRestore(view, { target: { kind: "latest" }, backup: full?.manifest.id ?? null, timeline: "latest", exclusive: false, acceptGap: false });
  return restore({ plan, target, tablespaces: new Map(), owner: source.place.owner, action: "promote", socketDirectory: target, port: null }, contextFor());
}

function contextFor(onProgress: OperationContext["onProgress"] = () => undefined): OperationContext {
  return { clock: systemClock, signal: new AbortController().signal, onProgress, onNotice: () => undefined };
}
