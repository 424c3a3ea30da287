import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";

/**
 * Ed25519 keys of hosts and admins. A key is known by its fingerprint: SHA-256, in hex, of the raw 32-byte public key.
 */
export interface VerifyKey {
  readonly fingerprint: string;
  /** Raw public key, base64. */
  readonly publicKey: string;
  verify(data: Uint8Array, signature: Uint8Array): boolean;
}

export interface SigningKey extends VerifyKey {
  sign(data: Uint8Array): Buffer;
  /** PKCS#8, for the state folder of the host. Never leaves it. */
  toPem(): string;
}

export function generateSigningKey(): SigningKey {
  return signingKeyFrom(generateKeyPairSync("ed25519").privateKey);
}

export function signingKeyFromPem(pem: string): SigningKey {
  return signingKeyFrom(createPrivateKey(pem));
}

/** PKCS#8 wrapping of a raw Ed25519 seed (RFC 8410). */
const PKCS8_ED25519_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  return signingKeyFrom(createPrivateKey({ key: Buffer.concat([PKCS8_ED25519_PREFIX, seed]), format: "der", type: "pkcs8" }));
}

export function verifyKeyFromBase64(publicKey: string): VerifyKey {
  const raw = Buffer.from(publicKey, "base64");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") }, format: "jwk" });
  return verifyKeyFrom(key, raw);
}

function signingKeyFrom(privateKey: KeyObject): SigningKey {
  const publicKey = createPublicKey(privateKey);
  return {
    ...verifyKeyFrom(publicKey, rawPublicKey(publicKey)),
    sign: (data) => sign(null, data, privateKey),
    toPem: () => privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function verifyKeyFrom(key: KeyObject, raw: Buffer): VerifyKey {
  return {
    fingerprint: createHash("sha256").update(raw).digest("hex"),
    publicKey: raw.toString("base64"),
    verify: (data, signature) => verify(null, data, key, signature),
  };
}

function rawPublicKey(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");
}
