import { dirname, join, resolve } from "node:path";
import { must } from "../errors.ts";
import { channelProblems } from "./channel-fields.ts";
import { apiProblems, completeApi } from "./api-section.ts";
import { choosePolicies } from "./choose-policies.ts";
import type { LayeredFile } from "./inheritance.ts";
import { inventorySchema } from "./inventory-schema.ts";
import type { EvidenceSection, InventoryFile, RepositorySection } from "./inventory-schema.ts";
import { sortProblems } from "./problem.ts";
import { encryptionProblems, repositoryProblems, secondPlaceProblems, strayLimits, strayS3Settings } from "./references.ts";
import { policyKindProblems, sourceKindProblems, sourceOf } from "./source-kinds.ts";
import type { UnboundSource } from "./source-kinds.ts";
import { schemaProblems } from "./schema-problems.ts";
import type { DataClass, EvidenceConfig, Inventory, Limits, Policy, RepositoryConfig, S3Config, SecretRef, SourceConfig, Tier } from "./types.ts";
import { readYamlFile } from "./yaml-file.ts";
import type { Failed, LoadedPolicy } from "./load-policy.ts";

/** Recovery time objectives by tier and recovery point objectives by data class, in seconds: the table of the mission, section 1. */
export const RTO_SECONDS: Readonly<Record<Tier, number>> = { critical: 900, important: 3600, standard: 4 * 3600, "non-critical": 24 * 3600 };
export const RPO_SECONDS: Readonly<Record<DataClass, number>> = { financial: 300, user: 900, application: 3600, system: 4 * 3600 };

export interface LoadedInventory {
  readonly ok: true;
  readonly inventory: Inventory;
  /** The file of every policy that a source uses, by name: for findings that name a line. */
  readonly policyFiles: ReadonlyMap<string, LayeredFile>;
}

/** The inventory with the policies its sources name or that apply to them (`policies/NAME.yaml` beside it), or every problem in all of these files. Other policy files are not looked at. */
export async function loadInventory(file: string): Promise<LoadedInventory | Failed> {
  const path = resolve(file);
  const read = await readYamlFile(path);
  if (!read.ok) return read;
  const { yaml } = read;
  const parsed = inventorySchema.safeParse(yaml.value);
  const problems = [
    ...yaml.problems,
    ...(parsed.success ? [] : schemaProblems(yaml, parsed.error.issues)),
    ...repositoryProblems(yaml),
    ...encryptionProblems(yaml),
    ...strayS3Settings(yaml),
    ...secondPlaceProblems(yaml),
    ...channelProblems(yaml),
    ...strayLimits(yaml),
    ...sourceKindProblems(yaml),
  ];

  const folder = join(dirname(path), "policies");
  const { bySource, problems: ofPolicies } = await choosePolicies(yaml, folder);
  problems.push(...ofPolicies, ...policyKindProblems(yaml, bySource));
  if (parsed.success) problems.push(...apiProblems(yaml, completeApi(parsed.data.api)));
  if (!parsed.success || problems.length > 0) return { ok: false, problems: sortProblems(problems) };
  return {
    ok: true,
    inventory: complete(path, parsed.data, bySource),
    policyFiles: new Map([...bySource.values()].map(({ policy, yaml: policyYaml }) => [policy.name, policyYaml])),
  };
}

/** Everything resolved: paths absolute, policies in place of their names, objectives filled in. */
function complete(file: string, written: InventoryFile, policies: ReadonlyMap<string, LoadedPolicy>): Inventory {
  const state = resolve(dirname(file), written.state);
  const { directory, maxBytes, memory } = written.scratch;
  return {
    file,
    state,
    repositories: mapOf(written.repositories, (repository, name) => completeRepository(repository, name, dirname(file))),
    sources: mapOf(written.sources, (source, name) => withPolicy(sourceOf(name, source), must(policies.get(name), "the policy of a source").policy)),
    limits: completeLimits(written.limits),
    postgres: { binaries: written.postgres.binaries, runAs: written.postgres.runAs ?? null },
    scratch: { directory: directory === undefined ? join(state, "scratch") : resolve(dirname(file), directory), maxBytes: maxBytes ?? null, memoryBytes: memory ?? null },
    channels: mapOf(written.channels, (channel, name) => ({ name, ...channel })),
    alerting: written.alerting,
    alive: written.alive === undefined ? null : { url: written.alive.url, everySeconds: written.alive.every },
    evidence: completeEvidence(written.evidence, dirname(file)),
    api: completeApi(written.api),
  };
}

function completeEvidence({ timestamps, second }: EvidenceSection, folder: string): EvidenceConfig {
  return {
    timestamps: timestamps === undefined ? null : { authority: timestamps.authority, certificates: resolve(folder, timestamps.certificates), everySeconds: timestamps.every },
    second: second === undefined ? null : { url: second.url, s3: second.url.startsWith("s3://") ? completeS3(second) : null },
  };
}

function completeLimits({ host, repositories }: InventoryFile["limits"]): Limits {
  return { hostBackups: host.backups ?? null, hostDrills: host.drills ?? null, repositoryBackups: mapOf(repositories, (count) => count) };
}

function completeRepository(repository: RepositorySection, name: string, folder: string): RepositoryConfig {
  const { url, site, class: speed, encryption, bandwidth, maxBytes } = repository;
  return {
    name,
    url,
    site: site ?? null,
    class: speed ?? null,
    passphrase: encryption.passphrase === undefined ? null : besideInventory(encryption.passphrase, folder),
    recipient: encryption.recipient ?? null,
    bandwidth,
    maxBytes: maxBytes ?? null,
    s3: url.startsWith("s3://") ? completeS3(repository) : null,
  };
}

/** A program with a path of its own counts from the inventory; a bare name is looked for where programs are. */
function besideInventory(reference: SecretRef, folder: string): SecretRef {
  if (reference.kind !== "command") return reference;
  const [program = "", ...rest] = reference.command;
  return { kind: "command", command: [program.includes("/") ? resolve(folder, program) : program, ...rest] };
}

function completeS3({
  endpoint,
  region,
  pathStyle,
  credentials,
  serverSideEncryption,
  storageClass,
  objectLock,
}: Omit<RepositorySection, "url" | "encryption" | "bandwidth" | "maxBytes">): S3Config {
  return {
    endpoint: endpoint ?? null,
    region: region ?? null,
    pathStyle: pathStyle ?? null,
    credentials: credentials === undefined ? null : { ...credentials, sessionToken: credentials.sessionToken ?? null },
    serverSideEncryption: serverSideEncryption === undefined ? null : { ...serverSideEncryption, key: serverSideEncryption.key ?? null },
    storageClass: storageClass ?? null,
    objectLock: objectLock === undefined ? null : { mode: objectLock.mode, marginSeconds: objectLock.margin, evidenceSeconds: objectLock.evidence },
  };
}

/** A source under a policy: its objectives are those of the policy, else of its tier and data class. */
export function withPolicy(source: UnboundSource, policy: Policy): SourceConfig {
  const objectives = {
    rtoSeconds: policy.objectives.rtoSeconds ?? RTO_SECONDS[source.tier],
    rpoSeconds: policy.objectives.rpoSeconds ?? RPO_SECONDS[source.dataClass],
  };
  return { ...source, policy, objectives };
}

function mapOf<From, To>(record: Readonly<Record<string, From>>, convert: (value: From, name: string) => To): ReadonlyMap<string, To> {
  return new Map(Object.entries(record).map(([name, value]) => [name, convert(value, name)]));
}
