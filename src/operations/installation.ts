import type { Clock } from "../clock.ts";
import { findRun } from "../catalog/runs.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { HoldfastError } from "../errors.ts";
import type { Inventory, SourceConfig } from "../policy/types.ts";
import type { HostState } from "../repository/host-state.ts";
import type { SecondPlace } from "../repository/second-place.ts";
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
  /** The second place of evidence. Rejects where the inventory names none. */
  readonly openSecond: () => Promise<SecondPlace>;
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

/** A repository that cannot be used now, and why. */
export interface Away {
  readonly name: string;
  readonly error: HoldfastError;
}

/** What could be opened of some repositories, in their order, and what could not. */
export interface Opened {
  readonly repositories: readonly WritableRepository[];
  readonly away: readonly Away[];
}

/** A store that accepts connections and never answers is given up sooner than its own patience ends, where others are waiting. */
const OPEN_WITHIN_MS = 30_000;

/**
 * Opens repositories, each by itself: one that is away does not keep anybody from the others. `look`: something that is asked of each, for one that was opened before may be away by now. Rejects
 * only where none can be opened, where a name is not in the inventory, or for what is not the fault of one repository.
 */
export async function openReachable(
  installation: Pick<Installation, "repository" | "clock">,
  names: readonly string[],
  look: (repository: WritableRepository) => Promise<unknown> = async () => undefined,
): Promise<Opened> {
  const results = await Promise.all(names.map((name) => openOrAway(installation, name, look)));
  const repositories = results.flatMap((result) => ("repositoryId" in result ? [result] : []));
  const away = results.flatMap((result) => ("repositoryId" in result ? [] : [result]));
  if (repositories.length === 0 && away[0] !== undefined) throw away[0].error;
  return { repositories, away };
}

async function openOrAway(
  { repository, clock }: Pick<Installation, "repository" | "clock">,
  name: string,
  look: (repository: WritableRepository) => Promise<unknown>,
): Promise<WritableRepository | Away> {
  const timer = new AbortController();
  const late = clock.sleep(OPEN_WITHIN_MS, timer.signal).then((): Away => ({ name, error: silent(name) }));
  late.catch(() => undefined);
  try {
    return await Promise.race([openAndLook(repository(name), look), late]);
  } catch (error) {
    if (!(error instanceof HoldfastError) || !(isOfOneCopy(error) || error.code === "HF-CONFIG")) throw error;
    return { name, error };
  } finally {
    timer.abort();
  }
}

async function openAndLook(opening: Promise<WritableRepository>, look: (repository: WritableRepository) => Promise<unknown>): Promise<WritableRepository> {
  const repository = await opening;
  await look(repository);
  return repository;
}

function silent(name: string): HoldfastError {
  return new HoldfastError("HF-TIMEOUT", `${name} did not answer within ${OPEN_WITHIN_MS / 1000} s`, { hint: "see 'holdfast check --repository'" });
}

/** Errors that say something of one repository only. Others (another cluster, two histories, a bug) are true wherever else one would write. */
const OF_ONE_COPY: readonly string[] = ["HF-STORAGE", "HF-SPACE", "HF-TIMEOUT", "HF-KEY", "HF-DAMAGE", "HF-COPIES"];

export function isOfOneCopy(error: unknown): boolean {
  return error instanceof HoldfastError && OF_ONE_COPY.includes(error.code);
}

/** Every repository a source uses, in the order the policy names them: those of backups first. */
export function repositoriesOf(source: SourceConfig): string[] {
  const { backups, log } = source.policy;
  return [...new Set([...[...backups.values()].flatMap((rule) => rule.repositories), ...(log?.repositories ?? [])])];
}

/** Whether the policy lets the log of a source go to a repository. */
export function hasLogIn({ policy }: SourceConfig, repository: string): boolean {
  return policy.log?.repositories.includes(repository) ?? false;
}

/** Repositories nearest first: folders of this machine before what is behind a network, else as they come. */
export function byNearness({ repositories }: Inventory, names: readonly string[]): string[] {
  const isRemote = (name: string): number => (repositories.get(name)?.s3 === null ? 0 : 1);
  return names.toSorted((a, b) => isRemote(a) - isRemote(b));
}

/** Whether a run of this host is on record as ended: what it left unfinished nobody will finish. */
export function hasEnded({ catalog }: Pick<Installation, "catalog">, run: string): boolean {
  return (findRun(catalog, run)?.outcome ?? "running") !== "running";
}

let counter = 0;

/** An id for a run: sortable, and unique on this host. */
export function newRunId(clock: Clock): string {
  counter = (counter + 1) % 1000;
  return `${clock.now().toISOString().replaceAll(/[-:.]/g, "")}-${process.pid.toString(36)}-${counter.toString(36)}`;
}

/** How a run of an operation is put on record, by what set it off. */
export function runSpec(clock: Clock, what: Pick<RunSpec, "operation" | "type"> & { readonly source: SourceConfig }, by: RunTrigger): RunSpec {
  const { trigger, scheduledFor, runId, requestedBy, attempt, schedule, reason } = by;
  return {
    id: runId ?? newRunId(clock),
    source: what.source.name,
    operation: what.operation,
    type: what.type,
    trigger,
    scheduledFor,
    ...(requestedBy === undefined ? {} : { requestedBy }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(reason === undefined ? {} : { reason }),
  };
}
