import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { readDocument } from "./document.ts";
import type { DocumentContext, Signer } from "./document.ts";
import type { HostState, RepositoryMemory } from "./host-state.ts";
import { admitHost, readHosts } from "./hosts.ts";
import type { AdmittedHost } from "./hosts.ts";
import type { RepositoryIdentity } from "./identity.ts";
import { keyChain, readKeyChain, readLaterKeys } from "./key-chain.ts";
import type { KeyChain } from "./key-chain.ts";
import { openIdentities } from "./key-envelopes.ts";
import { createKeyRing, mapKeyFrom, newMapKey } from "./key-ring.ts";
import type { KeyRing, MapKey } from "./key-ring.ts";
import { keys } from "./layout.ts";
import type { SigningKey } from "./signing.ts";

/** A repository that was opened: its store, who may have written in it, and the keys at hand. */
export interface Repository extends DocumentContext {
  /** Its name in the inventory, or its address. */
  readonly name: string;
  /** As it was when the repository was opened. */
  readonly chain: KeyChain;
  readonly keyRing: KeyRing;
  /** The host's key; null where this process only reads. */
  readonly signer: SigningKey | null;
  readonly hosts: readonly AdmittedHost[];
}

export interface WritableRepository extends Repository {
  readonly signer: SigningKey;
  readonly mapKey: MapKey;
  /** Told which objects are the history of a timeline here, each time one was stored or found to be there. */
  readonly onHistory: (held: HeldHistory) => Promise<void>;
}

/** What a repository holds as the history of one timeline: more than one object where hosts stored it under several map keys, or two servers made the timeline. */
export interface HeldHistory {
  readonly source: string;
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly objects: readonly string[];
}

export interface OpenOptions {
  readonly name: string;
  readonly store: ObjectStore;
  /** Passphrase or age identity; null to use only what the host remembers. */
  readonly secret: string | null;
  /** Without a secret: the recipient that is known to be this repository's (`age1…`). */
  readonly recipient?: string | null;
  /** The host's memory; null to read without one (a bare machine). */
  readonly host: HostState | null;
}

interface WritingOptions extends OpenOptions {
  readonly host: HostState;
  readonly hostName: string;
  readonly now: Date;
  /** Called where this host was not known before, and admitted itself. */
  readonly onAdmitted?: (host: AdmittedHost) => void;
  readonly onHistory?: WritableRepository["onHistory"];
}

/**
 * Opens a repository for reading. Trust comes from the passphrase (only who knows it could have made an envelope that opens with it), or from the key id this host pinned before.
 */
export async function openRepository(options: OpenOptions): Promise<Repository> {
  return (await open(options)).repository;
}

/** Opens a repository for writing: this host is admitted (by itself, where it has the passphrase) and has a map key. */
export async function openForWriting(options: WritingOptions): Promise<WritableRepository> {
  return (await openWritable(options)).repository;
}

/** Opens a repository with a secret that opens its newest key: for whoever changes who can open it and who may write. */
export async function openAsAdmin(options: WritingOptions & { secret: string }): Promise<{ repository: WritableRepository; identity: RepositoryIdentity }> {
  const { repository, identities } = await openWritable(options);
  const [identity] = identities;
  if (identity?.keyId !== repository.chain.newest.keyId)
    throw new HoldfastError("HF-KEY", `the passphrase given opens older keys of ${options.name} only`, { hint: "give one that opens the newest: --key env:NAME or file:/path" });
  return { repository, identity };
}

async function openWritable(options: WritingOptions): Promise<Opened & { repository: WritableRepository }> {
  const { host } = options;
  const opened = await open(options);
  const { repository, identities, signers } = opened;
  const admitted = await ensureAdmitted(opened, options);
  for (const admission of admitted) options.onAdmitted?.(admission);
  signers.set(host.signer.fingerprint, host.signer);
  const mapKey = await chooseMapKey(repository, await host.recall(repository.repositoryId));
  repository.keyRing.addMapKey(mapKey);
  await host.remember(repository.repositoryId, {
    keyIds: repository.chain.links.map(({ keyId }) => keyId),
    mapKeys: [{ id: mapKey.id, key: mapKey.key.toString("base64"), keyId: repository.chain.newest.keyId }],
  });
  const { onHistory = async () => undefined } = options;
  return { repository: { ...repository, hosts: [...repository.hosts, ...admitted], signer: host.signer, mapKey, onHistory }, identities, signers };
}

/** This host, where it was not known before. */
async function ensureAdmitted({ repository, identities, signers }: Opened, { host, hostName, now }: WritingOptions): Promise<AdmittedHost[]> {
  const { fingerprint } = host.signer;
  if (repository.hosts.some((entry) => entry.fingerprint === fingerprint && entry.expelledAt !== null))
    throw new HoldfastError("HF-KEY", `this host was expelled from ${repository.name}`, {
      hint: "if that was a mistake, let it have a new key: move host-key.pem and evidence/ out of its state folder, and admit that one",
      facts: { fingerprint },
    });
  if (signers.has(fingerprint)) return [];
  const admin = identities.find(({ keyId }) => keyId === repository.chain.newest.keyId);
  if (admin === undefined)
    throw new HoldfastError("HF-KEY", `this host may not write in ${repository.name} yet`, {
      hint: "ask with 'holdfast key request', and let who has the passphrase answer: 'holdfast key admit'; or run one command here with the passphrase",
      facts: { fingerprint },
    });
  return [await admitHost(repository.store, repository.repositoryId, admin, { key: host.signer, name: hostName, at: now, by: host.signer })];
}

