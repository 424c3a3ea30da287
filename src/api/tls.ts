import type { SecureContextOptions, TlsOptions } from "node:tls";

/** Certificate, key, and who signs the certificates of clients; as PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly clientCa: string | null;
}

/** TLS 1.2 and newer. A client may show a certificate; whether it is one of ours is decided where it is used, so that tokens work without. */
export function tlsOptions({ certificate, key, clientCa }: TlsMaterial): TlsOptions & SecureContextOptions {
  return { cert: certificate, key, minVersion: "TLSv1.2", ...(clientCa === null ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }) };
}
