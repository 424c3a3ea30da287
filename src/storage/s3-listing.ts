import { AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { ListMultipartUploadsCommandInput, ListMultipartUploadsCommandOutput, ListObjectsV2CommandOutput, MultipartUpload } from "@aws-sdk/client-s3";
import { isValidKey } from "./object-store.ts";
import type { ObjectInfo } from "./object-store.ts";
import { guarded } from "./s3-errors.ts";
import type { S3Place } from "./s3-place.ts";
import { refusalOf } from "./s3-refusal.ts";

/** The store sorts by bytes, as we do: what it sends is in order. */
export async function* listObjects(place: S3Place, prefix: string): AsyncGenerator<ObjectInfo> {
  for await (const page of pages(place, prefix, false))
    for (const { Key: key = "", Size: size = 0 } of page.Contents ?? []) {
      const own = key.slice(place.prefix.length);
      if (isValidKey(own)) yield { key: own, size };
    }
}

/** `after`: only names behind this one. */
export async function listFolder(place: S3Place, prefix: string, after = ""): Promise<string[]> {
  const names: string[] = [];
  const start = place.prefix.length + prefix.length;
  for await (const page of pages(place, prefix, true, after)) {
    for (const { Key: key = "" } of page.Contents ?? []) names.push(key.slice(start));
    for (const { Prefix: folder = "" } of page.CommonPrefixes ?? []) names.push(folder.slice(start));
  }
  return names.filter((name) => name > after && isValidKey(name.replace(/\/$/, ""))).toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

async function* pages(place: S3Place, prefix: string, byFolder: boolean, after = ""): AsyncGenerator<ListObjectsV2CommandOutput> {
  const start = after === "" ? {} : { StartAfter: place.prefix + prefix + after };
  const input = { Bucket: place.bucket, Prefix: place.prefix + prefix, ...(byFolder ? { Delimiter: "/" } : {}), ...start };
  for (let token: string | undefined; ;) {
    const from = token === undefined ? {} : { ContinuationToken: token };
    const page = await guarded(place, `list ${prefix === "" ? "the repository" : prefix}`, () =>
      place.small.run(() => place.client.send(new ListObjectsV2Command({ ...input, ...from }))),
    );
    yield page;
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    if (token === undefined) return;
  }
}

/** An unfinished write is a multipart upload that nobody completed. Objects of less than a part leave nothing behind. */
export async function sweepUploads(place: S3Place, prefix: string, before: Date): Promise<number> {
  let swept = 0;
  for await (const { Key: key, UploadId: id, Initiated: begun } of listUploads(place, prefix)) {
    if (key === undefined || id === undefined || begun === undefined || begun >= before) continue;
    if (await abortUpload(place, key.slice(place.prefix.length), id)) swept++;
  }
  return swept;
}

async function* listUploads(place: S3Place, prefix: string): AsyncGenerator<MultipartUpload> {
  for (let from: Pick<ListMultipartUploadsCommandInput, "KeyMarker" | "UploadIdMarker"> = {}; ;) {
    const request = new ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: place.prefix + prefix, ...from });
    const page: ListMultipartUploadsCommandOutput = await place.small.run(() => place.client.send(request));
    yield* page.Uploads ?? [];
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined || page.NextUploadIdMarker === undefined) return;
    from = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
  }
}

/** False: it was gone already. */
export async function abortUpload(place: S3Place, key: string, uploadId: string): Promise<boolean> {
  try {
    await place.small.run(() => place.client.send(new AbortMultipartUploadCommand({ Bucket: place.bucket, Key: place.prefix + key, UploadId: uploadId })));
    return true;
  } catch (error) {
    if (refusalOf(error)?.name === "NoSuchUpload") return false;
    throw error;
  }
}
