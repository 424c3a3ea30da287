import { z } from "zod";
import { DamageError } from "../errors.ts";
import { sha256 } from "./container-format.ts";
import { parseJson, requireBelieved } from "./document.ts";
import { isSignedBy, parseEnvelope, signEnvelope } from "./dsse.ts";
import { keys } from "./layout.ts";
import type { Repository } from "./repository.ts";
import type { SigningKey } from "./signing.ts";

/** Of entries, and of whatever else is stated about evidence. */
export const STATEMENT_TYPE = "application/vnd.in-toto+json";
const PREDICATE_TYPE = "urn:holdfast:evidence:v1";

const EVIDENCE_KINDS = [
  "run.started",
  "run.finished",
  "run.missed",
  "alert.raised",
  "alert.acknowledged",
  "alert.resolved",
  "run.slots",
  "verify.ledger",
  "schedule.committed",
  "source.paused",
  "source.reattached",
  "source.resumed",
  "recovery.begun",
  "recovery.step",
  "repository.created",
  "key.added",
  "key.removed",
  "key.rotated",
  "host.admitted",
  "host.expelled",
  "source.bound",
  "deletion",
  "lock.extended",
  "wal.gap",
  "wal.history",
  "exposure.restated",
  "hold.changed",
  "policy.changed",
  "policy.approved",
  "report.written",
  "evidence.stamped",
  "evidence.exported",
  "token.added",
  "token.revoked",
  "access.used",
  "access.refused",
  "access.read",
  "access.signed-in",
  "access.signed-out",
] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

/** What a run found may be long to tell. */
export const MOST_ENTRY_BYTES = 16 << 20;

const subjectSchema = z.object({ name: z.string(), digest: z.object({ sha256: z.string() }) });
const statementSchema = z.object({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z.array(subjectSchema).min(1),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.looseObject({
    writer: z.string(),
    sequence: z.number().int().positive(),
    previous: z.string().nullable(),
    at: z.string(),
    kind: z.string(),
    facts: z.record(z.string(), z.unknown()),
  }),
});

export interface EvidenceEntry {
  readonly writer: string;
  readonly sequence: number;
  readonly previous: string | null;
  readonly at: string;
  readonly kind: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly subject: readonly z.infer<typeof subjectSchema>[];
  /** SHA-256, hex, of the entry as it lies in the store: what the next one names. */
  readonly sha256: string;
}

export type EvidencePredicate = Omit<EvidenceEntry, "subject" | "sha256">;

export type Subject = z.infer<typeof subjectSchema>;

/** The bytes of an entry. */
export function encodeEvidence(predicate: EvidencePredicate, subject: readonly Subject[], signer: SigningKey): Buffer {
  const statement = { _type: "https://in-toto.io/Statement/v1", subject, predicateType: PREDICATE_TYPE, predicate };
  return signEnvelope(STATEMENT_TYPE, Buffer.from(JSON.stringify(statement)), signer);
}

/** An entry out of its bytes, if it is what lies under `key` and somebody known signed it. Throws `DamageError`. */
export function decodeEvidence(key: string, bytes: Buffer, findSigner: Repository["findSigner"]): EvidenceEntry {
  const envelope = parseEnvelope(bytes);
  if (envelope === null || envelope.payloadType !== STATEMENT_TYPE) throw new DamageError(key, "not a well-formed evidence entry");
  const signer = findSigner(envelope.keyId);
  if (signer === null) throw new DamageError(key, `signed by a host that this repository does not know (${envelope.keyId.slice(0, 16)})`);
  if (!isSignedBy(envelope, signer)) throw new DamageError(key, "the signature does not fit the content");
  const statement = statementSchema.safeParse(parseJson(key, envelope.payload));
  if (!statement.success) throw new DamageError(key, `unexpected content: ${statement.error.issues[0]?.message}`);
  const { predicate, subject } = statement.data;
  if (key !== keys.evidenceEntry(predicate.writer, predicate.sequence) || predicate.writer !== signer.fingerprint)
    throw new DamageError(key, `was written as entry ${predicate.sequence} of ${predicate.writer.slice(0, 16)}`);
  const { writer, sequence, previous, at, kind, facts } = predicate;
  const digest = sha256(bytes).toString("hex");
  requireBelieved(signer, key, digest);
  return { writer, sequence, previous, at, kind, facts, subject, sha256: digest };
}
