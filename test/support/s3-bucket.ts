import { CreateBucketCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import type { S3Options } from "../../src/storage/s3-address.ts";
import type { S3Server } from "./s3-server.ts";

/** A bucket looked at from outside, with nothing of ours in between. */
export interface Bucket {
  readonly client: S3Client;
  readonly name: string;
  /** Keys below a prefix, without it, and `key (unfinished)` for each upload that nobody ended. */
  contents(prefix: string): Promise<string[]>;
}

/** `locks`: with Object Lock, and so with versions. */
export async function makeBucket(server: S3Server, name: string, { locks = false }: { locks?: boolean } = {}): Promise<Bucket> {
  const { endpoint, region, credentials } = server;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: name, ...(locks ? { ObjectLockEnabledForBucket: true } : {}) }));
  return {
    client,
    name,
    contents: async (prefix) => {
      const { Contents: objects = [] } = await client.send(new ListObjectsV2Command({ Bucket: name, Prefix: prefix }));
      const { Uploads: uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: name, Prefix: prefix }));
      const names = [...objects.map(({ Key = "" }) => Key), ...uploads.map(({ Key = "" }) => `${Key} (unfinished)`)];
      return names.map((key) => key.slice(prefix.length)).toSorted();
    },
  };
}

/** What a store needs to know of the server; through another address, where something stands in between. */
export function s3Options(server: S3Server, endpoint = server.endpoint, objectLock: S3Options["objectLock"] = null): S3Options {
  return { endpoint, region: server.region, pathStyle: null, credentials: async () => server.credentials, serverSideEncryption: null, storageClass: null, objectLock };
}
