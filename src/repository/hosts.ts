/**
 * Who may write (docs/repository-format.md section 4): the hosts that the newest key admits, and those that it has expelled, of which only what they had written by then is believed.
 */
import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import { putIfAbsent } from "../storage/object-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { sha256 } from "./container-format.ts";
import { readDocument, readOrDamage, writeDocument } from "./document.ts";
import type { DocumentContext, Signer } from "./document.ts";
import type { RepositoryIdentity } from "./identity.ts";
import type { KeyLink } from "./key-chain.ts";
import { baseName, keys } from "./layout.ts";
import { verifyKeyFromBase64 } from "./signing.ts";
import type { SigningKey, VerifyKey } from "./signing.ts";

const hostFields = { publicKey: z.string(), name: z.string(), admittedAt: z.string(), admittedBy: z.string().nullable().default(null) };
const hostSchema = z.object(hostFields);
const expelledSchema = z.object({ ...hostFields, expelledAt: z.string(), list: z.object({ object: z.string(), sha256: z.string() }) });
const requestSchema = z.object({ publicKey: z.string(), name: z.string(), askedAt: z.string() });

export interface AdmittedHost {
  readonly fingerprint: string;
  /** Raw public key, base64. */
  readonly publicKey: string;
  readonly name: string;
  readonly admittedAt: string;
  /** Fingerprint of the host on which somebody who had the key admitted it, perhaps itself; null where that was not noted. */
  readonly admittedBy: string | null;
  /** Null while it may write. */
  readonly expelledAt: string | null;
}

export interface ExpelledHost extends AdmittedHost {
  readonly expelledAt: string;
  readonly list: { readonly object: string; readonly sha256: string };
}

export interface Hosts {
  /** Those that may write, and those that no longer may. */
  readonly all: readonly AdmittedHost[];
  readonly expelled: readonly ExpelledHost[];
  /** Whose signatures count. */
  readonly signers: readonly Signer[];
}

interface HostPlace {
  readonly store: ObjectStore;
  readonly repositoryId: string;
  /** The newest key. */
  readonly link: KeyLink;
}

export function adminContext({ store, repositoryId, link }: HostPlace): DocumentContext {
  return { store, repositoryId, findSigner: (fingerprint) => (fingerprint === link.admin.fingerprint ? link.admin : null) };
}

const HOST_NAME = /^[0-9a-f]{64}\.json$/;

/** `known`: hosts that need not be read again. */
export async function readHosts(place: HostPlace, known: ReadonlySet<string> = new Set()): Promise<Hosts> {
  const { store, link } = place;
  const [expelled, names] = await Promise.all([readExpelled(place), store.listNames(keys.hosts(link.keyId))]);
  const gone = new Set(expelled.map(({ fingerprint }) => fingerprint));
  const all: AdmittedHost[] = [...expelled];
  const signers: Signer[] = [];
  for (const host of expelled) signers.push(await expelledSigner(store, host));
  for (const name of names) {
    if (known.has(baseName(name)) || gone.has(baseName(name)) || !HOST_NAME.test(name)) continue;
    await unlessDamaged(async () => {
      const { payload } = await readDocument(adminContext(place), keys.hosts(link.keyId) + name, "host", hostSchema);
      const signer = verifyKeyFromBase64(payload.publicKey);
      all.push({ fingerprint: signer.fingerprint, ...payload, expelledAt: null });
      signers.push(signer);
    });
  }
  return { all, expelled, signers };
}

/** A damaged admission only means that what this host signed will be called damaged too; `verify` names it. */
async function unlessDamaged(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
  }
}

async function readExpelled(place: HostPlace): Promise<ExpelledHost[]> {
  const folder = keys.expelledHosts(place.link.keyId);
  const found: ExpelledHost[] = [];
  for (const name of (await place.store.listNames(folder)).filter((entry) => HOST_NAME.test(entry))) {
    // Not passed over where it is damaged: the host would count as one that may write.
    const { payload } = await readDocument(adminContext(place), folder + name, "expelled", expelledSchema);
    found.push({ fingerprint: verifyKeyFromBase64(payload.publicKey).fingerprint, ...payload });
  }
  return found;
}

/** Some millions of objects. */
const MOST_LIST_BYTES = 512 << 20;
const LIST_HEAD = "holdfast expelled 1";

async function expelledSigner(store: ObjectStore, { publicKey, list }: ExpelledHost): Promise<Signer> {
  const signed = await readExpelledList(store, list);
  return { ...verifyKeyFromBase64(publicKey), believes: (object, digest) => signed.get(object) === digest };
}

/** What an expelled host had signed: digests by object. */
export async function readExpelledList(store: ObjectStore, list: ExpelledHost["list"]): Promise<Map<string, string>> {
  const bytes = await readOrDamage(store, list.object, MOST_LIST_BYTES);
  if (sha256(bytes).toString("hex") !== list.sha256) throw new DamageError(list.object, "it is not the list that the expulsion names");
  const [head, ...lines] = bytes.toString("utf8").split("\n");
  if (head !== LIST_HEAD) throw new DamageError(list.object, "it does not begin as a list does");
  return new Map(lines.filter((line) => line !== "").map((line) => line.split(" ", 2) as [string, string]));
}

