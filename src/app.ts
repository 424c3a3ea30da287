import { mkdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { Catalog } from "./catalog/catalog.ts";
import { applyEntry, lastApplied } from "./catalog/apply-entry.ts";
import type { Clock } from "./clock.ts";
import { accountName, readEnvironment, resolveSecret } from "./config.ts";
import { rateAt } from "./domain/bandwidth.ts";
import { HoldfastError } from "./errors.ts";
import { openAdministration, openConfigured, openOnce } from "./open-repositories.ts";
import { openSecondPlace } from "./open-stores.ts";
import { copyEvidence } from "./operations/evidence/copy-evidence.ts";
import type { Installation } from "./operations/installation.ts";
import { settlePolicies } from "./operations/policy/settle-policies.ts";
import { settleSources } from "./operations/policy/settle-sources.ts";
import { recordHistory } from "./operations/wal/record-history.ts";
import { recordEntry } from "./operations/record-run.ts";
import type { Journal } from "./operations/record-run.ts";
import type { SourceTarget } from "./operations/source-target.ts";
import { inventoryFindings } from "./policy/feasibility.ts";
import type { PolicyFinding } from "./policy/feasibility.ts";
import { loadInventory } from "./policy/load.ts";
import type { LoadedInventory } from "./policy/load.ts";
import { configError } from "./policy/problem.ts";
import type { Inventory, RepositoryConfig, SourceConfig } from "./policy/types.ts";
import { EvidenceLog } from "./repository/evidence-log.ts";
import { openHostState } from "./repository/host-state.ts";
import type { AdmittedHost } from "./repository/hosts.ts";
import type { WritableRepository } from "./repository/repository.ts";
import { openLocalStore } from "./storage/local-store.ts";
import type { ObjectStore } from "./storage/object-store.ts";

/** Puts the parts together. Only edges (commands, jobs, the server) come here. */
export interface App extends Installation, AsyncDisposable {
  readonly findings: readonly PolicyFinding[];
  /** Puts sources, limits and policies of changed files in force, after what approval holds back; everybody who has this inventory sees them. Answers with the sources that are not what they were. */
  takeUp(loaded: LoadedInventory): Promise<string[]>;
}

const USUAL_FILES = ["./holdfast.yaml", "/etc/holdfast/holdfast.yaml"];

/** The inventory file: the one named, the one in the environment, or where it usually is. Null: there is none. */
export function findInventory(named: string | undefined): string | null {
  return named ?? readEnvironment().configFile ?? USUAL_FILES.find((file) => existsSync(file)) ?? null;
}

export interface OpenOptions {
  readonly config: string | undefined;
  readonly clock: Clock;
  readonly onNotice: (notice: string) => void;
  /** What is in force, from the one who starts us: files may be invalid, or about to change. Left out: what the files say. */
  readonly inForce?: Inventory;
}

export async function openApp(options: OpenOptions): Promise<App> {
  const file = findInventory(options.config);
  if (file === null) throw new HoldfastError("HF-CONFIG", "there is no inventory (holdfast.yaml)", { hint: "run 'holdfast init', or name it with --config" });
  const loaded: LoadedInventory = options.inForce === undefined ? await loadOrRefuse(file) : { ok: true, inventory: options.inForce, policyFiles: new Map() };
  const { inventory: written } = loaded;
  const { clock } = options;
  await mkdir(written.state, { recursive: true, mode: 0o700 });
  const host = await openHostState(written.state);
  const evidence = new EvidenceLog(openLocalStore(written.state), host.signer);
  const catalog = Catalog.open(path.join(written.state, "catalog.sqlite"));
  const configOf = (name: string): RepositoryConfig => {
    const config = written.repositories.get(name);
    if (config !== undefined) return config;
    throw new HoldfastError("HF-USAGE", `there is no repository ${JSON.stringify(name)}`, { hint: `choose one of: ${[...written.repositories.keys()].join(", ")}` });
  };
  /** A host that has the passphrase admits itself on its first use of a repository: on record, as every change of who may write. */
  const repository = openOnce(async (name) => {
    const admitted: AdmittedHost[] = [];
    const writable: WritableRepository = await openConfigured(configOf(name), host, clock, inventory, {
      onAdmitted: (admission) => admitted.push(admission),
      onHistory: async (held) => recordHistory(journal, writable, held),
    });
    for (const { fingerprint, name: hostName } of admitted)
      await recordEntry(journal, "host.admitted", { repository: name, repositoryId: writable.repositoryId, host: fingerprint, name: hostName, keyId: writable.chain.newest.keyId });
    return writable;
  });
  const second = openOnce(async () => openSecondPlace(written, clock));
  const openSecond = async (): Promise<ObjectStore> => second("second");
  const places = { names: [...written.repositories.keys()], repository, openSecond: written.evidence.second === null ? null : openSecond };
  const copyToRepositories = async (): Promise<void> => copyEvidence(journal, places, options.onNotice);
  const journal: Journal = { evidence, catalog, clock, hostName: hostname(), copyToRepositories };
  await catchUp(catalog, evidence);
  const { inventory, ...inForce } = await putInForce(loaded, journal, options);
  return {
    inventory,
    ...inForce,
    catalog,
    host,
    journal,
    clock,
    repository,
    openSecond,
    administration: async (name, secret) => openAdministration(configOf(name), host, clock, inventory, secret),
    target: targetOf,
    [Symbol.asyncDispose]: async () => catalog[Symbol.dispose](),
  };
}

/** What is in force of what was loaded, as one inventory that stays: what is taken up later is seen by everybody who has it. */
async function putInForce(loaded: LoadedInventory, journal: Journal, { inForce, onNotice }: OpenOptions): Promise<Pick<App, "inventory" | "findings" | "takeUp">> {
  const settling = { by: `${accountName()} (shell)`, onNotice };
  const settled = async (of: LoadedInventory): Promise<Inventory> => settleSources(await settlePolicies(of, journal, settling), journal, settling);
  const first = inForce ?? (await settled(loaded));
  const [sources, limits] = [new Map(first.sources), { ...first.limits }];
  const findings = inForce === undefined ? inventoryFindings(loaded) : [];
  const takeUp = async (again: LoadedInventory): Promise<string[]> => {
    const next = await settled(again);
    const changed = differing(sources, next.sources);
    // One step for everybody: nothing is awaited in between.
    sources.clear();
    for (const [name, source] of next.sources) sources.set(name, source);
    Object.assign(limits, next.limits);
    findings.splice(0, findings.length, ...inventoryFindings(again));
    return changed;
  };
  return { inventory: { ...first, sources, limits }, findings, takeUp };
}

async function loadOrRefuse(file: string): Promise<LoadedInventory> {
  const loaded = await loadInventory(file);
  if (!loaded.ok) throw configError(loaded.problems);
  return loaded;
}

/** Names of sources that are in one of the two only, or not the same in both. */
function differing(before: ReadonlyMap<string, SourceConfig>, after: ReadonlyMap<string, SourceConfig>): string[] {
  const text = (source: SourceConfig | undefined): string => JSON.stringify(source ?? null, (_key, value: unknown) => (value instanceof Map ? [...value] : value));
  return [...new Set([...before.keys(), ...after.keys()])].filter((name) => text(before.get(name)) !== text(after.get(name)));
}

async function targetOf(source: SourceConfig): Promise<SourceTarget> {
  if (source.kind === "files") throw new HoldfastError("HF-USAGE", `${source.name} is a tree of files: there is no server`, { hint: "name a source that is one" });
  const url = await resolveSecret(source.connection, `the connection of ${source.name}`);
  return { name: source.name, url, dataDirectory: source.kind === "postgres" ? source.dataDirectory : null, readRate: (at) => rateAt(source.bandwidth, at) };
}

/** Entries that a process wrote and did not live to bring into the catalog; or all of them, where the catalog is new. */
async function catchUp(catalog: Catalog, evidence: EvidenceLog): Promise<void> {
  const from = lastApplied(catalog, evidence.writer) + 1;
  for await (const entry of evidence.entriesFrom(from)) applyEntry(catalog, entry);
}
