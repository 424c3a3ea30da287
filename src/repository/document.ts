import { createHash } from "node:crypto";
import { z } from "zod";
import { DamageError, HoldfastError } from "../errors.ts";
import { ObjectMissing, putIfAbsent } from "../storage/object-store.ts";
import type { CreateOutcome, ObjectReads, ObjectStore } from "../storage/object-store.ts";
import { readMatching } from "./matching-version.ts";
import { isSignedBy, parseEnvelope, signEnvelope } from "./dsse.ts";
import type { SigningKey, VerifyKey } from "./signing.ts";

/**
 * Documents: small signed JSON objects (docs/repository-format.md section 3). Each says which repository it belongs to and under which key it lies, so that one
 * that was moved, or brought from elsewhere, is refused.
 */
export const FORMAT = 1;

const commonSchema = z.object({ format: z.number(), repositoryId: z.string(), object: z.string() });

/** Somebody whose signature counts. */
export interface Signer extends VerifyKey {
  /** Of a host that was expelled: whether this is what it had signed until then. Absent: all that it signs is believed. */
  readonly believes?: (object: string, digest: string) => boolean;
}

/** Who may sign what is read. Null: nobody known by that fingerprint. */
type FindSigner = (fingerprint: string) => Signer | null;

export interface DocumentContext {
  readonly store: ObjectStore;
  readonly repositoryId: string;
  readonly findSigner: FindSigner;
  /** Looks for hosts that were admitted since: what is opened for long meets what others wrote. */
  readonly learnSigners?: () => Promise<void>;
}

export type DocumentKind =
  | "repository"
  | "key"
  | "envelope"
  | "rotation"
  | "host"
  | "expelled"
  | "request"
  | "lease"
  | "binding"
  | "intent"
  | "manifest"
  | "tombstone"
  | "hold"
  | "wal-index"
  | "wal-expired"
  | "wal-history"
  | "checkpoint";

export interface ReadDocument<T> {
  readonly kind: string;
  readonly payload: T;
  readonly signer: string;
  /** SHA-256, hex, of the file as it lies in the store. */
  readonly sha256: string;
}

function payloadTypeOf(kind: DocumentKind): string {
  return `application/vnd.holdfast.${kind}+json`;
}

export async function writeDocument(context: DocumentContext, key: string, kind: DocumentKind, payload: object, signer: SigningKey): Promise<CreateOutcome> {
  return putIfAbsent(context.store, key, encodeDocument(context, key, kind, payload, signer));
}

function encodeDocument(context: DocumentContext, key: string, kind: DocumentKind, payload: object, signer: SigningKey): Buffer {
  const full = { format: FORMAT, repositoryId: context.repositoryId, object: key, ...payload };
  return signEnvelope(payloadTypeOf(kind), Buffer.from(JSON.stringify(full)), signer);
}

/** Reads, authenticates and parses a document of one kind. Rejects with `DamageError`. */
export async function readDocument<T extends z.ZodType>(context: DocumentContext, key: string, kind: DocumentKind, schema: T): Promise<ReadDocument<z.infer<T>>> {
  const document = await readAnyDocument(context, key);
  if (document.kind !== kind) throw new DamageError(key, `it is a ${document.kind}, not a ${kind}`);
  return { ...document, payload: parsePayload(key, document.payload, schema) };
}

/** What a signed object says in JSON. Its signer may have signed anything. */
export function parseJson(key: string, bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new DamageError(key, "what it says is not JSON", "damaged", cause);
  }
}

export function parsePayload<T extends z.ZodType>(key: string, payload: unknown, schema: T): z.infer<T> {
  const parsed = schema.safeParse(payload);
  if (!parsed.success) throw new DamageError(key, `unexpected content: ${parsed.error.issues[0]?.path.join(".")} ${parsed.error.issues[0]?.message}`);
  return parsed.data;
}

const NEWEST_ATTEMPTS = 20;

