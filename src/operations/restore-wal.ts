import { chown, open } from "node:fs/promises";
import path from "node:path";
import { crashPoint } from "../crash-points.ts";
import { historyFileName } from "../domain/wal-segment.ts";
import { STAGED_LIST, STAGED_WAL_FOLDER } from "../postgres/restored-config.ts";
import { readHistory } from "../repository/wal-archive.ts";
import type { OperationContext } from "./context.ts";
import { ownFolder, targetError } from "./restore-files.ts";
import type { RestoreFolder } from "./restore-files.ts";
import type { RestorePlan } from "./plan-restore.ts";

/** Places the WAL of the plan, padded to whole segments, and all history files in the target: starting then needs no Holdfast, no key and no repository. */
export async function stageWal(plan: RestorePlan, folder: RestoreFolder, context: OperationContext): Promise<void> {
  const staged = path.join(folder.root, STAGED_WAL_FOLDER);
  const { view, resolved } = plan;
  await ownFolder(staged, folder);
  const names: string[] = [];
  for (const timeline of view.histories.keys()) {
    const content = await readHistory(view.repository, view.place, timeline);
    if (content === null) continue;
    names.push(historyFileName(timeline));
    await writeOwned(path.join(staged, historyFileName(timeline)), content, folder);
  }
  for (const [i, name] of resolved.segments.entries()) {
    context.signal.throwIfAborted();
    const bytes = await view.read(name);
    // An unfinished segment: zeros after the last durable byte, to the full size, or PostgreSQL refuses it.
    const whole = bytes.length === view.place.segmentBytes ? bytes : Buffer.concat([bytes, Buffer.alloc(view.place.segmentBytes - bytes.length)]);
    await writeOwned(path.join(staged, name), whole, folder);
    names.push(name);
    crashPoint("restore.wal");
    context.onProgress({ phase: "wal", doneBytes: (i + 1) * view.place.segmentBytes, totalBytes: plan.walBytes });
  }
  await writeOwned(path.join(staged, STAGED_LIST), Buffer.from(`${names.join("\n")}\n`), folder);
}

/** Writes a new file, durable, with the owner of the cluster. */
export async function writeOwned(file: string, content: Buffer | string, { owner, root }: Pick<RestoreFolder, "owner" | "root">): Promise<void> {
  try {
    const handle = await open(file, "w", 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (owner !== null) await chown(file, owner.uid, owner.gid);
  } catch (error) {
    throw targetError(error, root);
  }
}