interface Opened {
  readonly repository: Repository;
  /** Newest first; empty without a secret. */
  readonly identities: readonly RepositoryIdentity[];
  readonly signers: Map<string, Signer>;
}

async function open({ name, store, secret, recipient, host }: OpenOptions): Promise<Opened> {
  const chain = await readKeyChain(name, store);
  const { repositoryId } = chain;
  const memory = host === null ? { keyIds: [], mapKeys: [] } : await host.recall(repositoryId);
  const [identities, hosts] = await Promise.all([
    identitiesOf(name, store, chain, memory, { secret, recipient: recipient ?? null }),
    readHosts({ store, repositoryId, link: chain.newest }),
  ]);
  const signers = new Map<string, Signer>([...hosts.signers, chain.newest.admin].map((signer) => [signer.fingerprint, signer]));
  let now = chain;
  const follow = async (): Promise<KeyChain> => {
    const later = await readLaterKeys(store, repositoryId, now.newest);
    if (later.length > 0) now = keyChain(repositoryId, [...now.links, ...later]);
    return now;
  };
  const repository: Repository = {
    name,
    store,
    repositoryId,
    chain,
    findSigner: (fingerprint) => findSigner(signers, fingerprint),
    learnSigners: async () => {
      const { newest } = await follow();
      for (const signer of (await readHosts({ store, repositoryId, link: newest }, new Set(signers.keys()))).signers) signers.set(signer.fingerprint, signer);
    },
    keyRing: createKeyRing({
      current: chain.newest,
      findCurrent: async () => (await follow()).newest,
      identities,
      mapKeys: memory.mapKeys.map((entry) => mapKeyFrom(Buffer.from(entry.key, "base64"))),
    }),
    signer: null,
    hosts: hosts.all,
  };
  return { repository, identities, signers };
}

/** What a secret opens, once it is certain whose repository this is. */
async function identitiesOf(
  name: string,
  store: ObjectStore,
  chain: KeyChain,
  memory: RepositoryMemory,
  { secret, recipient }: { secret: string | null; recipient: string | null },
): Promise<RepositoryIdentity[]> {
  const identities = secret === null ? [] : await openIdentities(store, chain, secret);
  requireKnownKeys(name, chain, memory, { proven: identities.length > 0, recipient });
  return identities;
}

/** The chain must hold every key that this host has seen, and without a secret one of them, or the recipient of the inventory, is all that says whose repository it is. */
function requireKnownKeys(name: string, chain: KeyChain, { keyIds }: RepositoryMemory, { proven, recipient }: { proven: boolean; recipient: string | null }): void {
  const there = new Set(chain.links.map(({ keyId }) => keyId));
  const unknown = keyIds.filter((keyId) => !there.has(keyId));
  if (unknown.length > 0 && unknown.length < keyIds.length)
    throw new DamageError(keys.rotation(chain.newest.keyId), `this host knows of a later key (${unknown.join(", ")}), and nothing leads to it`, "missing");
  if (proven || keyIds.some((keyId) => there.has(keyId))) return;
  if (recipient !== null && recipient === chain.newest.recipient) return;
  throw new HoldfastError(
    "HF-KEY",
    recipient === null ? `the repository ${name} needs its passphrase, and none was given` : `the newest key of ${name} is not that of the recipient in the inventory`,
    {
      hint:
        recipient === null
          ? "set it in HOLDFAST_KEY, or name it: --key env:NAME or file:/path"
          : "compare it with 'holdfast key list' on a host that can open the repository: after a rotation the recipient is another one",
      facts: { keyId: chain.newest.keyId },
    },
  );
}

/** Containers name their signer by the first half of its fingerprint. */
function findSigner(signers: ReadonlyMap<string, Signer>, fingerprint: string): Signer | null {
  const exact = signers.get(fingerprint);
  if (exact !== undefined || fingerprint.length !== 32) return exact ?? null;
  return [...signers.values()].find((signer) => signer.fingerprint.startsWith(fingerprint)) ?? null;
}

/** The last map key this host used under the newest key, or the one of the newest manifest that is sealed to it and can be opened, or a new one. */
async function chooseMapKey(repository: Repository, { mapKeys }: RepositoryMemory): Promise<MapKey> {
  const { newest, links } = repository.chain;
  const remembered = mapKeys.findLast((entry) => (entry.keyId ?? links[0]?.keyId) === newest.keyId);
  if (remembered !== undefined) return mapKeyFrom(Buffer.from(remembered.key, "base64"));
  if (!repository.keyRing.canOpenData) return newMapKey();
  const sealed = await newestSealedMapKey(repository);
  return sealed?.keyId === newest.keyId ? repository.keyRing.learnMapKey(sealed.id, sealed.keyId, sealed.sealed) : newMapKey();
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
