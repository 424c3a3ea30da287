import { createHash, randomBytes, X509Certificate } from "node:crypto";
import type { Certificate, SignedData, TSTInfo } from "pkijs";
import { DamageError } from "../errors.ts";

/**
 * Time stamps of an authority (RFC 3161): that a content existed at a time, by a clock that is not ours. What is asked for is one over the SHA-256 of a content, with the certificate of who signs in it,
 * and with a number that was not there before, so that no older answer passes for this one.
 */

/** An answer as the authority sent it has a few kilobytes, with its certificates. */
export const MOST_STAMP_BYTES = 64 << 10;

export interface TimeStamp {
  /** When the content was there, as the authority says. */
  readonly at: Date;
  /** How wrong that may be; null: it does not say. */
  readonly accuracySeconds: number | null;
  /** SHA-256, hex, of the content. */
  readonly sha256: string;
  /** Hex; null: it names none. */
  readonly nonce: string | null;
  /** The subject of the certificate that signed it, as it says itself. */
  readonly authority: string;
}

const SHA256 = "2.16.840.1.101.3.4.2.1";

/** A number for one question, in hex: positive, and of one length, as DER wants it. */
export function newNonce(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes.readUInt8(0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

/** The question (`TimeStampReq`). `sha256` and `nonce` in hex, the latter as `newNonce` makes it. */
export async function encodeStampRequest(sha256: string, nonce: string): Promise<Buffer> {
  const [{ MessageImprint, TimeStampReq, AlgorithmIdentifier }, { Integer, Null, OctetString }] = await Promise.all([import("pkijs"), import("asn1js")]);
  const request = new TimeStampReq({
    version: 1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: SHA256, algorithmParams: new Null() }),
      hashedMessage: new OctetString({ valueHex: exact(Buffer.from(sha256, "hex")) }),
    }),
    nonce: new Integer({ valueHex: exact(Buffer.from(nonce, "hex")) }),
    certReq: true,
  });
  return Buffer.from(request.toSchema().toBER());
}

/** What an answer says, whoever signed it. Rejects with `DamageError` (of `where`) for one that is refused, or is none. */
export async function readTimeStamp(where: string, answer: Uint8Array): Promise<TimeStamp> {
  return (await open(where, answer)).stamp;
}

/**
 * Null: the stamp is of this content, signed by a certificate for time stamps that one of the `roots` vouches for, which was valid at the time it says. Else why it is not to be believed. Whether the
 * certificate was revoked is not asked: that takes the authority's word of today.
 */
export async function problemWithStamp(answer: Uint8Array, content: Buffer, roots: readonly X509Certificate[]): Promise<string | null> {
  try {
    const { stamp, signed, info } = await open("the time stamp", answer);
    if (stamp.sha256 !== createHash("sha256").update(content).digest("hex")) return "it is of another content";
    return (await isSaidToBeOne(signed)) ? await problemWithSignature(signed, info.genTime, content, roots) : NOT_ONE;
  } catch (error) {
    return error instanceof DamageError ? error.reason : NOT_ONE;
  }
}

const NOT_ONE = "it is not a well-formed time stamp";

/** As it was asked for, and with modifications. */
const GRANTED: readonly number[] = [0, 1];

interface OpenedStamp {
  readonly stamp: TimeStamp;
  readonly signed: SignedData;
  readonly info: TSTInfo;
}

async function open(where: string, answer: Uint8Array): Promise<OpenedStamp> {
  const { id_ContentType_SignedData, id_eContentType_TSTInfo, SignedData, TimeStampResp, TSTInfo } = await import("pkijs");
  try {
    if (answer.length > MOST_STAMP_BYTES) throw new DamageError(where, "it is longer than a time stamp can be");
    const { status, timeStampToken: token } = TimeStampResp.fromBER(exact(answer));
    const code: number = status.status;
    if (!GRANTED.includes(code)) throw new DamageError(where, `the authority refused it (status ${code})`);
    if (token === undefined || token.contentType !== id_ContentType_SignedData) throw new DamageError(where, NOT_ONE);
    const signed = new SignedData({ schema: token.content });
    const content = signed.encapContentInfo.eContent?.getValue();
    if (signed.encapContentInfo.eContentType !== id_eContentType_TSTInfo || content === undefined || signed.signerInfos.length !== 1) throw new DamageError(where, NOT_ONE);
    const info = TSTInfo.fromBER(content);
    if (info.messageImprint.hashAlgorithm.algorithmId !== SHA256) throw new DamageError(where, "it is not over a SHA-256");
    return { signed, info, stamp: describe(info, await signerOf(signed)) };
  } catch (cause) {
    if (cause instanceof DamageError) throw cause;
    throw new DamageError(where, NOT_ONE, "damaged", cause);
  }
}

