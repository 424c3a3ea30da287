import { randomUUID } from "node:crypto";
import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import { ObjectMissing } from "../storage/object-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { decodeDocument, readDocument, readOrDamage, writeDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import type { HostState } from "./host-state.ts";
import { generateIdentity, keyIdOf, unwrapIdentity, wrapIdentity } from "./identity.ts";
import type { RepositoryIdentity } from "./identity.ts";
import { createKeyRing, mapKeyFrom, newMapKey } from "./key-ring.ts";
import type { KeyRing, MapKey } from "./key-ring.ts";
import { baseName, DESCRIPTOR_KEY, keys } from "./layout.ts";
import { sha256 } from "./container-format.ts";
import { verifyKeyFromBase64 } from "./signing.ts";
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

interface AdmittedHost {
  readonly fingerprint: string;
  readonly name: string;
  readonly admittedAt: string;
}

const descriptorSchema = z.object({ createdAt: z.string(), keyId: z.string() });
const keySchema = z.object({
  recipient: z.string(),
  admin: z.string(),
  createdAt: z.string(),
  previous: z.strictObject({ keyId: z.string(), signature: z.string() }).nullable(),
});
const envelopeSchema = z.object({ sha256: z.string(), label: z.string(), addedAt: z.string() });
const hostSchema = z.object({ publicKey: z.string(), name: z.string(), admittedAt: z.string() });

export interface CreateOptions {
  readonly name: string;
  readonly store: ObjectStore;
  readonly passphrase: string;
  readonly now: Date;
}

/** Makes a repository where there is none. The descriptor comes last: without it there is no repository, and nothing that a second attempt minds. */
export async function createRepository({ name, store, passphrase, now }: CreateOptions): Promise<{ repositoryId: string; keyId: string }> {
  const names = await store.listNames("");
  if (names.includes(DESCRIPTOR_KEY)) throw new HoldfastError("HF-USAGE", `${name} is a repository already (${store.url})`, { hint: "use it as it is, or choose another folder" });
  if (names.some((entry) => !["keys/", "hosts/"].includes(entry)))
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `${store.url} holds other things (${names.slice(0, 3).join(", ")})`, { hint: "choose an empty folder" });
  const identity = await generateIdentity();
  const repositoryId = randomUUID();
  const context: DocumentContext = { store, repositoryId, findSigner: () => identity.admin };
  const at = now.toISOString();
  await addEnvelope(context, identity, passphrase, at);
  await writeDocument(
    context,
    keys.keyDocument(identity.keyId),
    "key",
    { recipient: identity.recipient, admin: identity.admin.publicKey, createdAt: at, previous: null },
    identity.admin,
  );
  const outcome = await writeDocument(context, DESCRIPTOR_KEY, "repository", { createdAt: at, keyId: identity.keyId }, identity.admin);
  if (outcome === "exists") throw new HoldfastError("HF-BUSY", `somebody else is creating ${store.url} right now`);
  return { repositoryId, keyId: identity.keyId };
}

