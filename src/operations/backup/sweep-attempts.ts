import { abandonAttempt, clearAttempt, findTraces, readIntents, removeBackupObjects, withdrawIntent } from "../../repository/attempts.ts";
import { baseName, keys } from "../../repository/layout.ts";
import type { ManifestListing } from "../../repository/manifest.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";

const HOUR_MS = 3_600_000;

/**
 * Clears away what dead runs left: attempts without a manifest, intents of backups that are complete, half-written files. Only under the source's backup lease: whoever else
 * wrote there is dead or fenced off. What copying left stays: it is gone on with. Returns the attempts that are given up only now: their ids are taken, also where nothing shows it.
 */
export async function sweepAttempts(
  repository: WritableRepository,
  source: string,
  listing: ManifestListing,
  context: OperationContext,
  hasEnded: (runId: string) => boolean = () => false,
): Promise<readonly string[]> {
  const [declared, traces] = await Promise.all([
    readIntents(repository, source),
    findTraces(repository, source),
    repository.store.sweep(keys.backups(source), new Date(context.clock.now().getTime() - HOUR_MS)),
  ]);
  const intents = new Map(declared.map((intent) => [intent.backup, intent]));
  const dead: string[] = [];
  for (const id of traces.dead) {
    const intent = intents.get(id);
    if (intent?.copiedFrom !== undefined) continue;
    context.onNotice(`clearing away an attempt that died: ${id}`);
    // The copy of a backup that did not come to be here may be made up for under the same id: so it is not used up where its writer is known to have ended.
    if (intent !== undefined && hasEnded(intent.runId)) await clearAttempt(repository, source, id);
    else await abandonAttempt(repository, source, id, "the run that made it ended before it was complete");
    dead.push(id);
  }
  const alive = new Set([...listing.backups, ...listing.dying].map(({ manifest }) => manifest.id));
  const damaged = new Set(listing.damaged.map(({ object }) => baseName(object)));
  const abandoned = new Set(listing.ids.filter((id) => !alive.has(id) && !damaged.has(id)));
  for (const id of traces.folders) if (abandoned.has(id)) await removeBackupObjects(repository, source, id);
  for (const id of traces.intents) if (alive.has(id) || abandoned.has(id)) await withdrawIntent(repository, source, id);
  return dead;
}
