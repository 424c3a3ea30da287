import { createHash, hkdfSync } from "node:crypto";
import type * as Age from "age-encryption";
import { HoldfastError, messageOf } from "../errors.ts";
import { signingKeyFromSeed } from "./signing.ts";
import type { SigningKey } from "./signing.ts";

/**
 * The identity of a repository: the age X25519 key pair under which all data keys are sealed, and the admin key that follows from it.
 * Its private half exists in clear only in memory; on disk it is inside age files, one per passphrase or recipient.
 */
export interface RepositoryIdentity {
  /** `AGE-SECRET-KEY-1…` */
  readonly secret: string;
  /** `age1…` */
  readonly recipient: string;
  readonly admin: SigningKey;
  readonly keyId: string;
}

/** Loaded where a key is used: it takes longer to load than all of a command that uses none. */
const age = async (): Promise<typeof Age> => import("age-encryption");

export async function generateIdentity(): Promise<RepositoryIdentity> {
  const { generateX25519Identity } = await age();
  return identityFromSecret(await generateX25519Identity());
}

async function identityFromSecret(secret: string): Promise<RepositoryIdentity> {
  const { identityToRecipient } = await age();
  const recipient = await identityToRecipient(secret);
  const seed = Buffer.from(hkdfSync("sha256", secret, "", "holdfast/admin/v1", 32));
  const admin = signingKeyFromSeed(seed);
  return { secret, recipient, admin, keyId: keyIdOf(recipient, admin.publicKey) };
}

/** Commits to both public halves: a planted key document has another id. */
export function keyIdOf(recipient: string, adminPublicKey: string): string {
  const hash = createHash("sha256").update("holdfast/key/v1").update(recipient).update(Buffer.from(adminPublicKey, "base64"));
  return hash.digest("hex").slice(0, 32);
}

/** scrypt work factors as powers of two. A long random passphrase needs no stretching; a human one needs all there is. */
const WORK_FACTOR = { generated: 10, chosen: 18, highestAccepted: 22 } as const;
const GENERATED_PASSPHRASE = /^([a-z2-7]{5}-){5}[a-z2-7]{5}$/;

/** 150 random bits as text that can be read over a telephone: six groups of five from a 32-letter alphabet. */
export function formatPassphrase(random: Uint8Array): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  const letters = [...random.subarray(0, 30)].map((byte) => alphabet.charAt(byte % 32));
  return Array.from({ length: 6 }, (_, i) => letters.slice(i * 5, i * 5 + 5).join("")).join("-");
}

const SHORTEST_PASSPHRASE = 12;

/** Wraps the identity for a passphrase: an age file of its own, since a passphrase must be alone in one. */
export async function wrapIdentity(identity: RepositoryIdentity, passphrase: string): Promise<Buffer> {
  if (passphrase.length < SHORTEST_PASSPHRASE)
    throw new HoldfastError("HF-KEY", `the passphrase is shorter than ${SHORTEST_PASSPHRASE} characters`, { hint: "let 'holdfast init' make one" });
  const { Encrypter } = await age();
  const encrypter = new Encrypter();
  encrypter.setScryptWorkFactor(GENERATED_PASSPHRASE.test(passphrase) ? WORK_FACTOR.generated : WORK_FACTOR.chosen);
  encrypter.setPassphrase(passphrase);
  return Buffer.from(await encrypter.encrypt(`${identity.secret}\n`));
}

/** Wraps the identity for the holder of another age key. */
export async function wrapForRecipient(identity: RepositoryIdentity, recipient: string): Promise<Buffer> {
  const { Encrypter } = await age();
  const encrypter = new Encrypter();
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    throw new HoldfastError("HF-KEY", "that is no age recipient", { hint: "age1… as 'age-keygen -y' prints it", cause });
  }
  return Buffer.from(await encrypter.encrypt(`${identity.secret}\n`));
}

/** The identity inside an age file, or null if this passphrase or identity does not open it. */
export async function unwrapIdentity(file: Uint8Array, secret: string): Promise<RepositoryIdentity | null> {
  const { Decrypter } = await age();
  const decrypter = new Decrypter();
  if (secret.startsWith("AGE-SECRET-KEY-")) decrypter.addIdentity(secret);
  else {
    if (scryptWorkFactor(file) > WORK_FACTOR.highestAccepted) return null;
    decrypter.addPassphrase(secret);
  }
  let text: string;
  try {
    text = await decrypter.decrypt(file, "text");
  } catch {
    // The library's message does not tell a wrong passphrase from a damaged file; the caller tells the two apart by the signed digest.
    return null;
  }
  return identityFromSecret(text.trim());
}

/** The identity for the key that takes its place: base64 of an age file. */
export async function sealIdentity(identity: RepositoryIdentity, recipient: string): Promise<string> {
  return (await wrapForRecipient(identity, recipient)).toString("base64");
}

/** The identity of the key before, as the key that took its place holds it; null where it is not that. */
export async function openFormer(sealed: string, identity: RepositoryIdentity): Promise<RepositoryIdentity | null> {
  return unwrapIdentity(Buffer.from(sealed, "base64"), identity.secret);
}

/** A file from a stranger could ask for hours of work: read what it asks before doing it. */
function scryptWorkFactor(file: Uint8Array): number {
  const header = Buffer.from(file).subarray(0, 1024).toString("latin1");
  return Number(/^-> scrypt \S+ (\d{1,3})$/m.exec(header)?.[1] ?? 0);
}

/** Seals a small secret (a data key, the map key) to the public half. Base64 of an age file. */
export async function seal(secret: Uint8Array, recipient: string): Promise<string> {
  const { Encrypter } = await age();
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return Buffer.from(await encrypter.encrypt(secret)).toString("base64");
}

export async function unseal(sealed: string, identity: RepositoryIdentity): Promise<Buffer> {
  const { Decrypter } = await age();
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity.secret);
  try {
    return Buffer.from(await decrypter.decrypt(Buffer.from(sealed, "base64"), "uint8array"));
  } catch (cause) {
    throw new HoldfastError("HF-KEY", `a data key does not open with this repository key: ${messageOf(cause)}`, { hint: "it may belong to an older key of the repository", cause });
  }
}
