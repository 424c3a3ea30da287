import { randomUUID } from "node:crypto";
import { DeleteObjectCommand, PutBucketVersioningCommand, PutObjectCommand, PutObjectLockConfigurationCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { withLocks } from "../../src/repository/locked-store.ts";
import { putIfAbsent } from "../../src/storage/object-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { PART_BYTES } from "../../src/storage/s3-writer.ts";
import { probeStore, requireSoundStore } from "../../src/storage/store-probe.ts";
import { throttled } from "../../src/storage/throttled-store.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { makeBucket, s3Options } from "../support/s3-bucket.ts";
import type { Bucket } from "../support/s3-bucket.ts";
import { findS3Server, startS3Server } from "../support/s3-server.ts";
import type { S3Server } from "../support/s3-server.ts";
import { withFaults } from "../support/store-faults.ts";
import { describeObjectStore } from "./object-store.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const found = findS3Server();
/** One of the two is enough for every change: they differ in what the server refuses, and both are waited for. */
const MODES: readonly ("governance" | "compliance")[] = process.env["HOLDFAST_TEST_ALL"] === undefined ? ["governance"] : ["governance", "compliance"];

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

  describe.each(MODES)("in a bucket with locks, in %s mode", (mode) => {
    let locking: Bucket;
    beforeAll(async () => {
      locking = await makeBucket(server, `locks-${mode}`, { locks: true });
    });
    const openLocking = async (wrap: (store: ObjectStore) => ObjectStore = (store) => store): Promise<StoreUnderTest> => {
      const prefix = `${randomUUID()}/`;
      const place = (key: string): { Bucket: string; Key: string } => ({ Bucket: locking.name, Key: prefix + key });
      return {
        store: wrap(openS3Store({ bucket: locking.name, prefix }, s3Options(server, server.endpoint, mode))),
        leftovers: async () => locking.contents(prefix),
        unfinishedBytes: PART_BYTES + 1,
        stranger: {
          overwrite: async (key, bytes) => void (await locking.client.send(new PutObjectCommand({ ...place(key), Body: bytes }))),
          hide: async (key) => void (await locking.client.send(new DeleteObjectCommand(place(key)))),
        },
        [Symbol.asyncDispose]: async () => undefined,
      };
    };
    // Each mode once, one of them through every wrapper that a repository may have.
    if (mode === "compliance") describeObjectStore("the contract", openLocking);
    else
      describeObjectStore("the contract, behind the wrappers of a locked repository", async () =>
        openLocking((store) =>
          withLocks(
            throttled(withFaults(store).store, () => 4e9, systemClock),
            { marginSeconds: 1, evidenceSeconds: 1, sources: new Map() },
            systemClock,
          ),
        ),
      );

    test("the probe finds nothing wrong, and leaves nothing but versions of nothing", async () => {
      await using under = await openLocking();
      expect((await probeStore(under.store)).filter(({ outcome }) => outcome !== "ok")).toEqual([]);
      expect(await under.leftovers()).toEqual([]);
    });
  });

  test("a bucket without locks is refused where locks are asked for, and one that locks by default", async () => {
    const without = openS3Store({ bucket: bucket.name, prefix: "no-locks/" }, s3Options(server, server.endpoint, "compliance"));
    await expect(without.lock?.assertEnforced()).rejects.toMatchObject({ code: "HF-CHECK", message: expect.stringContaining("does not enforce it") as string });
    await expect(requireSoundStore(without)).rejects.toMatchObject({ code: "HF-CHECK" });
    const byDefault = await makeBucket(server, "locks-by-default", { locks: true });
    await byDefault.client.send(
      new PutObjectLockConfigurationCommand({
        Bucket: byDefault.name,
        ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode: "GOVERNANCE", Days: 1 } } },
      }),
    );
    await expect(requireSoundStore(openS3Store({ bucket: byDefault.name, prefix: "unasked/" }, s3Options(server)))).rejects.toMatchObject({
      message: expect.stringContaining("the bucket locks by default") as string,
    });
    const store = openS3Store({ bucket: byDefault.name, prefix: "" }, s3Options(server, server.endpoint, "governance"));
    await expect(store.lock?.assertEnforced()).rejects.toMatchObject({ code: "HF-CHECK", message: expect.stringContaining("by default, for 1 days") as string });
  });

  test("in a bucket that keeps versions, and has no locks, a key goes with all that lies below it", async () => {
    const versioned = await makeBucket(server, "versioned");
    await versioned.client.send(new PutBucketVersioningCommand({ Bucket: versioned.name, VersioningConfiguration: { Status: "Enabled" } }));
    const store = openS3Store({ bucket: versioned.name, prefix: "" }, s3Options(server));
    for (let i = 0; i < 3; i++) await versioned.client.send(new PutObjectCommand({ Bucket: versioned.name, Key: "a/k", Body: String(i) }));
    await putIfAbsent(store, "a/other", Buffer.from("other"));
    expect(await store.remove(["a/k"])).toEqual([]);
    const left: string[] = [];
    for await (const { key } of store.versions?.list("") ?? []) left.push(key);
    expect(left).toEqual(["a/other"]);
  });

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