async function addEnvelope(context: DocumentContext, identity: RepositoryIdentity, passphrase: string, at: string): Promise<void> {
  const file = await wrapIdentity(identity, passphrase);
  const key = keys.keyEnvelope(identity.keyId, `passphrase-${randomUUID().slice(0, 8)}`, 1);
  const writer = await context.store.create(key);
  try {
    await writer.write(file);
    await writer.commit();
  } finally {
    await writer.abort();
  }
  await writeDocument(context, keys.envelopeStatement(key), "envelope", { sha256: sha256(file).toString("hex"), label: "passphrase", addedAt: at }, identity.admin);
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
    await admitHost(repository, identity, options);
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

async function admitHost(repository: Repository, identity: RepositoryIdentity | null, options: OpenOptions & { host: HostState; hostName: string; now: Date }): Promise<void> {
  if (identity === null)
    throw new HoldfastError("HF-KEY", `this host may not write in ${repository.name} yet`, { hint: "run one command with the passphrase (HOLDFAST_KEY): it admits the host" });
  const { signer } = options.host;
  await writeDocument(
    repository,
    keys.host(identity.keyId, signer.fingerprint),
    "host",
    { publicKey: signer.publicKey, name: options.hostName, admittedAt: options.now.toISOString() },
    identity.admin,
  );
}

interface Descriptor {
  readonly repositoryId: string;
  readonly keyId: string;
}

/** Reads the descriptor and its key. Whether that key is to be trusted is decided by who opens the repository. */
async function readDescriptor(name: string, store: ObjectStore): Promise<Descriptor & { key: KeyDocument }> {
  let bytes: Buffer;
  try {
    bytes = await store.read(DESCRIPTOR_KEY);
  } catch (error) {
    if (!(error instanceof ObjectMissing)) throw error;
    const others = await store.listNames("");
    if (others.includes("sources/")) throw new DamageError(DESCRIPTOR_KEY, "the object is not there", "missing");
    throw new HoldfastError("HF-STORAGE", `there is no repository at ${store.url}`, { hint: `check the address, or create it: 'holdfast init'`, facts: { repository: name } });
  }
  const claimed = claimedPayload(bytes);
  const keyId = descriptorSchema.safeParse(claimed);
  const repositoryId = z.object({ repositoryId: z.uuid() }).safeParse(claimed);
  if (!keyId.success || !repositoryId.success || !/^[0-9a-f]{32}$/.test(keyId.data.keyId)) throw new DamageError(DESCRIPTOR_KEY, "not a well-formed signed document");
  const descriptor = { repositoryId: repositoryId.data.repositoryId, keyId: keyId.data.keyId };
  const key = await readKeyDocument(store, descriptor);
  decodeDocument({ repositoryId: descriptor.repositoryId, findSigner: () => key.admin }, DESCRIPTOR_KEY, bytes);
  return { ...descriptor, key };
}

/** The payload of a document whose signature cannot be checked yet. */
function claimedPayload(bytes: Buffer): unknown {
  try {
    const envelope: unknown = JSON.parse(bytes.toString("utf8"));
    const payload = z.object({ payload: z.string() }).parse(envelope).payload;
    return JSON.parse(Buffer.from(payload, "base64").toString("utf8"));
  } catch {
    return null;
  }
}

interface KeyDocument {
  readonly recipient: string;
  readonly admin: VerifyKey;
}

async function readKeyDocument(store: ObjectStore, { repositoryId, keyId }: Descriptor): Promise<KeyDocument> {
  const key = keys.keyDocument(keyId);
  const bytes = await readOrDamage(store, key);
  const claimed = keySchema.safeParse(claimedPayload(bytes));
  if (!claimed.success) throw new DamageError(key, "not a well-formed signed document");
  if (keyIdOf(claimed.data.recipient, claimed.data.admin) !== keyId) throw new DamageError(key, "it is not the key it is named for");
  const admin = verifyKeyFromBase64(claimed.data.admin);
  decodeDocument({ repositoryId, findSigner: () => admin }, key, bytes);
  return { recipient: claimed.data.recipient, admin };
}

/** Tries the secret on every envelope. A wrong passphrase and a damaged envelope look alike to age; the signed digest tells them apart. */
async function openIdentity(store: ObjectStore, { repositoryId, keyId }: Descriptor, key: KeyDocument, secret: string): Promise<RepositoryIdentity> {
  const context: DocumentContext = { store, repositoryId, findSigner: () => key.admin };
  let damage: DamageError | null = null;
  const names = await store.listNames(keys.keyEnvelopes(keyId));
  for (const name of names.filter((entry) => entry.endsWith(".age"))) {
    const object = keys.keyEnvelopes(keyId) + name;
    const file = await readOrDamage(store, object);
    const identity = await unwrapIdentity(file, secret);
    if (identity?.keyId === keyId) return identity;
    damage ??= await envelopeDamage(context, object, file);
  }
  if (damage !== null) throw damage;
  if (!names.some((entry) => entry.endsWith(".age"))) throw new DamageError(keys.keyEnvelopes(keyId), "no key envelope is left", "missing");
  throw new HoldfastError("HF-KEY", "the passphrase does not open this repository", {
    hint: "check HOLDFAST_KEY or --key; the recovery sheet says where the passphrase is kept",
    facts: { keyId },
  });
}

async function envelopeDamage(context: DocumentContext, object: string, file: Buffer): Promise<DamageError | null> {
  try {
    await checkEnvelope(context, object, file);
    return null;
  } catch (error) {
    if (error instanceof DamageError) return error;
    throw error;
  }
}

/** Compares a key envelope with its signed statement. Rejects with `DamageError`. */
export async function checkEnvelope(context: DocumentContext, object: string, file: Buffer): Promise<void> {
  const statement = await readDocument(context, keys.envelopeStatement(object), "envelope", envelopeSchema);
  if (statement.payload.sha256 !== sha256(file).toString("hex")) throw new DamageError(object, "the digest does not fit the signed statement");
}

/** `known`: hosts that need not be read again. */
async function readHosts(
  store: ObjectStore,
  { repositoryId, keyId }: Descriptor,
  admin: VerifyKey,
  known: ReadonlySet<string> = new Set(),
): Promise<{ admitted: AdmittedHost[]; keys: VerifyKey[] }> {
  const context: DocumentContext = { store, repositoryId, findSigner: () => admin };
  const admitted: AdmittedHost[] = [];
  const signers: VerifyKey[] = [];
  for (const name of await store.listNames(keys.hosts(keyId))) {
    if (known.has(baseName(name))) continue;
    try {
      const { payload } = await readDocument(context, keys.hosts(keyId) + name, "host", hostSchema);
      const signer = verifyKeyFromBase64(payload.publicKey);
      admitted.push({ fingerprint: signer.fingerprint, name: payload.name, admittedAt: payload.admittedAt });
      signers.push(signer);
    } catch (error) {
      // A damaged admission only means that what this host signed will be called damaged too; `verify` names it.
      if (!(error instanceof DamageError)) throw error;
    }
  }
  return { admitted, keys: signers };
}
