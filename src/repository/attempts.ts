import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import type { LockedObject } from "../storage/object-store.ts";
import { readDocument, writeDocument } from "./document.ts";
import { baseName, keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";

/** Backups under way: intents, and what is left of attempts that died (docs/repository-format.md section 10). */
const intentSchema = z.object({
  backup: z.string(),
  ancestors: z.array(z.string()),
  startedAt: z.string(),
  runId: z.string(),
  /** The repository (by its id) that this backup is being copied from; absent where it is taken from the source. */
  copiedFrom: z.string().optional(),
});
export type Intent = z.infer<typeof intentSchema>;

/** Says which backups a new one will refer to, then looks whether one of them is being deleted: expiry looks the other way round, so one of the two always sees the other. */
export async function declareIntent(repository: WritableRepository, source: string, intent: Intent): Promise<void> {
  await writeDocument(repository, keys.intent(source, intent.backup), "intent", intent, repository.signer);
  for (const ancestor of intent.ancestors) {
    if ((await repository.store.size(keys.tombstone(source, ancestor))) === null) continue;
    await withdrawIntent(repository, source, intent.backup);
    throw new HoldfastError("HF-BUSY", `${ancestor} is being deleted and cannot be a parent`, { hint: "run the backup again: it will choose another parent" });
  }
}

export async function withdrawIntent(repository: WritableRepository, source: string, backup: string): Promise<void> {
  await repository.store.remove([keys.intent(source, backup)]);
}

/** Intents there are. A damaged one is an error: what it protects is not known. */
export async function readIntents(repository: Repository, source: string): Promise<Intent[]> {
  const intents: Intent[] = [];
  for (const name of await repository.store.listNames(keys.intents(source))) {
    try {
      intents.push((await readDocument(repository, keys.intents(source) + name, "intent", intentSchema)).payload);
    } catch (error) {
      if (!(error instanceof DamageError) || error.kind !== "missing") throw error;
    }
  }
  return intents;
}

/** What there is of backups and attempts, by id. */
export interface BackupTraces {
  /** Those that have objects. */
  readonly folders: readonly string[];
  readonly intents: readonly string[];
  /** Of those, the ones that left something and never became a backup. */
  readonly dead: readonly string[];
}

/** Only the holder of the source's backup lease may act on it: for everybody else it is over as soon as it is read. */
export async function findTraces({ store }: Repository, source: string): Promise<BackupTraces> {
  const [manifests, folders, intents] = await Promise.all([
    store.listNames(keys.manifests(source)),
    store.listNames(keys.backups(source)).then((names) => names.map((name) => name.slice(0, -1))),
    store.listNames(keys.intents(source)).then((names) => names.map(baseName)),
  ]);
  const finished = new Set(manifests.map(baseName));
  return { folders, intents, dead: [...new Set([...folders, ...intents])].filter((id) => !finished.has(id)).toSorted() };
}

/** Gives up a dead attempt: a tombstone at the manifest's own key, so that a writer that was only suspended can never commit; then its objects go. */
export async function abandonAttempt(repository: WritableRepository, source: string, backup: string, reason: string): Promise<void> {
  const outcome = await writeDocument(repository, keys.manifest(source, backup), "tombstone", { backup, reason }, repository.signer);
  if (outcome === "exists") return;
  await clearAttempt(repository, source, backup);
}

/** Removes what an attempt left, of which it is certain that nobody will finish it. Its id is free again. */
export async function clearAttempt(repository: WritableRepository, source: string, backup: string): Promise<void> {
  await removeBackupObjects(repository, source, backup);
  // Its process is dead: also what it was writing that very moment.
  await repository.store.sweep(keys.backup(source, backup), END_OF_TIME);
  await withdrawIntent(repository, source, backup);
}

const END_OF_TIME = new Date(8.64e15);

const REMOVE_AT_ONCE = 500;

export interface RemovedObjects {
  readonly objects: number;
  readonly bytes: number;
  /** Those that stay, because they are locked. */
  readonly locked: readonly LockedObject[];
}

/** Removes everything below the folder of a backup. */
export async function removeBackupObjects(repository: WritableRepository, source: string, backup: string): Promise<RemovedObjects> {
  let [objects, bytes] = [0, 0];
  const locked: LockedObject[] = [];
  let doomed: string[] = [];
  for await (const { key, size } of repository.store.list(keys.backup(source, backup))) {
    doomed.push(key);
    objects++;
    bytes += size;
    if (doomed.length < REMOVE_AT_ONCE) continue;
    locked.push(...(await repository.store.remove(doomed)));
    doomed = [];
  }
  locked.push(...(await repository.store.remove(doomed)));
  return { objects: objects - locked.length, bytes, locked };
}
