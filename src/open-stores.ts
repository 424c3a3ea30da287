import type { Clock } from "./clock.ts";
import { resolveSecret } from "./config.ts";
import { rateAt } from "./domain/bandwidth.ts";
import { HoldfastError } from "./errors.ts";
import { isEndpoint } from "./policy/fields.ts";
import type { Inventory, RepositoryConfig, S3Config, SecretRef } from "./policy/types.ts";
import type { LockTerms, SourceTerms } from "./repository/lock-terms.ts";
import { withLocks } from "./repository/locked-store.ts";
import { openRepository } from "./repository/repository.ts";
import type { Repository } from "./repository/repository.ts";
import { openLocalStore } from "./storage/local-store.ts";
import type { ObjectStore } from "./storage/object-store.ts";
import { parseS3Address } from "./storage/s3-address.ts";
import type { S3Credentials, S3Options } from "./storage/s3-address.ts";
import { throttled } from "./storage/throttled-store.ts";

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

/** Folder or bucket; what is written there is locked, where it asks for that, as evidence is in a repository. */
export async function openSecondPlace({ evidence: { second } }: Inventory, clock: Clock): Promise<ObjectStore> {
  if (second === null) throw new HoldfastError("HF-CONFIG", "the inventory names no second place for evidence", { hint: "evidence: { second: { url: s3://… } }" });
  const store = await openUnlimitedStore({ name: "evidence.second", ...second });
  const lock = second.s3?.objectLock ?? null;
  return lock === null ? store : withLocks(store, { marginSeconds: lock.marginSeconds, evidenceSeconds: lock.evidenceSeconds, sources: new Map() }, clock);
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