/** The last document of a folder where each replaces the one before, with its key; null where there is none. The one found may be removed while we open it: then there is a newer one. */
export async function readNewest<T extends z.ZodType>(
  context: DocumentContext,
  folder: string,
  kind: DocumentKind,
  schema: T,
): Promise<(ReadDocument<z.infer<T>> & { readonly key: string }) | null> {
  for (let attempt = 1; ; attempt++) {
    const name = (await context.store.listNames(folder)).at(-1);
    if (name === undefined) return null;
    const key = folder + name;
    try {
      return { ...(await readDocument(context, key, kind, schema)), key };
    } catch (error) {
      if (!(error instanceof DamageError) || error.kind !== "missing" || attempt === NEWEST_ATTEMPTS) throw error;
    }
  }
}

/** A document whose kind is not known beforehand (a manifest or a tombstone). The payload is authentic and not yet parsed. */
export async function readAnyDocument(context: DocumentContext, key: string): Promise<ReadDocument<unknown>> {
  return readMatching(context.store, key, async (from) => {
    const bytes = await readOrDamage(from, key);
    const envelope = parseEnvelope(bytes);
    if (envelope !== null && context.findSigner(envelope.keyId) === null) await context.learnSigners?.();
    return decodeDocument(context, key, bytes);
  });
}

export function decodeDocument(context: Omit<DocumentContext, "store">, key: string, bytes: Uint8Array): ReadDocument<unknown> {
  const envelope = parseEnvelope(bytes);
  if (envelope === null) throw new DamageError(key, "not a well-formed signed document");
  const signer = context.findSigner(envelope.keyId);
  if (signer === null) throw new DamageError(key, `signed by a host that this repository does not know (${envelope.keyId.slice(0, 16)})`);
  if (!isSignedBy(envelope, signer)) throw new DamageError(key, "the signature does not fit the content");
  const kind = /^application\/vnd\.holdfast\.([a-z-]+)\+json$/.exec(envelope.payloadType)?.[1];
  if (kind === undefined) throw new DamageError(key, `unknown type ${envelope.payloadType}`);
  const payload = parsePayload(key, parseJson(key, envelope.payload), z.looseObject(commonSchema.shape));
  refuseUnknownFormat(payload.format, key);
  if (payload.repositoryId !== context.repositoryId) throw new DamageError(key, `belongs to repository ${payload.repositoryId}`);
  if (payload.object !== key) throw new DamageError(key, `was written as ${payload.object}`);
  const digest = createHash("sha256").update(bytes).digest("hex");
  requireBelieved(signer, key, digest);
  return { kind, payload, signer: signer.fingerprint, sha256: digest };
}

/** Rejects what an expelled host did not have signed when it was expelled. */
export function requireBelieved(signer: Signer, object: string, digest: string): void {
  if (signer.believes?.(object, digest) === false)
    throw new DamageError(object, `signed by a host that was expelled, and not among what it had written by then (${signer.fingerprint.slice(0, 16)})`);
}

export function refuseUnknownFormat(format: number, key: string): void {
  if (format !== FORMAT) throw new HoldfastError("HF-USAGE", `${key} has format ${format}, this program reads format ${FORMAT}`, { hint: "use a newer version of holdfast" });
}

/** No document comes near it: some hundred bytes for each ancestor, for each segment of an index, for each copy that a run had. */
const MOST_DOCUMENT_BYTES = 4 << 20;

/** The bytes of an object that other objects say exists; of a longer one than there can be only the end is read. */
export async function readOrDamage(store: ObjectReads, key: string, mostBytes: number = MOST_DOCUMENT_BYTES): Promise<Buffer> {
  try {
    const { bytes, size } = await store.readTail(key, mostBytes);
    if (size > mostBytes) throw new DamageError(key, `it is ${size} bytes long, and ${mostBytes} are the most there can be`);
    return bytes;
  } catch (error) {
    if (error instanceof ObjectMissing) throw new DamageError(key, "the object is not there", "missing");
    throw error;
  }
}
