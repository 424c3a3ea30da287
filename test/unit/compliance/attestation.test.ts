import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { signDigests, verifyAttestation } from "../../../src/compliance/attestation.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { parseEnvelope, signEnvelope } from "../../../src/repository/dsse.ts";
import { generateSigningKey } from "../../../src/repository/signing.ts";

const signer = generateSigningKey();
const files = [
  { name: "report.json", bytes: Buffer.from('{"kind":"holdfast.compliance-report"}') },
  { name: "report.html", bytes: Buffer.from("<!doctype html>") },
];
const facts = { from: "2026-11-01T00:00:00.000Z", to: "2026-11-08T00:00:00.000Z", status: "effective" };
const digests = files.map(({ name, bytes }) => ({ name, sha256: createHash("sha256").update(bytes).digest("hex") }));
const signed = signDigests(signer, digests, facts);

function resigned(change: (statement: Record<string, unknown>) => void, payloadType = "application/vnd.in-toto+json"): Buffer {
  const envelope = parseEnvelope(signed);
  const statement = JSON.parse(envelope?.payload.toString() ?? "{}") as Record<string, unknown>;
  change(statement);
  return signEnvelope(payloadType, Buffer.from(JSON.stringify(statement)), signer);
}

test("a report is a DSSE envelope over an in-toto statement with one subject a file", () => {
  const envelope = parseEnvelope(signed);
  expect(envelope).toMatchObject({ payloadType: "application/vnd.in-toto+json", keyId: signer.fingerprint });
  expect(JSON.parse(envelope?.payload.toString() ?? "")).toEqual({
    _type: "https://in-toto.io/Statement/v1",
    subject: files.map(({ name, bytes }) => ({ name, digest: { sha256: createHash("sha256").update(bytes).digest("hex") } })),
    predicateType: "urn:holdfast:report:v1",
    predicate: facts,
  });
});

test("an untouched report is valid, and gives back what was signed with it", () => {
  expect(verifyAttestation(signed, signer.publicKey, files)).toEqual({
    verdict: "valid",
    problems: [],
    signer: signer.fingerprint,
    files: [
      { name: "report.json", outcome: "matches" },
      { name: "report.html", outcome: "matches" },
    ],
    facts,
  });
});

test("one changed byte in any file is invalid", () => {
  for (const changed of files) {
    const tampered = files.map((file) => (file === changed ? { ...file, bytes: Buffer.concat([file.bytes, Buffer.from(" ")]) } : file));
    expect(verifyAttestation(signed, signer.publicKey, tampered)).toMatchObject({ verdict: "invalid", problems: [`${changed.name} is not what was signed`] });
  }
});

test("every single flipped byte of the envelope takes validity away, and never throws", () => {
  for (let index = 0; index < signed.length; index++) {
    const tampered = Buffer.from(signed);
    tampered[index] = (tampered[index] ?? 0) ^ 1;
    expect(verifyAttestation(tampered, signer.publicKey, files).verdict).not.toBe("valid");
  }
});

test("a file that was slipped in beside the signed ones is invalid", () => {
  expect(verifyAttestation(signed, signer.publicKey, [...files, { name: "summary.html", bytes: Buffer.from("all is well") }])).toMatchObject({
    verdict: "invalid",
    problems: ["summary.html is not among the files that were signed"],
  });
});

test("a signed file that is not there leaves it open", () => {
  expect(verifyAttestation(signed, signer.publicKey, files.slice(0, 1))).toMatchObject({
    verdict: "indeterminate",
    problems: ["report.html was signed, and is not here to be compared"],
  });
});

test("against another key nothing can be said, and a forger cannot borrow a name", () => {
  const stranger = generateSigningKey();
  expect(verifyAttestation(signed, stranger.publicKey, files)).toMatchObject({ verdict: "indeterminate", facts: null, signer: signer.fingerprint });
  const forged = signDigests({ ...stranger, fingerprint: signer.fingerprint }, digests, facts);
  expect(verifyAttestation(forged, signer.publicKey, files)).toMatchObject({ verdict: "invalid", problems: ["the signature does not fit the content"], facts: null });
});

test("something else that the same host signed is no report", () => {
  expect(
    verifyAttestation(
      resigned((statement) => (statement["predicateType"] = "urn:holdfast:evidence:v1")),
      signer.publicKey,
      files,
    ),
  ).toMatchObject({ verdict: "invalid", facts: null });
  expect(
    verifyAttestation(
      resigned(() => undefined, "application/vnd.holdfast.manifest+json"),
      signer.publicKey,
      files,
    ),
  ).toMatchObject({ verdict: "invalid" });
  expect(verifyAttestation(signEnvelope("application/vnd.in-toto+json", Buffer.from("not json"), signer), signer.publicKey, files)).toMatchObject({ verdict: "invalid" });
  expect(verifyAttestation(Buffer.from("not an envelope"), signer.publicKey, files)).toMatchObject({ verdict: "invalid", signer: null });
});

test("what is no key is refused as wrong use, not as an invalid report", () => {
  for (const key of ["", "abc", signer.publicKey.slice(1), Buffer.alloc(33).toString("base64")]) {
    let thrown: unknown;
    try {
      verifyAttestation(signed, key, files);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(HoldfastError);
    expect(thrown).toMatchObject({ code: "HF-KEY", exitCode: 2 });
  }
});

test("a report without files, or with two of one name, is not signed", () => {
  expect(() => signDigests(signer, [], facts)).toThrow(HoldfastError);
  expect(() => signDigests(signer, [...digests, ...digests], facts)).toThrow(HoldfastError);
});
