/**
 * What the admin key of a repository signs (docs/repository-format.md sections 3 and 4): the descriptor, the key's own document, the statement beside each key envelope, and the admission of
 * each host. Trust in all else that is stored begins here.
 */
import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { sha256 } from "./container-format.ts";
import { decodeDocument, readDocument, readOrDamage, writeDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import { keyIdOf, unwrapIdentity } from "./identity.ts";
import type { RepositoryIdentity } from "./identity.ts";
import { baseName, DESCRIPTOR_KEY, keys } from "./layout.ts";
import { verifyKeyFromBase64 } from "./signing.ts";
import type { SigningKey, VerifyKey } from "./signing.ts";

const descriptorSchema = z.object({ createdAt: z.string(), keyId: z.string() });
const keySchema = z.object({
  recipient: z.string(),
  admin: z.string(),
  createdAt: z.string(),
  previous: z.strictObject({ keyId: z.string(), signature: z.string() }).nullable(),
});
const envelopeSchema = z.object({ sha256: z.string(), label: z.string(), addedAt: z.string() });
const hostSchema = z.object({ publicKey: z.string(), name: z.string(), admittedAt: z.string() });

export interface AdmittedHost {
  readonly fingerprint: string;
  readonly name: string;
  readonly admittedAt: string;
}

export interface Descriptor {
  readonly repositoryId: string;
  readonly keyId: string;
}

/** Reads the descriptor and its key. Whether that key is to be trusted is decided by who opens the repository. */
export async function readDescriptor(name: string, store: ObjectStore): Promise<Descriptor & { key: KeyDocument }> {
  let bytes: Buffer;
  try {
    bytes = await readOrDamage(store, DESCRIPTOR_KEY);
  } catch (error) {
    if (!(error instanceof DamageError) || error.kind !== "missing") throw error;
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

export interface KeyDocument {
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

const MOST_UNSOUND_TRIED = 8;
const MOST_ENVELOPE_BYTES = 1 << 20;

function damageOrThrow(error: unknown): DamageError {
  if (error instanceof DamageError) return error;
  throw error;
}

/** Tries the secret on every envelope. A wrong passphrase and a damaged envelope look alike to age; the signed digest tells them apart. */
export async function openIdentity(store: ObjectStore, { repositoryId, keyId }: Descriptor, key: KeyDocument, secret: string): Promise<RepositoryIdentity> {
  const context: DocumentContext = { store, repositoryId, findSigner: () => key.admin };
  let damage: DamageError | null = null;
  const names = await store.listNames(keys.keyEnvelopes(keyId));
  // A passphrase is tried at a price that the file names. So those come first that the admin key vouches for; of others, which anybody may have left there, only some are tried.
  const unsound: Buffer[] = [];
  for (const name of names.filter((entry) => entry.endsWith(".age"))) {
    const object = keys.keyEnvelopes(keyId) + name;
    const file = await readOrDamage(store, object, MOST_ENVELOPE_BYTES).catch(damageOrThrow);
    const wrong = file instanceof DamageError ? file : await envelopeDamage(context, object, file);
    damage ??= wrong;
    if (file instanceof DamageError) continue;
    if (wrong !== null) unsound.push(...(unsound.length < MOST_UNSOUND_TRIED ? [file] : []));
    else {
      const identity = await unwrapIdentity(file, secret);
      if (identity?.keyId === keyId) return identity;
    }
  }
  for (const file of unsound) {
    const identity = await unwrapIdentity(file, secret);
    if (identity?.keyId === keyId) return identity;
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
export async function readHosts(
  store: ObjectStore,
  { repositoryId, keyId }: Descriptor,
  admin: VerifyKey,
  known: ReadonlySet<string> = new Set(),
): Promise<{ admitted: AdmittedHost[]; keys: VerifyKey[] }> {
  const context: DocumentContext = { store, repositoryId, findSigner: () => admin };
  const admitted: AdmittedHost[] = [];
  const signers: VerifyKey[] = [];
  for (const name of await store.listNames(keys.hosts(keyId))) {
    if (known.has(baseName(name)) || !/^[0-9a-f]{64}\.json$/.test(name)) continue;
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

/** Lets a host write from now on. Only who has the passphrase can: the admin key signs. */
export async function admitHost(
  repository: DocumentContext & { readonly name: string },
  identity: RepositoryIdentity | null,
  host: { signer: SigningKey; name: string; at: Date },
): Promise<void> {
  if (identity === null)
    throw new HoldfastError("HF-KEY", `this host may not write in ${repository.name} yet`, { hint: "run one command with the passphrase (HOLDFAST_KEY): it admits the host" });
  const { signer } = host;
  await writeDocument(
    repository,
    keys.host(identity.keyId, signer.fingerprint),
    "host",
    { publicKey: signer.publicKey, name: host.name, admittedAt: host.at.toISOString() },
    identity.admin,
  );
}
