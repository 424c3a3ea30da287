import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { admitHost, openIdentity, readDescriptor, readHosts } from "./admin-documents.ts";
import type { AdmittedHost } from "./admin-documents.ts";
import { readDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import type { HostState } from "./host-state.ts";
import type { RepositoryIdentity } from "./identity.ts";
import { createKeyRing, mapKeyFrom, newMapKey } from "./key-ring.ts";
import type { KeyRing, MapKey } from "./key-ring.ts";
import { keys } from "./layout.ts";
import type { SigningKey, VerifyKey } from "./signing.ts";

/** A repository that was opened: its store, who may have written in it, and the keys at hand. */
export interface Repository extends DocumentContext {
  /** Its name in the inventory, or its address. */
  readonly name: string;
  readonly keyRing: KeyRing;
  /** The host's key; null where this process only reads. */
  readonly signer: SigningKey | null;
  readonly hosts: readonly AdmittedHost[];
}

export interface WritableRepository extends Repository {
  readonly signer: SigningKey;
  readonly mapKey: MapKey;
}

export interface OpenOptions {
  readonly name: string;
  readonly store: ObjectStore;
  /** Passphrase or age identity; null to use only what the host remembers. */
  readonly secret: string | null;
  /** The host's memory; null to read without one (a bare machine). */
  readonly host: HostState | null;
}

/**
 * Opens a repository for reading. Trust comes from the passphrase (only who knows it could have made an envelope that opens with it), or from the key id this host pinned before.
 */
export async function openRepository(options: OpenOptions): Promise<Repository> {
  return (await open(options)).repository;
}

/** Opens a repository for writing: this host is admitted (which needs the passphrase once) and has a map key. */
export async function openForWriting(options: OpenOptions & { host: HostState; hostName: string; now: Date }): Promise<WritableRepository> {
  const { host } = options;
  const { repository, identity, signers } = await open(options);
  if (!signers.has(host.signer.fingerprint)) {
    await admitHost(repository, identity, { signer: host.signer, name: options.hostName, at: options.now });
    signers.set(host.signer.fingerprint, host.signer);
  }
  const memory = await host.recall(repository.repositoryId);
  const mapKey = await chooseMapKey(repository, memory.mapKeys.at(-1)?.key ?? null);
  repository.keyRing.addMapKey(mapKey);
  await host.remember(repository.repositoryId, { keyIds: [repository.keyRing.current.keyId], mapKeys: [{ id: mapKey.id, key: mapKey.key.toString("base64") }] });
  return { ...repository, signer: host.signer, mapKey };
}

async function open({ name, store, secret, host }: OpenOptions): Promise<{ repository: Repository; identity: RepositoryIdentity | null; signers: Map<string, VerifyKey> }> {
  const { key, ...descriptor } = await readDescriptor(name, store);
  const memory = host === null ? { keyIds: [], mapKeys: [] } : await host.recall(descriptor.repositoryId);
  const identity = secret === null ? null : await openIdentity(store, descriptor, key, secret);
  if (identity === null && !memory.keyIds.includes(descriptor.keyId))
    throw new HoldfastError("HF-KEY", `the repository ${name} needs its passphrase, and none was given`, {
      hint: "set it in HOLDFAST_KEY, or name it: --key env:NAME or file:/path",
      facts: { keyId: descriptor.keyId },
    });
  const hosts = await readHosts(store, descriptor, key.admin);
  const signers = new Map<string, VerifyKey>([...hosts.keys, key.admin].map((signer) => [signer.fingerprint, signer]));
  const mapKeys = memory.mapKeys.map((entry) => mapKeyFrom(Buffer.from(entry.key, "base64")));
  const repository: Repository = {
    name,
    store,
    repositoryId: descriptor.repositoryId,
    findSigner: (fingerprint) => findSigner(signers, fingerprint),
    learnSigners: async () => {
      const now = await readHosts(store, descriptor, key.admin, new Set(signers.keys()));
      for (const signer of now.keys) signers.set(signer.fingerprint, signer);
    },
    keyRing: createKeyRing({ keyId: descriptor.keyId, recipient: key.recipient }, identity === null ? [] : [identity], mapKeys),
    signer: null,
    hosts: hosts.admitted,
  };
  return { repository, identity, signers };
}

/** Containers name their signer by the first half of its fingerprint. */
function findSigner(signers: ReadonlyMap<string, VerifyKey>, fingerprint: string): VerifyKey | null {
  const exact = signers.get(fingerprint);
  if (exact !== undefined || fingerprint.length !== 32) return exact ?? null;
  return [...signers.values()].find((signer) => signer.fingerprint.startsWith(fingerprint)) ?? null;
}

/** The last map key this host used, or the one of the newest manifest that can be opened, or a new one. */
async function chooseMapKey(repository: Repository, remembered: string | null): Promise<MapKey> {
  if (remembered !== null) return mapKeyFrom(Buffer.from(remembered, "base64"));
  if (!repository.keyRing.canOpenData) return newMapKey();
  const sealed = await newestSealedMapKey(repository);
  return sealed === null ? newMapKey() : repository.keyRing.learnMapKey(sealed.id, sealed.keyId, sealed.sealed);
}

const manifestMapKeySchema = z.object({ mapKey: z.object({ id: z.string(), keyId: z.string(), sealed: z.string() }) });

async function newestSealedMapKey(repository: Repository): Promise<{ id: string; keyId: string; sealed: string } | null> {
  for (const source of await repository.store.listNames(keys.allSources())) {
    const prefix = `${keys.allSources()}${source}manifests/`;
    for (const name of (await repository.store.listNames(prefix)).toReversed()) {
      try {
        const document = await readDocument(repository, prefix + name, "manifest", manifestMapKeySchema);
        return document.payload.mapKey;
      } catch (error) {
        if (!(error instanceof DamageError)) throw error;
      }
    }
  }
  return null;
}
