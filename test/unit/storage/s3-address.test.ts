import { expect, test } from "vitest";
import { repositoryUrlField } from "../../../src/policy/fields.ts";
import { parseS3Address } from "../../../src/storage/s3-address.ts";

test.each([
  ["s3://bucket", "bucket", ""],
  ["s3://bucket/", "bucket", ""],
  ["s3://bucket/prefix", "bucket", "prefix/"],
  ["s3://my.bucket-1/deep/er/", "my.bucket-1", "deep/er/"],
  [`s3://bucket/${"p".repeat(120)}`, "bucket", `${"p".repeat(120)}/`],
])("%s is a place in a bucket, in the inventory and on the command line", (url, bucket, prefix) => {
  expect(parseS3Address(url)).toEqual({ bucket, prefix });
  expect(repositoryUrlField.safeParse(url).success).toBe(true);
});

test.each([
  "s3:/bucket/prefix",
  "s3://",
  "s3:///prefix",
  "s3://b",
  "s3://-bucket/prefix",
  "s3://id:secret@bucket/prefix",
  "s3://bucket//prefix",
  "s3://bucket/../other",
  "s3://bucket/.hidden",
  "s3://bucket/two words",
  "s3://bucket/prefix?versionId=1",
  "s3://bucket/prefix#1",
  `s3://bucket/${"p".repeat(121)}`,
  "S3://bucket/prefix",
  "https://bucket/prefix",
])("%s is none, in both", (url) => {
  expect(parseS3Address(url)).toBeNull();
  expect(repositoryUrlField.safeParse(url).success).toBe(false);
});
