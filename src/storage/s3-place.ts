import { S3Client } from "@aws-sdk/client-s3";
import { systemClock } from "../clock.ts";
import { RequestGate } from "./request-gate.ts";
import { isTooMuch } from "./s3-refusal.ts";
import type { S3Address, S3Options } from "./s3-address.ts";

/** A folder of a bucket with the way to it: what every part of the store works on. */
export interface S3Place {
  readonly client: S3Client;
  readonly bucket: string;
  readonly prefix: string;
  /** For messages. */
  readonly url: string;
  readonly options: S3Options;
  /** Requests take their turn: what is large (parts, pieces of objects) by itself, so that a lease never waits behind it. */
  readonly large: RequestGate;
  readonly small: RequestGate;
}

/** The SDK tries again by itself what a server or the way to it fails in: with jitter, and out of a budget that one client's requests share. */
const ATTEMPTS = 6;
const CONNECT_MS = 5000;
/** A connection on which nothing moved for so long is dead. */
const IDLE_MS = 30_000;
const MAX_SOCKETS = 64;
const LARGE_AT_ONCE = { least: 2, first: 8, most: 32 };
const SMALL_AT_ONCE = { least: 2, first: 16, most: MAX_SOCKETS - LARGE_AT_ONCE.most };

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
  const gates = { large: new RequestGate(LARGE_AT_ONCE, systemClock), small: new RequestGate(SMALL_AT_ONCE, systemClock) };
  noteRefusals(client, [gates.large, gates.small]);
  return { client, bucket, prefix, url: `s3://${bucket}${prefix === "" ? "" : `/${prefix.slice(0, -1)}`}`, options, ...gates };
}

/** The SDK tells nobody that it was asked to slow down, and asks again: so each of its attempts is looked at. */
function noteRefusals(client: S3Client, gates: readonly RequestGate[]): void {
  client.middlewareStack.add(
    (next) => async (attempt) => {
      const sentMs = systemClock.monotonicMs();
      try {
        return await next(attempt);
      } catch (error) {
        if (isTooMuch(error)) for (const gate of gates) gate.refused(sentMs);
        throw error;
      }
    },
    { step: "finalizeRequest", priority: "low", name: "noteRefusals" },
  );
}

function ignore(): void {
  // Nobody listens.
}
