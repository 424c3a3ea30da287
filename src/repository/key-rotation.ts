import { HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { crashPoint } from "../crash-points.ts";
import { writeDocument } from "./document.ts";
import type { DocumentContext } from "./document.ts";
import { readHosts, writeAdmission, writeExpulsion } from "./hosts.ts";
import { generateIdentity, sealIdentity, unwrapIdentity } from "./identity.ts";
import type { RepositoryIdentity } from "./identity.ts";
import { rotationStatement } from "./key-chain.ts";
import type { KeyLink } from "./key-chain.ts";
import { isSound, listEnvelopes, readEnvelope, writeEnvelope } from "./key-envelopes.ts";
import type { KeyEnvelope, Opener } from "./key-envelopes.ts";
import { keys } from "./layout.ts";

/**
 * Rotation: a new identity takes the place of the newest, for what is written from then on (docs/repository-format.md section 4). No data is touched. The last object written makes it so,
 * and only one can write it; what an attempt that died has left behind is named by nothing.
 */
export interface RotationRequest {
  readonly store: ObjectStore;
  readonly repositoryId: string;
  /** The newest key, and its identity. */
  readonly link: KeyLink;
  readonly identity: RepositoryIdentity;
  /** Who shall open the new key, each with what the envelope is made for. */
  readonly openers: readonly { readonly envelope: KeyEnvelope; readonly opener: Opener }[];
  readonly now: Date;
}

interface Rotation {
  readonly keyId: string;
  readonly recipient: string;
  readonly envelopes: readonly KeyEnvelope[];
}

/**
 * What each envelope of a key is made for. A recipient is stated; a passphrase must be among those given, for nobody else knows it. Returns the labels of those whose passphrase was not given.
 */
export async function findOpeners(
  store: ObjectStore,
  repositoryId: string,
  link: KeyLink,
  passphrases: readonly string[],
): Promise<{ openers: RotationRequest["openers"]; unknown: string[] }> {
  const openers: { envelope: KeyEnvelope; opener: Opener }[] = [];
  const unknown: string[] = [];
  for (const envelope of await listEnvelopes(store, repositoryId, link)) {
    if (!(await isSound(store, repositoryId, link, envelope))) continue;
    const { recipient } = envelope;
    const passphrase = recipient === null ? await passphraseOf(await readEnvelope(store, repositoryId, link, envelope.object), link, passphrases) : null;
    if (recipient !== null) openers.push({ envelope, opener: { kind: "recipient", recipient } });
    else if (passphrase !== null) openers.push({ envelope, opener: { kind: "passphrase", passphrase } });
    else unknown.push(envelope.label);
  }
  return { openers, unknown };
}

async function passphraseOf(file: Buffer, link: KeyLink, passphrases: readonly string[]): Promise<string | null> {
  for (const passphrase of passphrases) if ((await unwrapIdentity(file, passphrase))?.keyId === link.keyId) return passphrase;
  return null;
}

export async function rotateKey(request: RotationRequest): Promise<Rotation> {
  const { store, repositoryId, link, identity, openers } = request;
  const at = request.now.toISOString();
  const next = await generateIdentity();
  const envelopes: KeyEnvelope[] = [];
  for (const { envelope, opener } of openers)
    envelopes.push(await writeEnvelope(store, repositoryId, next, { label: envelope.label, keptAt: envelope.keptAt, opener, addedAt: envelope.addedAt }));
  const context: DocumentContext = { store, repositoryId, findSigner: () => next.admin };
  const previous = { keyId: link.keyId, signature: identity.admin.sign(rotationStatement(next.keyId)).toString("base64") };
  const document = { recipient: next.recipient, admin: next.admin.publicKey, createdAt: at, previous, former: await sealIdentity(identity, next.recipient) };
  await writeDocument(context, keys.keyDocument(next.keyId), "key", document, next.admin);
  await takeHostsAlong(request, next);
  crashPoint("rotate.before-commit");
  const outcome = await writeDocument(context, keys.rotation(link.keyId), "rotation", { next: next.keyId, rotatedAt: at }, identity.admin);
  if (outcome === "exists") {
    await discard(store, next.keyId);
    throw new HoldfastError("HF-BUSY", "somebody else has rotated this key right now", { hint: "look at it with 'holdfast key list'; one rotation is enough" });
  }
  crashPoint("rotate.after-commit");
  // Whoever was admitted under the old key while we were at it.
  await takeHostsAlong(request, next);
  return { keyId: next.keyId, recipient: next.recipient, envelopes };
}

/** Hosts count only under the newest key. */
async function takeHostsAlong({ store, repositoryId, link }: RotationRequest, next: RepositoryIdentity): Promise<void> {
  const { all, expelled } = await readHosts({ store, repositoryId, link });
  for (const host of expelled) await writeExpulsion(store, repositoryId, next, host);
  for (const { expelledAt, ...host } of all) if (expelledAt === null) await writeAdmission(store, repositoryId, next, host);
}

async function discard(store: ObjectStore, keyId: string): Promise<void> {
  for (const folder of [keys.keyEnvelopes(keyId), keys.hosts(keyId), keys.expelledHosts(keyId)])
    for (const name of await store.listNames(folder)) await store.remove([folder + name]);
}
