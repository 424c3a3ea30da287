import { createHash } from "node:crypto";
import type { X509Certificate } from "node:crypto";
import { DamageError } from "../errors.ts";
import { BUNDLE_HEADER, bundleLineSchema, bundleStatementSchema, digestOf } from "../repository/evidence-bundle.ts";
import type { BundleLine, BundlePredicate } from "../repository/evidence-bundle.ts";
import { checkpointSchema } from "../repository/evidence-heads.ts";
import { decodeEvidence, STATEMENT_TYPE } from "../repository/evidence-entry.ts";
import { decodeDocument, parsePayload } from "../repository/document.ts";
import { isSignedBy, parseEnvelope } from "../repository/dsse.ts";
import type { Envelope } from "../repository/dsse.ts";
import { keys } from "../repository/layout.ts";
import type { VerifyKey } from "../repository/signing.ts";
import { verifyAttestation } from "./attestation.ts";
import { SecondComparison } from "./second-heads.ts";
import type { SecondHead } from "./second-heads.ts";
import type { ReportFile } from "./attestation.ts";
import { BundleFindings, entryName, shortKey } from "./bundle-findings.ts";
import type { BundleFinding, BundleVerdict } from "./bundle-findings.ts";
import { compareWithKnown, judgeRuns } from "./bundle-logs.ts";
import type { Checkpoint, KnownLogs, Run } from "./bundle-logs.ts";
import { StampReading } from "./bundle-stamps.ts";
import type { BundleStamps } from "./bundle-stamps.ts";

export interface BundleCheck {
  readonly verdict: BundleVerdict;
  readonly findings: readonly BundleFinding[];
  readonly entries: number;
  /** Files of a report that are in it. */
  readonly files: readonly string[];
  /** Fingerprint of who put it together; null where the bundle does not say. */
  readonly signer: string | null;
  /** What was signed with it; null unless that signature holds. */
  readonly statement: BundlePredicate | null;
  readonly timeStamps: BundleStamps;
}

/** What came another way than the bundle, besides the public keys. */
export interface BundleTrust {
  readonly known?: readonly KnownLogs[];
  /** Certificates that vouch for the time-stamp authority; null, or left out: stamps are not checked against any. */
  readonly authorities?: readonly X509Certificate[] | null;
  /** What lies in a second place that evidence is sent to. */
  readonly second?: readonly SecondHead[];
}

/**
 * Checks a bundle with public keys alone, that came another way than the bundle. `lines` with their line ends; they are read once, and not kept. Whether an entry is authentic is decided by its own
 * signature, whether anything is missing by the links, the proofs and the signed statement at the end.
 */
export async function verifyBundle(
  lines: AsyncIterable<Buffer>,
  publicKeys: readonly VerifyKey[],
  { known = [], authorities = null, second = [] }: BundleTrust = {},
): Promise<BundleCheck> {
  const reading = new BundleReading(new Map(publicKeys.map((key) => [key.fingerprint, key])), authorities, second);
  // The last line is known as such when there is none after it; all others are under its digest.
  let held: Buffer | null = null;
  for await (const line of lines) {
    if (held !== null) await reading.take(held);
    held = line;
  }
  return reading.end(held, known);
}

class BundleReading {
  readonly #keys: ReadonlyMap<string, VerifyKey>;
  readonly #findings = new BundleFindings();
  readonly #content = createHash("sha256");
  readonly #runs: Run[] = [];
  readonly #inclusions: Extract<BundleLine, { inclusion: unknown }>["inclusion"][] = [];
  readonly #consistencies: Extract<BundleLine, { consistency: unknown }>["consistency"][] = [];
  readonly #checkpoints: Checkpoint[] = [];
  readonly #files: ReportFile[] = [];
  readonly #stamps: StampReading;
  readonly #second: SecondComparison;
  #line = 0;
  #entries = 0;
  #isInRun = false;

  constructor(publicKeys: ReadonlyMap<string, VerifyKey>, authorities: readonly X509Certificate[] | null, second: readonly SecondHead[]) {
    this.#keys = publicKeys;
    this.#second = new SecondComparison(this.#findings, second, publicKeys);
    this.#stamps = new StampReading(this.#findings, authorities);
  }