function describe(info: TSTInfo, signer: X509Certificate | null): TimeStamp {
  const { accuracy } = info;
  if (Number.isNaN(info.genTime.getTime())) throw new RangeError("no time");
  return {
    at: info.genTime,
    accuracySeconds: accuracy === undefined ? null : (accuracy.seconds ?? 0) + (accuracy.millis ?? 0) / 1e3 + (accuracy.micros ?? 0) / 1e6,
    sha256: Buffer.from(info.messageImprint.hashedMessage.valueBlock.valueHexView).toString("hex"),
    nonce: info.nonce === undefined ? null : Buffer.from(info.nonce.valueBlock.valueHexView).toString("hex"),
    authority: signer === null ? "" : signer.subject.replaceAll("\n", ", "),
  };
}

/** The certificate in it that says it signed. Whether it did is for `problemWithSignature`. */
async function signerOf(signed: SignedData): Promise<X509Certificate | null> {
  const { IssuerAndSerialNumber } = await import("pkijs");
  const sid: unknown = signed.signerInfos[0]?.sid;
  if (!(sid instanceof IssuerAndSerialNumber)) return null;
  const found = certificatesIn(signed).find((each) => each.issuer.isEqual(sid.issuer) && each.serialNumber.isEqual(sid.serialNumber));
  return found === undefined ? null : toNode(found);
}

function certificatesIn({ certificates = [] }: SignedData): Certificate[] {
  return certificates.filter((each): each is Certificate => "subjectPublicKeyInfo" in each);
}

function toNode(certificate: Certificate): X509Certificate {
  return new X509Certificate(Buffer.from(certificate.toSchema(true).toBER()));
}

async function problemWithSignature(signed: SignedData, at: Date, content: Buffer, roots: readonly X509Certificate[]): Promise<string | null> {
  const { Certificate: PkiCertificate } = await import("pkijs");
  const trustedCerts = roots.map(({ raw }) => PkiCertificate.fromBER(exact(raw)));
  const judge = async (
    checkChain: boolean,
  ): Promise<{ signatureVerified: boolean | null; signerCertificateVerified: boolean | null; signerCertificate: Certificate | null } | null> => {
    const {
      signatureVerified = null,
      signerCertificateVerified = null,
      signerCertificate = null,
    } = await signed.verify({
      signer: 0,
      data: exact(content),
      trustedCerts,
      checkChain,
      checkDate: at,
      extendedMode: true,
    });
    return { signatureVerified, signerCertificateVerified, signerCertificate };
  };
  // It rejects where it finds none of them, too.
  const own = await judge(false).catch(() => null);
  if (own?.signatureVerified !== true) return "the signature does not fit the content";
  const result = await judge(true).catch(() => null);
  if (result?.signerCertificateVerified !== true || result.signerCertificate === null) return "none of the certificates given vouches for who signed it at its time";
  const signer = toNode(result.signerCertificate);
  if (signer.keyUsage.length !== 1 || signer.keyUsage[0] !== TIME_STAMPING) return "it is signed with a certificate that is not for time stamps";
  return (await isNamed(signed, signer)) ? null : "it does not name the certificate that signed it";
}

/** The one extended use that a certificate of a time-stamp authority has (RFC 3161 section 2.3). */
const TIME_STAMPING = "1.3.6.1.5.5.7.3.8";
const ATTRIBUTES = { contentType: "1.2.840.113549.1.9.3", signingCertificate: "1.2.840.113549.1.9.16.2.12", signingCertificateV2: "1.2.840.113549.1.9.16.2.47" } as const;

/** That what is signed is said to be a time stamp, and nothing else that the same key signs (RFC 5652 section 5.3). */
async function isSaidToBeOne(signed: SignedData): Promise<boolean> {
  const { ObjectIdentifier } = await import("asn1js");
  const type = attribute(signed, ATTRIBUTES.contentType);
  return type instanceof ObjectIdentifier && type.getValue() === signed.encapContentInfo.eContentType;
}

function attribute(signed: SignedData, type: string): unknown {
  return signed.signerInfos[0]?.signedAttrs?.attributes.find((each) => each.type === type)?.values[0];
}

/** By its digest among what is signed (RFC 5035, RFC 5816): another certificate of the same key cannot take its place. */
async function isNamed(signed: SignedData, signer: X509Certificate): Promise<boolean> {
  const { OctetString, Sequence } = await import("asn1js");
  const inside = (value: unknown): unknown[] => (value instanceof Sequence ? value.valueBlock.value : []);
  const names = attribute(signed, ATTRIBUTES.signingCertificateV2) ?? attribute(signed, ATTRIBUTES.signingCertificate);
  const [first] = inside(inside(names)[0]);
  const named = inside(first).find((part) => part instanceof OctetString);
  if (named === undefined) return false;
  const digest = Buffer.from(named.valueBlock.valueHexView);
  // Which algorithm it is its length says: there are no others.
  const algorithm = ALGORITHMS[digest.length];
  return algorithm !== undefined && createHash(algorithm).update(signer.raw).digest().equals(digest);
}

const ALGORITHMS: Readonly<Record<number, string>> = { 20: "sha1", 32: "sha256", 48: "sha384", 64: "sha512" };

/** Memory of exactly these bytes: the library takes all that lies beneath. */
function exact(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

/** Certificates out of a PEM file, in its order. Throws where one is none. */
export function certificatesOf(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((one) => new X509Certificate(one));
}
