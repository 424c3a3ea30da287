import { createHash } from "node:crypto";
import { z } from "zod";
import { HoldfastError } from "../errors.ts";
import { isSignedBy, parseEnvelope, signEnvelope } from "../repository/dsse.ts";
import { verifyKeyFromBase64 } from "../repository/signing.ts";
import type { SigningKey, VerifyKey } from "../repository/signing.ts";

/**
 * The signature of a report: a DSSE envelope over an in-toto statement that names every file of the report with its SHA-256. It shows who said it and that nothing was changed since; and it is only worth
 * as much as the key it is checked against, which must not come from where the report comes from.
 */
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const PREDICATE_TYPE = "urn:holdfast:report:v1";

export interface ReportFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The bytes of `report.dsse.json`. `facts` (period, scope, verdict, evidence head) are signed with the files; `sha256` in hex. */
export function signDigests(signer: SigningKey, files: readonly { readonly name: string; readonly sha256: string }[], facts: Readonly<Record<string, unknown>>): Buffer {
  const names = files.map(({ name }) => name);
  if (files.length === 0 || new Set(names).size !== names.length) throw new HoldfastError("HF-BUG", "a report is signed over files with names of their own", { facts: { names } });
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: files.map((file) => ({ name: file.name, digest: { sha256: file.sha256 } })),
    predicateType: PREDICATE_TYPE,
    predicate: facts,
  };
  return signEnvelope(PAYLOAD_TYPE, Buffer.from(JSON.stringify(statement)), signer);
}

/** `valid`: signed by this key, and every file is what was signed. `invalid`: something is not. `indeterminate`: it cannot be said with this key and these files. */
type AttestationVerdict = "valid" | "invalid" | "indeterminate";

export interface AttestationCheck {
  readonly verdict: AttestationVerdict;
  /** Why, for people; empty if valid. */
  readonly problems: readonly string[];
  /** Fingerprint that the envelope names as its signer; null if it is none. */
  readonly signer: string | null;
  readonly files: readonly { readonly name: string; readonly outcome: "matches" | "differs" | "not_given" | "not_signed" }[];
  /** What was signed with the files; null unless the signature holds. */
  readonly facts: Readonly<Record<string, unknown>> | null;
}

const statementSchema = z.object({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  subject: z.array(z.object({ name: z.string(), digest: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }) })).min(1),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: z.record(z.string(), z.unknown()),
});

/** Checks a signed report against a key that was received another way (raw Ed25519, base64). Throws `HF-KEY` if that is no key. */
export function verifyAttestation(bytes: Uint8Array, publicKeyBase64: string, files: readonly ReportFile[]): AttestationCheck {
  const key = readKey(publicKeyBase64);
  const envelope = parseEnvelope(bytes);
  if (envelope === null || envelope.payloadType !== PAYLOAD_TYPE) return unread("invalid", "it is not a well-formed signed statement", null);
  const signer = envelope.keyId;
  if (signer !== key.fingerprint)
    return unread("indeterminate", `it names another signer (${signer.slice(0, 16)}…) than the key it was checked against (${key.fingerprint.slice(0, 16)}…)`, signer);
  if (!isSignedBy(envelope, key)) return unread("invalid", "the signature does not fit the content", signer);
  const statement = statementSchema.safeParse(parseJson(envelope.payload));
  if (!statement.success) return unread("invalid", "it is signed, but not a statement about a report", signer);
  const { subject, predicate } = statement.data;
  const outcomes = compare(new Map(subject.map(({ name, digest }) => [name, digest.sha256])), files);
  return { ...judge(outcomes), signer, files: outcomes, facts: predicate };
}

/** Names of the files that a signed report consists of, as it says itself; null where it is none. Whether that is true, `verifyAttestation` says. */
export function filesNamedIn(bytes: Uint8Array): string[] | null {
  const envelope = parseEnvelope(bytes);
  const statement = statementSchema.safeParse(envelope === null ? null : parseJson(envelope.payload));
  return statement.success ? statement.data.subject.map(({ name }) => name) : null;
}

function unread(verdict: AttestationVerdict, problem: string, signer: string | null): AttestationCheck {
  return { verdict, problems: [problem], signer, files: [], facts: null };
}

function compare(signed: ReadonlyMap<string, string>, files: readonly ReportFile[]): AttestationCheck["files"] {
  const given = new Set(files.map(({ name }) => name));
  const notGiven = [...signed.keys()].filter((name) => !given.has(name)).map((name) => ({ name, outcome: "not_given" as const }));
  return [
    ...files.map(({ name, bytes }) => {
      const digest = signed.get(name);
      return { name, outcome: digest === undefined ? ("not_signed" as const) : digest === sha256(bytes) ? ("matches" as const) : ("differs" as const) };
    }),
    ...notGiven,
  ];
}

const PROBLEMS = { differs: "is not what was signed", not_signed: "is not among the files that were signed", not_given: "was signed, and is not here to be compared" } as const;

/** A file that differs, or that was slipped in beside the signed ones, makes it invalid; one that is not here leaves it open. */
function judge(files: AttestationCheck["files"]): Pick<AttestationCheck, "verdict" | "problems"> {
  const problems = files.flatMap(({ name, outcome }) => (outcome === "matches" ? [] : [`${name} ${PROBLEMS[outcome]}`]));
  if (files.some(({ outcome }) => outcome === "differs" || outcome === "not_signed")) return { verdict: "invalid", problems };
  return { verdict: problems.length === 0 ? "valid" : "indeterminate", problems };
}

function readKey(publicKeyBase64: string): VerifyKey {
  const text = publicKeyBase64.trim();
  const hint = "it is 44 characters of base64, as the host that signed shows it";
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) throw new HoldfastError("HF-KEY", "not a public key", { hint });
  try {
    return verifyKeyFromBase64(text);
  } catch (cause) {
    throw new HoldfastError("HF-KEY", "not a public key", { hint, cause });
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return null;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
