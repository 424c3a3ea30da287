import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";
import { ObjectMissing, ObjectTruncated } from "./object-store.ts";
import type { S3Place } from "./s3-place.ts";
import { refusalOf } from "./s3-refusal.ts";
import type { Refusal } from "./s3-refusal.ts";

const OWN_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 100;

/** Tries again what the SDK does not: only what `isWorthIt` says, a few times, after pauses that grow and are never the same for two of us. */
export async function retrying<T>(act: () => Promise<T>, isWorthIt: (error: unknown) => boolean): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (attempt === OWN_ATTEMPTS || !isWorthIt(error)) throw error;
      await pause(randomInt(FIRST_PAUSE_MS * 2 ** attempt));
    }
  }
}

/**
 * Translates what the store, the SDK or the network says into our words, once. Names and numbers only, and no cause: the answer to a bad
 * signature quotes what was signed, and nobody should find an access key in a log.
 */
export async function guarded<T>(place: S3Place, what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof HoldfastError || error instanceof ObjectMissing || error instanceof ObjectTruncated) throw error;
    const refusal = refusalOf(error);
    throw refusal === null ? unanswered(place, what, error) : refused(place, what, refusal);
  }
}

const FULL = new Set(["QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull"]);
const INSUFFICIENT_STORAGE = 507;

function refused(place: S3Place, what: string, { name, status }: Refusal): HoldfastError {
  const facts = { repository: place.url, error: name, status };
  if (FULL.has(name) || status === INSUFFICIENT_STORAGE)
    return new HoldfastError("HF-SPACE", `no space left in ${place.url} (${what})`, { hint: "raise the quota, or expire backups", facts });
  if (name === "NoSuchBucket") return new HoldfastError("HF-STORAGE", `there is no bucket ${place.bucket}`, { hint: "create it, or check address, endpoint and region", facts });
  return new HoldfastError("HF-STORAGE", `${place.url} refuses to ${what}: ${name} (${status})`, { hint: hintFor(name, status), facts });
}

/** An answer without a body (to HEAD) has no name but its number. */
function hintFor(name: string, status: number): string {
  if (name === "RequestTimeTooSkewed") return "this machine's clock and the store's differ: set the clock";
  if (["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"].includes(name))
    return "check the credentials: those of the inventory, or of the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, the machine's role)";
  if (name === "AuthorizationHeaderMalformed" || status === 301) return "the bucket is in another region: name it ('region:' or --region)";
  if (status === 401 || status === 403)
    return "the credentials are wrong, or may not do this: reading, writing, listing and deleting in the bucket, its multipart uploads included, is needed";
  if (status === 501) return "this store lacks something a repository needs: 'holdfast check --repository NAME' says what";
  if (status === 429 || status >= 500) return "the store is overloaded or out of order; it was asked several times. Try again later";
  return "check address, endpoint and options of the repository";
}

function unanswered(place: S3Place, what: string, error: unknown): HoldfastError {
  const name = error instanceof Error ? error.name : "error";
  const facts = { repository: place.url, error: codeOf(error) ?? name };
  if (name === "CredentialsProviderError" || name === "TokenProviderError")
    return new HoldfastError("HF-STORAGE", `there are no credentials for ${place.url}`, {
      hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile; or name where they are under 'credentials:' in the inventory",
      facts,
    });
  if (messageOf(error) === "Region is missing")
    return new HoldfastError("HF-STORAGE", `the region of ${place.url} is not known`, { hint: "name it: 'region:' in the inventory, --region, or AWS_REGION", facts });
  return new HoldfastError("HF-STORAGE", `cannot ${what} in ${place.url}: ${networkText(error)}`, {
    hint: "check that the endpoint can be reached from here, and its certificate",
    facts,
  });
}

/** The system's own words, which name an address at most; of others, only the name. */
function networkText(error: unknown): string {
  if (!(error instanceof Error)) return "no answer";
  const code = codeOf(error);
  if (error instanceof AggregateError && code !== undefined) return code;
  return code === undefined && error.name !== "TimeoutError" ? error.name : `${error.message} (${code ?? error.name})`;
}
