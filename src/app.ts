import { mkdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import path from "node:path";
import { Catalog } from "./catalog/catalog.ts";
import { routeFailed, routeState } from "./catalog/evidence-routes.ts";
import { applyEntry, lastApplied } from "./catalog/runs.ts";
import type { Clock } from "./clock.ts";
import { rateAt } from "./domain/bandwidth.ts";
import { accountName, readEnvironment, resolveSecret } from "./config.ts";
import { HoldfastError } from "./errors.ts";
import type { Administration } from "./operations/administration.ts";
import type { Installation } from "./operations/installation.ts";
import type { SourceTarget } from "./operations/source-target.ts";
import { settlePolicies } from "./operations/policy/settle-policies.ts";
import { settleSources } from "./operations/policy/settle-sources.ts";
import { sendToSecond } from "./operations/evidence/send-to-second.ts";
import { recordEntry } from "./operations/record-run.ts";
import type { Journal } from "./operations/record-run.ts";
import { recordHistory } from "./operations/wal/record-history.ts";
import { inventoryFindings } from "./policy/feasibility.ts";
import type { PolicyFinding } from "./policy/feasibility.ts";
import { loadInventory } from "./policy/load.ts";
import type { LoadedInventory } from "./policy/load.ts";
import { configError } from "./policy/problem.ts";
import { isEndpoint } from "./policy/fields.ts";
import type { Inventory, RepositoryConfig, S3Config, SecretRef, SourceConfig } from "./policy/types.ts";
import { EvidenceLog } from "./repository/evidence-log.ts";
import { openHostState } from "./repository/host-state.ts";
import type { HostState } from "./repository/host-state.ts";
import type { AdmittedHost } from "./repository/hosts.ts";
import type { LockTerms, SourceTerms } from "./repository/lock-terms.ts";
import { withLocks } from "./repository/locked-store.ts";
import { openAsAdmin, openForWriting, openRepository } from "./repository/repository.ts";
import type { Repository, WritableRepository } from "./repository/repository.ts";
import { openLocalStore } from "./storage/local-store.ts";
import type { ObjectStore } from "./storage/object-store.ts";
import { parseS3Address } from "./storage/s3-address.ts";
import type { S3Credentials, S3Options } from "./storage/s3-address.ts";
import { throttled } from "./storage/throttled-store.ts";

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
  const opened = new Map<string, Promise<WritableRepository>>();
  const configOf = (name: string): RepositoryConfig => {
    const config = written.repositories.get(name);
    if (config !== undefined) return config;
    throw new HoldfastError("HF-USAGE", `there is no repository ${JSON.stringify(name)}`, { hint: `choose one of: ${[...written.repositories.keys()].join(", ")}` });
  };
  /** A host that has the passphrase admits itself on its first use of a repository: on record, as every change of who may write. */
  const openRecorded = async (config: RepositoryConfig): Promise<WritableRepository> => {
    const admitted: AdmittedHost[] = [];
    const writable: WritableRepository = await openConfigured(config, host, clock, inventory, {
      onAdmitted: (admission) => admitted.push(admission),
      onHistory: async (held) => recordHistory(journal, writable, held),
    });
    for (const { fingerprint, name } of admitted)
      await recordEntry(journal, "host.admitted", { repository: config.name, repositoryId: writable.repositoryId, host: fingerprint, name, keyId: writable.chain.newest.keyId });
    return writable;
  };
  const repository = (name: string): Promise<WritableRepository> => {
    const config = configOf(name);
    let pending = opened.get(name);
    if (pending === undefined) {
      pending = openRecorded(config);
      opened.set(name, pending);
      // An outage ends: the next one who asks tries again.
      pending.catch(() => opened.delete(name));
    }
    return pending;
  };
  const openSecond = once(async () => openSecondPlace(written, clock));
  const copyToRepositories = async (): Promise<void> => {
    await Promise.all([...written.repositories.keys()].map(async (name) => copyEvidence(evidence, name, repository, options.onNotice)));
    if (written.evidence.second !== null) await sendWithin(journal, openSecond, options.onNotice);
  };
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

/** One that is away keeps nobody from the others. */
async function copyEvidence(evidence: EvidenceLog, name: string, repository: App["repository"], onNotice: (text: string) => void): Promise<void> {
  try {
    await evidence.copyTo(await repository(name));
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    onNotice(`evidence is not yet in ${name}: ${error.message}`);
  }
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

/** Without the passphrase a host that was admitted before can still write (and read maps): it holds the map key. */
async function openConfigured(
  config: RepositoryConfig,
  host: HostState,
  clock: Clock,
  inventory: Inventory,
  told: { readonly onAdmitted: (host: AdmittedHost) => void; readonly onHistory: WritableRepository["onHistory"] },
): Promise<WritableRepository> {
  const secret = await passphraseOf(config).catch((error: unknown) => {
    if (error instanceof HoldfastError && host.knowsAny) return null;
    throw error;
  });
  return openForWriting({ ...(await writingOptions(config, host, clock, inventory)), secret, recipient: config.recipient, ...told });
}

/** Null where the inventory names none, because this host only writes. */
async function passphraseOf({ name, passphrase }: RepositoryConfig): Promise<string | null> {
  return passphrase === null ? null : resolveSecret(passphrase, `the passphrase of repository ${name}`);
}

async function writingOptions(
  config: RepositoryConfig,
  host: HostState,
  clock: Clock,
  inventory: Inventory,
): Promise<{ name: string; store: ObjectStore; host: HostState; hostName: string; now: Date }> {
  return { name: config.name, store: await openConfiguredStore(config, clock, inventory), host, hostName: hostname(), now: clock.now() };
}

async function openAdministration(config: RepositoryConfig, host: HostState, clock: Clock, inventory: Inventory, given: string | null): Promise<Administration> {
  const secret = given ?? (await passphraseOf(config));
  if (secret === null)
    throw new HoldfastError("HF-KEY", `to change the keys or hosts of ${config.name} takes a key that opens it, and this host has none`, {
      hint: "name one: --key env:NAME or file:/path",
    });
  return { ...(await openAsAdmin({ ...(await writingOptions(config, host, clock, inventory)), secret })), secret };
}

/** The store of a repository of the inventory: written to no faster than it allows at the time, each object locked for as long as policies need it. */
export async function openConfiguredStore(config: RepositoryConfig, clock: Clock, inventory: Inventory): Promise<ObjectStore> {
  const store = await openUnlimitedStore(config);
  const paced = config.bandwidth.length === 0 ? store : throttled(store, (at) => rateAt(config.bandwidth, at), clock);
  const terms = lockTermsOf(config, inventory);
  return terms === null ? paced : withLocks(paced, terms, clock);
}

/** How long the policies of the sources in a repository want things kept. Null: nothing in it is locked. */
function lockTermsOf({ name, s3 }: RepositoryConfig, { sources }: Inventory): LockTerms | null {
  const lock = s3?.objectLock ?? null;
  if (lock === null) return null;
  const terms = [...sources.values()].map(({ name: source, policy }): [string, SourceTerms] => {
    const backups = [...policy.backups].filter(([, rule]) => rule.repositories.includes(name)).map(([type, { retention }]) => [type, retention.keepForSeconds] as const);
    return [source, { backups: new Map(backups), logSeconds: policy.log?.retentionSeconds ?? null }];
  });
  return { marginSeconds: lock.marginSeconds, evidenceSeconds: lock.evidenceSeconds, sources: new Map(terms) };
}

/** Opens something at its first use. What failed is tried again. */
function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | null = null;
  return async () => {
    opened ??= open().catch((error: unknown) => {
      opened = null;
      throw error;
    });
    return opened;
  };
}

/** Folder or bucket; what is written there is locked, where it asks for that, as evidence is in a repository. */
async function openSecondPlace({ evidence: { second } }: Inventory, clock: Clock): Promise<ObjectStore> {
  if (second === null) throw new HoldfastError("HF-CONFIG", "the inventory names no second place for evidence", { hint: "evidence: { second: { url: s3://… } }" });
  const store = await openUnlimitedStore({ name: "evidence.second", ...second });
  const lock = second.s3?.objectLock ?? null;
  return lock === null ? store : withLocks(store, { marginSeconds: lock.marginSeconds, evidenceSeconds: lock.evidenceSeconds, sources: new Map() }, clock);
}

/** Longer nobody who has done his work waits for it. */
const SECOND_WITHIN_MS = 5000;

/** A second place that is away costs a run some seconds once, and then a minute nothing: it gets what it lacks with whatever comes later. */
async function sendWithin(journal: Journal, openSecond: () => Promise<ObjectStore>, onNotice: (text: string) => void): Promise<void> {
  const { catalog, clock } = journal;
  const { failingSince, triedAt } = routeState(catalog, "second");
  if (failingSince !== null && triedAt !== null && clock.now().getTime() - Date.parse(triedAt) < 60_000) return;
  const timer = new AbortController();
  const late = clock.sleep(SECOND_WITHIN_MS, timer.signal).then(() => {
    throw new HoldfastError("HF-TIMEOUT", `it did not answer within ${SECOND_WITHIN_MS / 1000} s`);
  });
  late.catch(() => undefined);
  try {
    await Promise.race([sendToSecond(journal, openSecond), late]);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (error.code === "HF-TIMEOUT") routeFailed(catalog, { route: "second", error: error.message, diverged: false }, clock.now());
    onNotice(`evidence is not yet in its second place: ${error.message}`);
  } finally {
    timer.abort();
  }
}

async function openUnlimitedStore({ name, url, s3 }: Pick<RepositoryConfig, "name" | "url" | "s3">): Promise<ObjectStore> {
  if (s3 === null) return openStore(url);
  const { credentials, objectLock, ...rest } = s3;
  const find = credentials === null ? null : async (): Promise<S3Credentials> => findCredentials(name, credentials);
  return openStore(url, { ...rest, objectLock: objectLock?.mode ?? null, credentials: find });
}

async function findCredentials(name: string, { accessKeyId, secretAccessKey, sessionToken }: NonNullable<S3Config["credentials"]>): Promise<S3Credentials> {
  const resolve = async (reference: SecretRef, what: string): Promise<string> => resolveSecret(reference, `the ${what} of repository ${name}`);
  return {
    accessKeyId: await resolve(accessKeyId, "access key id"),
    secretAccessKey: await resolve(secretAccessKey, "secret access key"),
    ...(sessionToken === null ? {} : { sessionToken: await resolve(sessionToken, "session token") }),
  };
}

/** What can be said of a bucket on a command line; the rest is as the environment has it. */
export interface BareOptions {
  readonly endpoint?: string;
  readonly region?: string;
}

/** The store behind an address, folder or bucket. */
export async function openStore(url: string, options: Partial<S3Options> = {}): Promise<ObjectStore> {
  const address = parseS3Address(url);
  if (address !== null) {
    const { openS3Store } = await import("./storage/s3-store.ts");
    return openS3Store(address, { ...PLAIN_S3, ...options });
  }
  if (!url.startsWith("file:///")) {
    // Somebody may have written credentials into it.
    const shown = url.replace(/^([^/]*\/\/)[^/]*@/, "$1…@");
    throw new HoldfastError("HF-USAGE", `not a repository address: ${shown}`, { hint: "file:///absolute/path, or s3://bucket/prefix; credentials come from the environment" });
  }
  return openLocalStore(decodeURIComponent(new URL(url).pathname).replace(/\/+$/, ""));
}

const PLAIN_S3: S3Options = { endpoint: null, region: null, pathStyle: null, credentials: null, serverSideEncryption: null, storageClass: null, objectLock: null };

/** A repository by its address alone, read only: no inventory, no state. */
export async function openBareRepository(url: string, secret: string, { endpoint, region }: BareOptions): Promise<Repository> {
  if (endpoint !== undefined && !isEndpoint(endpoint)) throw new HoldfastError("HF-USAGE", "--endpoint must be http:// or https:// and a host", { hint: "without credentials" });
  return openRepository({ name: url, store: await openStore(url, { endpoint: endpoint ?? null, region: region ?? null }), secret, host: null });
}
