import { X509Certificate } from "node:crypto";
import type { TlsMaterial } from "./tls.ts";

/** A certificate that the API uses, and the moment from which on nobody believes it any more. */
export interface CertificateEnd {
  readonly what: string;
  readonly expiresAt: string;
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** When certificates of the API end: its own with those above it, and those that sign the certificates of clients. Of each file the one that ends first, which is when it stops to work. */
export function certificateEnds({ certificate, clientCa }: TlsMaterial): CertificateEnd[] {
  return [...firstEnd("certificate of the API", certificate), ...(clientCa === null ? [] : firstEnd("authority for client certificates", clientCa))];
}

function firstEnd(what: string, pem: string): CertificateEnd[] {
  const ends = [...pem.matchAll(PEM)].map(([text]) => new X509Certificate(text).validToDate.getTime());
  return ends.length === 0 ? [] : [{ what, expiresAt: new Date(Math.min(...ends)).toISOString() }];
}
