import { lastHistoryEntry } from "../../catalog/entries.ts";
import type { HeldHistory, Repository } from "../../repository/repository.ts";
import { recordEntry } from "../record-run.ts";
import type { Journal } from "../record-run.ts";

/**
 * Puts on record which objects are the history of a timeline in a repository, where that is not what is on record already. A history may be all that a copy holds of its timeline, and then the
 * record alone tells that it is gone. Each entry replaces the one before: a history that was lost and is stored again under another name is not missed for ever.
 */
export async function recordHistory(journal: Journal, { name, repositoryId }: Pick<Repository, "name" | "repositoryId">, held: HeldHistory): Promise<void> {
  const { source, systemIdentifier, timeline, objects } = held;
  const last = lastHistoryEntry(journal.catalog, { source, repositoryId, systemIdentifier, timeline });
  if (JSON.stringify(last?.facts["objects"]) === JSON.stringify(objects)) return;
  await recordEntry(journal, "wal.history", { source, repository: name, repositoryId, systemIdentifier, timeline, objects });
}
