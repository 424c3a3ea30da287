/**
 * The keys of a repository, one after the other (docs/repository-format.md section 4): the descriptor names the first, a rotation leads from each to the next, and each step is signed by
 * the key before. New data is sealed to the newest; hosts are those that the newest admits.
 */
import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { decodeDocument, readOrDamage } from "./document.ts";
import type { ReadDocument } from "./document.ts";
import { keyIdOf } from "./identity.ts";
import { DESCRIPTOR_KEY, keys } from "./layout.ts";
import { verifyKeyFromBase64 } from "./signing.ts";
import type { VerifyKey } from "./signing.ts";

const descriptorSchema = z.object({ createdAt: z.string(), keyId: z.string() });
const keySchema = z.object({
  recipient: z.string(),
  admin: z.string(),
  createdAt: z.string(),
  previous: z.strictObject({ keyId: z.string(), signature: z.string() }).nullable(),
  former: z.string().optional(),
});
const rotationSchema = z.object({ next: z.string().regex(/^[0-9a-f]{32}$/), rotatedAt: z.string() });

/** One key of a repository: its public halves. */
export interface KeyLink {
  readonly keyId: string;
  readonly recipient: string;
  readonly admin: VerifyKey;
  readonly createdAt: string;
  /** The identity of the key before, sealed to this one's recipient; null for the first key. */
  readonly former: string | null;
}

export interface KeyChain {
  readonly repositoryId: string;
  /** Oldest first; never empty. */
  readonly links: readonly KeyLink[];
  readonly newest: KeyLink;
}

/** Nobody rotates as often; whoever can write there could make a reader follow for ever. */
const MOST_ROTATIONS = 1000;

/** Reads the descriptor and follows the rotations. Whether the first key is to be trusted is decided by who opens the repository; those after it follow from it. */
export async function readKeyChain(name: string, store: ObjectStore): Promise<KeyChain> {
  const bytes = await readDescriptorBytes(name, store);
  const claimed = claimedPayload(bytes);
  const keyId = descriptorSchema.safeParse(claimed);
  const parsedId = z.object({ repositoryId: z.uuid() }).safeParse(claimed);
  if (!keyId.success || !parsedId.success || !/^[0-9a-f]{32}$/.test(keyId.data.keyId)) throw new DamageError(DESCRIPTOR_KEY, "not a well-formed signed document");
  const { repositoryId } = parsedId.data;
  // Both asked for at once: a repository far away is opened sooner.
  const [first, rotationSize] = await Promise.all([readKeyDocument(store, repositoryId, keyId.data.keyId, null), store.size(keys.rotation(keyId.data.keyId))]);
  decodeDocument({ repositoryId, findSigner: () => first.admin }, DESCRIPTOR_KEY, bytes);
  const later = rotationSize === null ? [] : await readLaterKeys(store, repositoryId, first);
  return keyChain(repositoryId, [first, ...later]);
}

export function keyChain(repositoryId: string, links: readonly KeyLink[]): KeyChain {
  const newest = links.at(-1);
  if (newest === undefined) throw new RangeError("a repository without a key");
  return { repositoryId, links, newest };
}

/** The keys that came after one, oldest first. */
export async function readLaterKeys(store: ObjectStore, repositoryId: string, from: KeyLink): Promise<KeyLink[]> {
  const later: KeyLink[] = [];
  for (let at = from; later.length <= MOST_ROTATIONS;) {
    const object = keys.rotation(at.keyId);
    if ((await store.size(object)) === null) return later;
    const { admin } = at;
    const { payload } = decode(repositoryId, object, await readOrDamage(store, object), "rotation", admin);
    const rotation = rotationSchema.safeParse(payload);
    if (!rotation.success) throw new DamageError(object, "not a well-formed signed document");
    at = await readKeyDocument(store, repositoryId, rotation.data.next, at);
    later.push(at);
  }
  throw new DamageError(keys.rotation(from.keyId), `more than ${MOST_ROTATIONS} rotations follow`);
}

async function readDescriptorBytes(name: string, store: ObjectStore): Promise<Buffer> {
  try {
    return await readOrDamage(store, DESCRIPTOR_KEY);
  } catch (error) {
    if (!(error instanceof DamageError) || error.kind !== "missing") throw error;
    const others = await store.listNames("");
    if (others.includes("sources/")) throw new DamageError(DESCRIPTOR_KEY, "the object is not there", "missing");
    throw new HoldfastError("HF-STORAGE", `there is no repository at ${store.url}`, { hint: `check the address, or create it: 'holdfast init'`, facts: { repository: name } });
  }
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

function decode(repositoryId: string, object: string, bytes: Buffer, kind: string, signer: VerifyKey): ReadDocument<unknown> {
  const document = decodeDocument({ repositoryId, findSigner: () => signer }, object, bytes);
  if (document.kind !== kind) throw new DamageError(object, `it is a ${document.kind}, not a ${kind}`);
  return document;
}

/** `before`: the key it must follow; null for the one that the descriptor names. */
async function readKeyDocument(store: ObjectStore, repositoryId: string, keyId: string, before: KeyLink | null): Promise<KeyLink> {
  const object = keys.keyDocument(keyId);
  const bytes = await readOrDamage(store, object);
  const claimed = keySchema.safeParse(claimedPayload(bytes));
  if (!claimed.success) throw new DamageError(object, "not a well-formed signed document");
  const { recipient, createdAt, previous, former } = claimed.data;
  if (keyIdOf(recipient, claimed.data.admin) !== keyId) throw new DamageError(object, "it is not the key it is named for");
  const admin = verifyKeyFromBase64(claimed.data.admin);
  decode(repositoryId, object, bytes, "key", admin);
  if ((previous?.keyId ?? null) !== (before?.keyId ?? null)) throw new DamageError(object, "it does not follow the key before it");
  if (before !== null && (previous === null || !before.admin.verify(rotationStatement(keyId), Buffer.from(previous.signature, "base64"))))
    throw new DamageError(object, "the key before it did not sign it");
  return { keyId, recipient, admin, createdAt, former: former ?? null };
}

/** What an admin key signs to name its successor. */
export function rotationStatement(nextKeyId: string): Buffer {
  return Buffer.from(`holdfast/rotation/v1\n${nextKeyId}`);
}
