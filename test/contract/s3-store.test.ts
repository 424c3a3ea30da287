import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { putIfAbsent } from "../../src/storage/object-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { PART_BYTES } from "../../src/storage/s3-writer.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { makeBucket, s3Options } from "../support/s3-bucket.ts";
import type { Bucket } from "../support/s3-bucket.ts";
import { findS3Server, startS3Server } from "../support/s3-server.ts";
import type { S3Server } from "../support/s3-server.ts";
import { withFaults } from "../support/store-faults.ts";
import { describeObjectStore } from "./object-store.ts";
import type { StoreUnderTest } from "./object-store.ts";

const found = findS3Server();

describe("objects on a real S3 server", () => {
  if ("missing" in found) {
    test.skip(`${NOT_RUN}${found.missing}`);
    return;
  }
  let server: S3Server;
  let bucket: Bucket;
  beforeAll(async () => {
    server = await startS3Server(found.root);
    bucket = await makeBucket(server, "contract");
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  const open = (prefix: string): ObjectStore => openS3Store({ bucket: bucket.name, prefix }, s3Options(server));
  const openUnderTest = async (wrap: (store: ObjectStore) => ObjectStore = (store) => store): Promise<StoreUnderTest> => {
    const prefix = `${randomUUID()}/`;
    const store = open(prefix);
    return {
      store: wrap(store),
      leftovers: async () => bucket.contents(prefix),
      unfinishedBytes: PART_BYTES + 1,
      [Symbol.asyncDispose]: async () => undefined,
    };
  };
  describeObjectStore("the contract", openUnderTest);
  describeObjectStore("the contract, behind a wrapper that could fail and does not", async () => openUnderTest((store) => withFaults(store).store));

  test("more objects than fit into one answer are all listed, in order, and removed", async () => {
    const store = open("many/");
    const keys = Array.from({ length: 2100 }, (_, i) => `o/${String(i).padStart(5, "0")}`);
    for (let from = 0; from < keys.length; from += 50) await Promise.all(keys.slice(from, from + 50).map(async (key) => putIfAbsent(store, key, Buffer.from(key))));
    const listed: string[] = [];
    for await (const { key } of store.list("")) listed.push(key);
    expect(listed).toEqual(keys);
    expect(await store.listNames("o/")).toEqual(keys.map((key) => key.slice(2)));
    await store.remove(keys);
    expect(await bucket.contents("many/")).toEqual([]);
  });

  test("two repositories in one bucket know nothing of each other", async () => {
    const [one, another] = [open("two/one/"), open("two/one-more/")];
    await putIfAbsent(one, "a", Buffer.from("1"));
    await putIfAbsent(another, "b", Buffer.from("22"));
    expect([await one.listNames(""), await another.listNames("")]).toEqual([["a"], ["b"]]);
    expect(await one.size("b")).toBeNull();
    expect(await bucket.contents("two/")).toEqual(["one-more/b", "one/a"]);
  });
});
