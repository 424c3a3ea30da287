import { isValidKey } from "./object-store.ts";
import type { LockMode } from "./object-store.ts";

/** Where in which bucket, as `s3://bucket/prefix` says it. */
export interface S3Address {
  readonly bucket: string;
  /** Empty, or ending in `/`: what comes before every key of ours. */
  readonly prefix: string;
}

/** How the place is reached and written: what an address does not say. */
export interface S3Options {
  /** Null: Amazon's own, for the region. */
  readonly endpoint: string | null;
  /** Null: what the environment says. */
  readonly region: string | null;
  /** `https://host/bucket/key` instead of `https://bucket.host/key`. Null: where an endpoint is named, for few servers but Amazon's have a name a bucket. */
  readonly pathStyle: boolean | null;
  /** Null: from wherever the environment has them (variables, profiles, the machine's role). */
  readonly credentials: (() => Promise<S3Credentials>) | null;
  readonly serverSideEncryption: { readonly algorithm: "AES256" | "aws:kms"; readonly key: string | null } | null;
  /** Of what is large and stays; null: the bucket's own. */
  readonly storageClass: string | null;
  /** Objects may be locked against deletion; null: none is, and the bucket need not be able to. */
  readonly objectLock: LockMode | null;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A key may have 1024 bytes there, and ours have up to 900. */
const MAX_PREFIX_LENGTH = 120;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;

/** Null: it is not the address of a place in a bucket. */
export function parseS3Address(url: string): S3Address | null {
  const [, bucket, folder] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(url) ?? [];
  if (bucket === undefined || !BUCKET.test(bucket)) return null;
  const bare = (folder ?? "").replace(/\/+$/, "");
  if (bare === "") return { bucket, prefix: "" };
  return isValidKey(bare) && bare.length <= MAX_PREFIX_LENGTH ? { bucket, prefix: `${bare}/` } : null;
}
