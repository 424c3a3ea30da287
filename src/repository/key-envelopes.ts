/**
 * Key envelopes: age files that hold the identity of one key, one for each passphrase or recipient, and beside each what the admin key says of it (docs/repository-format.md sections 3 and 4).
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { sha256 } from "./container-format.ts";
import { readDocument, readOrDamage, writeDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import { openFormer, unwrapIdentity, wrapForRecipient, wrapIdentity } from "./identity.ts";
import type { RepositoryIdentity } from "./identity.ts";
import type { KeyChain, KeyLink } from "./key-chain.ts";
import { keys } from "./layout.ts";

const statementSchema = z.object({
  sha256: z.string(),
  label: z.string(),
  addedAt: z.string(),
  recipient: z.string().nullable().default(null),
  keptAt: z.string().nullable().default(null),
});

/** Who can open a key, as far as it can be told without opening it. */
export interface KeyEnvelope {
  /** Key of the age file. */
  readonly object: string;
  readonly label: string;
  /** `age1…`; null: a passphrase. */
  readonly recipient: string | null;
  /** Where the passphrase or identity that opens it is kept, in words. */
  readonly keptAt: string | null;
  readonly addedAt: string;
}

const MOST_UNSOUND_TRIED = 8;
const MOST_ENVELOPE_BYTES = 1 << 20;

/** What opens a new envelope: a passphrase, or the private half of an age recipient. */
export type Opener = { readonly kind: "passphrase"; readonly passphrase: string } | { readonly kind: "recipient"; readonly recipient: string };

export interface NewEnvelope {
  readonly label: string;
  readonly keptAt: string | null;
  readonly opener: Opener;
  readonly addedAt: string;
}

function contextOf(store: ObjectStore, repositoryId: string, link: Pick<KeyLink, "admin">): DocumentContext {
  return { store, repositoryId, findSigner: (fingerprint) => (fingerprint === link.admin.fingerprint ? link.admin : null) };
}

/** Writes the age file, then the statement beside it. */
export async function writeEnvelope(store: ObjectStore, repositoryId: string, identity: RepositoryIdentity, envelope: NewEnvelope): Promise<KeyEnvelope> {
  const { label, keptAt, opener, addedAt } = envelope;
  const file = opener.kind === "passphrase" ? await wrapIdentity(identity, opener.passphrase) : await wrapForRecipient(identity, opener.recipient);
  const object = keys.keyEnvelope(identity.keyId, `${label}-${randomUUID().slice(0, 8)}`, 1);
  const writer = await store.create(object);
  try {
    await writer.write(file);
    await writer.commit();
  } finally {
    await writer.abort();
  }
  const recipient = opener.kind === "recipient" ? opener.recipient : null;
  const statement = { sha256: sha256(file).toString("hex"), label, addedAt, recipient, keptAt };
  await writeDocument(contextOf(store, repositoryId, identity), keys.envelopeStatement(object), "envelope", statement, identity.admin);
  return { object, label, recipient, keptAt, addedAt };
}

/** The envelopes of a key that the admin key vouches for, whether or not their age files are whole. */
export async function listEnvelopes(store: ObjectStore, repositoryId: string, link: KeyLink): Promise<KeyEnvelope[]> {
  const folder = keys.keyEnvelopes(link.keyId);
  const found: KeyEnvelope[] = [];
  for (const name of await store.listNames(folder)) {
    if (!name.endsWith(".json") || name === "key.json") continue;
    const object = folder + name.replace(/\.json$/, ".age");
    try {
      const { payload } = await readDocument(contextOf(store, repositoryId, link), folder + name, "envelope", statementSchema);
      found.push({ object, label: payload.label, recipient: payload.recipient, keptAt: payload.keptAt, addedAt: payload.addedAt });
    } catch (error) {
      // One that cannot be read is nobody's; `verify` names it.
      if (!(error instanceof DamageError)) throw error;
    }
  }
  return found;
}

/** True where the age file of an envelope is what its statement says. */
export async function isSound(store: ObjectStore, repositoryId: string, link: KeyLink, { object }: KeyEnvelope): Promise<boolean> {
  return (await tryEnvelope(store, repositoryId, link, object)).damage === null;
}