  async take(line: Buffer): Promise<void> {
    this.#line += 1;
    this.#content.update(line);
    const envelope = parseEnvelope(line);
    if (envelope === null) this.#takeOwn(line);
    else if (envelope.payloadType === STATEMENT_TYPE) await this.#takeEntry(line, envelope);
    else this.#takeCheckpoint(line, envelope);
  }

  end(last: Buffer | null, known: readonly KnownLogs[]): BundleCheck {
    const found = this.#findings;
    const envelope = last === null ? null : parseEnvelope(last);
    const said = envelope === null ? null : readStatement(envelope);
    const check = (statement: BundlePredicate | null): BundleCheck => ({
      verdict: found.verdict,
      findings: found.named,
      entries: this.#entries,
      files: this.#files.map(({ name }) => name),
      signer: envelope?.keyId ?? null,
      statement,
      timeStamps: this.#stamps.stamps(),
    });
    if (envelope === null || said === null) {
      found.invalid("the last line", "it is not the statement that a bundle ends with: the end is missing, or was changed");
      return check(null);
    }
    if (said.content !== this.#content.digest("hex")) found.invalid("the last line", "it was signed over another content than what is before it");
    const signs = this.#signs(envelope, "the last line");
    judgeRuns({ statement: said.predicate, stamps: this.#stamps, runs: this.#runs, inclusions: this.#inclusions, checkpoints: this.#checkpoints }, found);
    this.#second.judge(said.predicate.writers);
    for (const logs of known) compareWithKnown({ statement: said.predicate, consistencies: this.#consistencies }, logs, found);
    this.#judgeFiles();
    return check(signs ? said.predicate : null);
  }

  #takeOwn(line: Buffer): void {
    const where = `line ${this.#line}`;
    const parsed = parseOwnLine(line);
    this.#isInRun = false;
    if (parsed === null) return this.#findings.invalid(where, "it is not a line of a bundle");
    if ("holdfast" in parsed) {
      if (this.#line !== 1 || parsed.format !== BUNDLE_HEADER.format) this.#findings.invalid(where, "not the head of a bundle of this format");
    } else if (this.#line === 1) this.#findings.invalid(where, "it is not the head of a bundle");
    else if ("run" in parsed) {
      this.#runs.push({ ...parsed.run, last: parsed.run.first - 1, lastDigest: null });
      this.#isInRun = true;
    } else if ("inclusion" in parsed) this.#inclusions.push(parsed.inclusion);
    else if ("consistency" in parsed) this.#consistencies.push(parsed.consistency);
    else this.#files.push({ name: parsed.file.name, bytes: Buffer.from(parsed.file.base64, "base64") });
  }

  async #takeEntry(line: Buffer, envelope: Envelope): Promise<void> {
    const run = this.#runs.at(-1);
    if (run === undefined || !this.#isInRun) return this.#findings.invalid(`line ${this.#line}`, "an entry that stands in no run");
    const sequence = run.last + 1;
    const where = entryName(run.writer, sequence);
    const digest = digestOf(line);
    const entry = this.#read(where, () => decodeEvidence(keys.evidenceEntry(run.writer, sequence), line, this.#believing(envelope)));
    const previous = entry?.previous;
    if (previous !== undefined && (sequence === 1 || run.lastDigest !== null) && previous !== run.lastDigest)
      this.#findings.invalid(where, "it does not follow the entry before it");
    this.#entries += 1;
    run.last = sequence;
    run.lastDigest = digest;
    this.#second.take(run.writer, sequence, digest);
    // What is in it is signed by the same writer.
    if (entry !== undefined) await this.#stamps.take(where, entry, this.#believing(envelope));
  }

  #takeCheckpoint(line: Buffer, envelope: Envelope): void {
    this.#isInRun = false;
    const where = `the checkpoint in line ${this.#line}`;
    const object = objectOf(envelope);
    const document = this.#read(where, () => {
      const read = decodeDocument({ repositoryId: object.repositoryId, findSigner: this.#believing(envelope) }, object.object, line);
      if (read.kind !== "checkpoint") throw new DamageError(object.object, `it is a ${read.kind}`);
      return { ...parsePayload(object.object, read.payload, checkpointSchema), signer: read.signer };
    });
    if (document !== undefined) this.#checkpoints.push({ where, ...object, ...document });
  }

  /** Rejections become findings. A signer without a key at hand leaves it open, and what was signed is not believed. */
  #read<T>(where: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof UnknownSigner) this.#findings.open(`what ${shortKey(error.fingerprint)} signed`, NO_KEY);
      else if (error instanceof Error) this.#findings.invalid(where, error instanceof DamageError ? error.reason : error.message);
      else throw error;
      return undefined;
    }
  }

  #believing(envelope: Envelope): (fingerprint: string) => VerifyKey {
    return () => {
      const key = this.#keys.get(envelope.keyId);
      if (key === undefined) throw new UnknownSigner(envelope.keyId);
      return key;
    };
  }

  #signs(envelope: Envelope, where: string): boolean {
    const key = this.#keys.get(envelope.keyId);
    if (key === undefined) this.#findings.open(`what ${shortKey(envelope.keyId)} signed`, NO_KEY);
    else if (isSignedBy(envelope, key)) return true;
    else this.#findings.invalid(where, "the signature does not fit the content");
    return false;
  }

  /** A report in the bundle is signed by itself. */
  #judgeFiles(): void {
    const attestation = this.#files.find(({ name }) => name === ATTESTATION);
    if (this.#files.length > 0 && attestation === undefined) this.#findings.invalid("the report", `${ATTESTATION} is missing`);
    if (attestation === undefined) return;
    const signer = parseEnvelope(attestation.bytes)?.keyId ?? "";
    const key = this.#keys.get(signer);
    if (key === undefined) return this.#findings.open(`what ${shortKey(signer)} signed`, NO_KEY);
    const files = this.#files.filter((file) => file !== attestation);
    const { verdict, problems } = verifyAttestation(attestation.bytes, key.publicKey, files);
    if (verdict === "invalid") for (const problem of problems) this.#findings.invalid("the report", problem);
    if (verdict === "indeterminate") for (const problem of problems) this.#findings.open("the report", problem);
  }
}

const ATTESTATION = "report.dsse.json";
const NO_KEY = "its public key is not among those given";

class UnknownSigner extends Error {
  readonly fingerprint: string;
  constructor(fingerprint: string) {
    super(NO_KEY);
    this.fingerprint = fingerprint;
  }
}

function parseOwnLine(line: Buffer): BundleLine | null {
  let json: unknown;
  try {
    json = JSON.parse(line.toString("utf8"));
  } catch {
    return null;
  }
  const parsed = bundleLineSchema.safeParse(json);
  return parsed.success ? parsed.data : null;
}

function objectOf({ payload }: Envelope): { object: string; repositoryId: string } {
  const said = parseJsonObject(payload);
  return { object: String(said["object"]), repositoryId: String(said["repositoryId"]) };
}

function parseJsonObject(bytes: Buffer): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof json === "object" && json !== null ? { ...json } : {};
  } catch {
    return {};
  }
}

function readStatement({ payloadType, payload }: Envelope): { content: string; predicate: BundlePredicate } | null {
  if (payloadType !== STATEMENT_TYPE) return null;
  const parsed = bundleStatementSchema.safeParse(parseJsonObject(payload));
  return parsed.success ? { content: parsed.data.subject[0].digest.sha256, predicate: parsed.data.predicate } : null;
}

/** What a bundle says of the logs, if one of the keys signed that: for comparing another bundle with it. Null: it is none, or nobody known signed it. */
export function knownFrom(name: string, lastLine: Buffer, publicKeys: readonly VerifyKey[]): KnownLogs | null {
  const envelope = parseEnvelope(lastLine);
  const said = envelope === null ? null : readStatement(envelope);
  const isSigned = envelope !== null && publicKeys.some((key) => isSignedBy(envelope, key));
  return said === null || !isSigned ? null : { name, statement: said.predicate };
}
