import type { Clock } from "../clock.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { HoldfastError } from "../errors.ts";
import type { Inventory, SourceConfig } from "../policy/types.ts";
import type { HostState } from "../repository/host-state.ts";
import type { WritableRepository } from "../repository/repository.ts";
import type { Administration } from "./administration.ts";
import type { Journal, RunSpec, RunTrigger } from "./record-run.ts";
import type { SourceTarget } from "./source-target.ts";

/** Holdfast as it is set up on this host: an inventory, the state folder, and the repositories it names. Built in `app.ts`. */
export interface Installation {
  readonly inventory: Inventory;
  readonly catalog: Catalog;
  readonly host: HostState;
  readonly journal: Journal;
  readonly clock: Clock;
  /** Opens a repository of the inventory, once. */
  repository(name: string): Promise<WritableRepository>;
  /** Opens a repository of the inventory to change who can open it. Without a secret, with what the inventory names. */
  administration(name: string, secret: string | null): Promise<Administration>;
  /** A source with the address of its server. */
  target(source: SourceConfig): Promise<SourceTarget>;
}

/** The source of a name; or the only one there is; or a refusal that lists them. */
export function chooseSource(inventory: Inventory, name: string | undefined): SourceConfig {
  const names = [...inventory.sources.keys()];
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  const source = chosen === undefined ? undefined : inventory.sources.get(chosen);
  if (source !== undefined) return source;
  const hint = names.length === 0 ? "the inventory names no sources" : `choose one of: ${names.join(", ")}`;
  throw new HoldfastError("HF-USAGE", name === undefined ? "which source?" : `there is no source ${JSON.stringify(name)}`, { hint, facts: { sources: names } });
}

/** The source of a name; without one, all of them. */
export function chooseSources(inventory: Inventory, name: string | undefined): SourceConfig[] {
  return name === undefined ? [...inventory.sources.values()] : [chooseSource(inventory, name)];
}

export async function openAll(installation: Installation, names: readonly string[]): Promise<WritableRepository[]> {
  return Promise.all(names.map((name) => installation.repository(name)));
}

/** Every repository a source uses, in the order the policy names them: those of backups first. */
export function repositoriesOf(source: SourceConfig): string[] {
  const { backups, log } = source.policy;
  return [...new Set([...[...backups.values()].flatMap((rule) => rule.repositories), ...(log?.repositories ?? [])])];
}

let counter = 0;

/** An id for a run: sortable, and unique on this host. */
export function newRunId(clock: Clock): string {
  counter = (counter + 1) % 1000;
  return `${clock.now().toISOString().replaceAll(/[-:.]/g, "")}-${process.pid.toString(36)}-${counter.toString(36)}`;
}

/** How a run of an operation is put on record, by what set it off. */
export function runSpec(
  clock: Clock,
  what: Pick<RunSpec, "operation" | "type"> & { readonly source: SourceConfig },
  { trigger, scheduledFor, runId, requestedBy }: RunTrigger,
): RunSpec {
  return {
    id: runId ?? newRunId(clock),
    source: what.source.name,
    operation: what.operation,
    type: what.type,
    trigger,
    scheduledFor,
    ...(requestedBy === undefined ? {} : { requestedBy }),
  };
}
