import { S3Client } from "@aws-sdk/client-s3";
import type { S3Address, S3Options } from "./s3-address.ts";

/** A folder of a bucket with the way to it: what every part of the store works on. */
export interface S3Place {
  readonly client: S3Client;
  readonly bucket: string;
  readonly prefix: string;
  /** For messages. */
  readonly url: string;
  readonly options: S3Options;
}

/** The SDK tries again by itself what a server or the way to it fails in: with jitter, and out of a budget that one client's requests share. */
const ATTEMPTS = 6;
const CONNECT_MS = 5000;
/** A connection on which nothing moved for so long is dead. */
const IDLE_MS = 30_000;
const MAX_SOCKETS = 64;

/** Says nothing by itself: what matters comes back as an error. */
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

export function openPlace({ bucket, prefix }: S3Address, options: S3Options): S3Place {
  const { endpoint, region, credentials } = options;
  const agent = { maxSockets: MAX_SOCKETS, keepAlive: true };
  const client = new S3Client({
    ...(endpoint === null ? {} : { endpoint }),
    // Elsewhere a region is only a word in the signature, and this is the usual one.
    ...(region === null ? (endpoint === null ? {} : { region: "us-east-1" }) : { region }),
    ...(credentials === null ? {} : { credentials }),
    forcePathStyle: options.pathStyle ?? endpoint !== null,
    followRegionRedirects: true,
    maxAttempts: ATTEMPTS,
    retryMode: "standard",
    // We compute ours with the machine's own instructions, and hand them over; theirs would turn bodies into streams that older servers refuse.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // One more round trip for every part, to be told nothing.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: IDLE_MS, httpAgent: agent, httpsAgent: agent, logger: SILENT },
  });
  return { client, bucket, prefix, url: `s3://${bucket}${prefix === "" ? "" : `/${prefix.slice(0, -1)}`}`, options };
}

function ignore(): void {
  // Nobody listens.
}
