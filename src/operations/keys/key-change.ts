import type { Clock } from "../../clock.ts";
import { HoldfastError } from "../../errors.ts";
import type { Inventory, RepositoryConfig } from "../../policy/types.ts";
import { acquireLease } from "../../repository/lease.ts";
import type { Administration } from "../administration.ts";
import { newRunId } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordEntry } from "../record-run.ts";

/** Changes of keys and hosts are rare, and are made one at a time. */
const SCOPE = "keys";

export async function changingKeys<T>({ clock }: { clock: Clock }, { repository }: Administration, act: () => Promise<T>): Promise<T> {
  await using lease = await acquireLease(repository, { scope: SCOPE, runId: newRunId(clock), clock });
  await lease.assertHeld();
  return await act();
}

/** The repository of a name; or the only one there is; or a refusal that lists them. */
export function chooseRepository(inventory: Inventory, name: string | undefined): RepositoryConfig {
  const names = [...inventory.repositories.keys()];
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  const config = chosen === undefined ? undefined : inventory.repositories.get(chosen);
  if (config !== undefined) return config;
  throw new HoldfastError("HF-USAGE", name === undefined ? "which repository?" : `there is no repository ${JSON.stringify(name)}`, {
    hint: `choose one of: ${names.join(", ")}`,
    facts: { repositories: names },
  });
}

/** Puts a change on record, and a copy of the record in every repository. */
export async function recordChange(
  installation: Installation,
  { repository }: Administration,
  kind: "key.added" | "key.removed" | "key.rotated" | "host.admitted" | "host.expelled",
  facts: object,
): Promise<void> {
  await recordEntry(installation.journal, kind, { repository: repository.name, repositoryId: repository.repositoryId, ...facts });
  await installation.journal.copyToRepositories();
}
