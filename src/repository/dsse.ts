import { z } from "zod";
import type { SigningKey, VerifyKey } from "./signing.ts";

/**
 * DSSE envelopes (https://github.com/secure-systems-lab/dsse): a payload, its type, and who signed both. The form on disk is exact, so that no bit is without meaning:
 * `parseEnvelope` refuses bytes that it would not itself have written.
 */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Buffer;
  readonly keyId: string;
  readonly signature: Buffer;
}

const wireSchema = z.strictObject({
  payloadType: z.string(),
  payload: z.string(),
  signatures: z.tuple([z.strictObject({ keyid: z.string(), sig: z.string() })]),
});

export function signEnvelope(payloadType: string, payload: Uint8Array, key: SigningKey): Buffer {
  return serialise({ payloadType, payload: Buffer.from(payload), keyId: key.fingerprint, signature: key.sign(preAuthEncoding(payloadType, payload)) });
}

/** The envelope in `bytes`, or null if they are not the exact form of one. Says nothing about who signed it. */
export function parseEnvelope(bytes: Uint8Array): Envelope | null {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return null;
  }
  const wire = wireSchema.safeParse(json);
  if (!wire.success) return null;
  const [{ keyid, sig }] = wire.data.signatures;
  const envelope = {
    payloadType: wire.data.payloadType,
    payload: Buffer.from(wire.data.payload, "base64"),
    keyId: keyid,
    signature: Buffer.from(sig, "base64"),
  };
  return serialise(envelope).equals(bytes) ? envelope : null;
}

export function isSignedBy(envelope: Envelope, key: VerifyKey): boolean {
  return envelope.keyId === key.fingerprint && key.verify(preAuthEncoding(envelope.payloadType, envelope.payload), envelope.signature);
}

function serialise(envelope: Envelope): Buffer {
  const wire = {
    payloadType: envelope.payloadType,
    payload: envelope.payload.toString("base64"),
    signatures: [{ keyid: envelope.keyId, sig: envelope.signature.toString("base64") }],
  };
  return Buffer.from(`${JSON.stringify(wire)}\n`);
}

function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head), payload]);
}