function formatExpelledList(signed: ReadonlyMap<string, string>): Buffer {
  const lines = [...signed].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([object, digest]) => `${object} ${digest}`);
  return Buffer.from([LIST_HEAD, ...lines, ""].join("\n"));
}

/** Lets a host write from now on. Only who can open the newest key can: the admin key signs. */
export async function admitHost(
  store: ObjectStore,
  repositoryId: string,
  identity: RepositoryIdentity,
  host: { key: VerifyKey; name: string; at: Date; by: VerifyKey },
): Promise<AdmittedHost> {
  const { key, name, at, by } = host;
  const admitted = { publicKey: key.publicKey, fingerprint: key.fingerprint, name, admittedAt: at.toISOString(), admittedBy: by.fingerprint };
  await writeAdmission(store, repositoryId, identity, admitted);
  return { ...admitted, expelledAt: null };
}

export async function writeAdmission(store: ObjectStore, repositoryId: string, identity: RepositoryIdentity, host: Omit<AdmittedHost, "expelledAt">): Promise<void> {
  const { fingerprint, ...payload } = host;
  await writeDocument(writerContext(store, repositoryId, identity), keys.host(identity.keyId, fingerprint), "host", payload, identity.admin);
}

/** Expels a host from a key: the list of what it had signed, then the document, and only then its admission goes. */
export async function expelFrom(
  store: ObjectStore,
  repositoryId: string,
  identity: RepositoryIdentity,
  host: Omit<ExpelledHost, "list">,
  signed: ReadonlyMap<string, string>,
): Promise<void> {
  const object = keys.expelledList(identity.keyId, host.fingerprint);
  const bytes = formatExpelledList(signed);
  // An attempt that died may have left a list, which nothing names: what the host has signed since is on the new one.
  await store.remove([object]);
  await putIfAbsent(store, object, bytes);
  await writeExpulsion(store, repositoryId, identity, { ...host, list: { object, sha256: sha256(bytes).toString("hex") } });
  await store.remove([keys.host(identity.keyId, host.fingerprint)]);
}

export async function writeExpulsion(store: ObjectStore, repositoryId: string, identity: RepositoryIdentity, host: ExpelledHost): Promise<void> {
  const { fingerprint, ...payload } = host;
  await writeDocument(writerContext(store, repositoryId, identity), keys.expelledHost(identity.keyId, fingerprint), "expelled", payload, identity.admin);
}

function writerContext(store: ObjectStore, repositoryId: string, { admin }: RepositoryIdentity): DocumentContext {
  return { store, repositoryId, findSigner: () => admin };
}

export interface HostRequest {
  readonly key: VerifyKey;
  readonly name: string;
  readonly askedAt: string;
}

/** Asks to be admitted. What is written proves nothing: the admin compares the fingerprint with what the host itself shows. */
export async function writeRequest(store: ObjectStore, repositoryId: string, signer: SigningKey, host: { name: string; at: Date }): Promise<void> {
  const payload = { publicKey: signer.publicKey, name: host.name, askedAt: host.at.toISOString() };
  await writeDocument({ store, repositoryId, findSigner: () => signer }, keys.request(signer.fingerprint), "request", payload, signer);
}

const MOST_REQUESTS = 1000;

/** Requests that are what they say: signed by the key they name. */
export async function readRequests(store: ObjectStore, repositoryId: string): Promise<HostRequest[]> {
  const found: HostRequest[] = [];
  const names = (await store.listNames(keys.requests())).filter((name) => HOST_NAME.test(name)).slice(0, MOST_REQUESTS);
  for (const name of names) await unlessDamaged(async () => void found.push(await readRequest(store, repositoryId, baseName(name))));
  return found;
}

async function readRequest(store: ObjectStore, repositoryId: string, fingerprint: string): Promise<HostRequest> {
  const object = keys.request(fingerprint);
  const claimed = await readClaimedKey(store, object);
  if (claimed.fingerprint !== fingerprint) throw new DamageError(object, "it is for another host");
  const { payload } = await readDocument({ store, repositoryId, findSigner: () => claimed }, object, "request", requestSchema);
  return { key: claimed, name: payload.name, askedAt: payload.askedAt };
}

async function readClaimedKey(store: ObjectStore, object: string): Promise<VerifyKey> {
  try {
    const envelope: unknown = JSON.parse((await readOrDamage(store, object)).toString("utf8"));
    const { payload } = z.object({ payload: z.string() }).parse(envelope);
    return verifyKeyFromBase64(requestSchema.parse(JSON.parse(Buffer.from(payload, "base64").toString("utf8"))).publicKey);
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause;
    throw new DamageError(object, "not a well-formed request", "damaged", cause);
  }
}