/** An age file, compared with its signed statement. Rejects with `DamageError`. */
export async function readEnvelope(store: ObjectStore, repositoryId: string, link: KeyLink, object: string): Promise<Buffer> {
  const tried = await tryEnvelope(store, repositoryId, link, object);
  if (tried.damage !== null) throw tried.damage;
  return tried.file;
}

/** An age file as it is there (null: it cannot be had), and what is wrong with it or with its statement. */
type TriedEnvelope = { readonly file: Buffer; readonly damage: null } | { readonly file: Buffer | null; readonly damage: DamageError };

async function tryEnvelope(store: ObjectStore, repositoryId: string, link: KeyLink, object: string): Promise<TriedEnvelope> {
  const [file, statement] = await Promise.all([
    readOrDamage(store, object, MOST_ENVELOPE_BYTES).catch(damageOrThrow),
    readDocument(contextOf(store, repositoryId, link), keys.envelopeStatement(object), "envelope", statementSchema).catch(damageOrThrow),
  ]);
  if (file instanceof DamageError) return { file: null, damage: file };
  if (statement instanceof DamageError) return { file, damage: statement };
  if (statement.payload.sha256 === sha256(file).toString("hex")) return { file, damage: null };
  return { file, damage: new DamageError(object, "the digest does not fit the signed statement") };
}

function damageOrThrow(error: unknown): DamageError {
  if (error instanceof DamageError) return error;
  throw error;
}

/**
 * The identities a secret leads to, newest first: of the newest key that it opens, and of all before it. Of a later key it leads to nothing: then what was sealed to that stays closed.
 */
export async function openIdentities(store: ObjectStore, chain: KeyChain, secret: string): Promise<RepositoryIdentity[]> {
  for (const link of chain.links.toReversed()) {
    const identity = await openIdentity(store, chain, link, secret);
    if (identity !== null) return withFormer(chain, link, identity);
  }
  throw new HoldfastError("HF-KEY", "the passphrase does not open this repository", {
    hint: "check HOLDFAST_KEY or --key; the recovery sheet says where the passphrase is kept",
    facts: { keyId: chain.newest.keyId },
  });
}

async function withFormer(chain: KeyChain, link: KeyLink, identity: RepositoryIdentity): Promise<RepositoryIdentity[]> {
  const identities = [identity];
  for (let at = chain.links.indexOf(link); at > 0; at--) {
    const [{ former, keyId }, before] = [chain.links[at] as KeyLink, chain.links[at - 1] as KeyLink];
    const opened = former === null ? null : await openFormer(former, identities.at(-1) as RepositoryIdentity);
    if (opened?.keyId !== before.keyId) throw new DamageError(keys.keyDocument(keyId), "it does not hold the key before it");
    identities.push(opened);
  }
  return identities;
}

/**
 * Tries the secret on every envelope of a key. A wrong passphrase and a damaged envelope look alike to age; the signed digest tells them apart: where one is damaged, and none opens, that is said.
 */
async function openIdentity(store: ObjectStore, { repositoryId, newest }: KeyChain, link: KeyLink, secret: string): Promise<RepositoryIdentity | null> {
  const folder = keys.keyEnvelopes(link.keyId);
  const names = (await store.listNames(folder)).filter((entry) => entry.endsWith(".age"));
  // Of an older key, all may have been removed.
  if (names.length === 0 && link === newest) throw new DamageError(folder, "no key envelope is left", "missing");
  // A passphrase is tried at a price that the file names. So those come first that the admin key vouches for; of others, which anybody may have left there, only some are tried.
  const unsound: Buffer[] = [];
  let damage: DamageError | null = null;
  for (const name of names) {
    const tried = await tryEnvelope(store, repositoryId, link, folder + name);
    damage ??= tried.damage;
    if (tried.damage === null) {
      const identity = await openFile(tried.file, link, secret);
      if (identity !== null) return identity;
    } else if (tried.file !== null && unsound.length < MOST_UNSOUND_TRIED) unsound.push(tried.file);
  }
  for (const file of unsound) {
    const identity = await openFile(file, link, secret);
    if (identity !== null) return identity;
  }
  if (damage !== null) throw damage;
  return null;
}

async function openFile(file: Buffer, link: KeyLink, secret: string): Promise<RepositoryIdentity | null> {
  const identity = await unwrapIdentity(file, secret);
  return identity?.keyId === link.keyId ? identity : null;
}
