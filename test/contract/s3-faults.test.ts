import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DamageError } from "../../src/errors.ts";
import { putIfAbsent } from "../../src/storage/object-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import type { S3Options } from "../../src/storage/s3-address.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { PART_BYTES } from "../../src/storage/s3-writer.ts";
import { probeStore, requireSoundStore } from "../../src/storage/store-probe.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { eventually } from "../support/restored.ts";
import { makeBucket, s3Options } from "../support/s3-bucket.ts";
import type { Bucket } from "../support/s3-bucket.ts";
import { refusal, startS3Proxy } from "../support/s3-proxy.ts";
import type { Meddling, Passing, S3Proxy } from "../support/s3-proxy.ts";
import { findS3Server, startS3Server } from "../support/s3-server.ts";
import type { S3Server } from "../support/s3-server.ts";

const found = findS3Server();
const FUTURE = new Date("2200-01-01T00:00:00Z");
const LARGE = 2 * PART_BYTES + 1;
const STORE_MODULE = fileURLToPath(new URL("../../src/storage/s3-store.ts", import.meta.url));

/** Meddles with the first requests that fit, one after the other, and lets the rest pass. */
function firstOf(fits: (passing: Passing) => boolean, ...meddlings: Meddling[]): (passing: Passing) => Meddling {
  const left = [...meddlings];
  return (passing) => (fits(passing) ? (left.shift() ?? "pass") : "pass");
}

const isPut = ({ method, url }: Passing): boolean => method === "PUT" && !url.includes("partNumber=");
const isPart = ({ url }: Passing): boolean => url.includes("partNumber=");
const isCompletion = ({ method, url }: Passing): boolean => method === "POST" && url.includes("uploadId=");
const isGet = ({ method }: Passing): boolean => method === "GET";
const isConditional = ({ headers }: Passing): boolean => headers["if-none-match"] !== undefined;
const isDeletion = ({ method, url }: Passing): boolean => method === "POST" && /[?&]delete/.test(url);
const always =
  (fits: (passing: Passing) => boolean, meddling: Meddling) =>
  (passing: Passing): Meddling =>
    fits(passing) ? meddling : "pass";

describe("a store in S3, when things go wrong", () => {
  if ("missing" in found) {
    test.skip(`${NOT_RUN}${found.missing}`);
    return;
  }
  let server: S3Server;
  let bucket: Bucket;
  beforeAll(async () => {
    server = await startS3Server(found.root);
    bucket = await makeBucket(server, "faults");
  });
  afterAll(async () => server[Symbol.asyncDispose]());

  interface Meddled extends AsyncDisposable {
    readonly store: ObjectStore;
    readonly prefix: string;
    readonly proxy: S3Proxy;
    /** The same place, with nothing in between. */
    readonly direct: ObjectStore;
  }

  async function behind(meddle: (passing: Passing) => Meddling, options: Partial<S3Options> = {}): Promise<Meddled> {
    const proxy = await startS3Proxy(server.endpoint, meddle);
    const prefix = `${randomUUID()}/`;
    const address = { bucket: bucket.name, prefix };
    return {
      proxy,
      prefix,
      store: openS3Store(address, { ...s3Options(server, proxy.endpoint), ...options }),
      direct: openS3Store(address, s3Options(server)),
      [Symbol.asyncDispose]: async () => proxy[Symbol.asyncDispose](),
    };
  }

  const digits = Buffer.from("0123456789".repeat(1000));

  describe("reading", () => {
    test.each([
      ["the whole", async (store: ObjectStore) => store.read("k"), digits],
      ["a range", async (store: ObjectStore) => store.readRange("k", 100, 500), digits.subarray(100, 600)],
      ["a tail", async (store: ObjectStore) => (await store.readTail("k", 700)).bytes, digits.subarray(-700)],
    ])("%s is asked for again where the connection was cut in the middle", async (_, read, expected) => {
      await using meddled = await behind(firstOf(isGet, "cut answer", "lose answer", "cut answer"));
      await putIfAbsent(meddled.direct, "k", digits);
      expect((await read(meddled.store)).equals(expected)).toBe(true);
      expect(meddled.proxy.seen).toHaveLength(4);
    });

    test("gives up when the connection is cut again and again, and says so", async () => {
      await using meddled = await behind(always(isGet, "cut answer"));
      await putIfAbsent(meddled.direct, "k", digits);
      await expect(meddled.store.read("k")).rejects.toMatchObject({ code: "HF-STORAGE", message: expect.stringContaining("cut again and again") as string });
    });

    test("what does not fit the store's checksum is asked for again, and is damage if it never does", async () => {
      await using twice = await behind(firstOf(isGet, "flip answer", "flip answer"));
      await putIfAbsent(twice.direct, "k", digits);
      expect((await twice.store.read("k")).equals(digits)).toBe(true);
      await using forever = await behind(always(isGet, "flip answer"));
      await putIfAbsent(forever.direct, "k", digits);
      await expect(forever.store.read("k")).rejects.toBeInstanceOf(DamageError);
      await putIfAbsent(forever.direct, "large", Buffer.alloc(LARGE, 7));
      await expect(forever.store.read("large")).rejects.toMatchObject({ object: "large", kind: "damaged" });
    });
  });

  describe("a busy store", () => {
    const slowDown = refusal(503, "SlowDown");

    test("is asked again, by every operation", async () => {
      let count = 0;
      // Every second request, from the first one on.
      await using meddled = await behind(() => (count++ % 2 === 0 ? slowDown : "pass"));
      const { store } = meddled;
      expect(await putIfAbsent(store, "a/small", digits)).toBe("created");
      expect(await putIfAbsent(store, "a/large", Buffer.alloc(LARGE))).toBe("created");
      expect(await store.listNames("a/")).toEqual(["large", "small"]);
      expect(await store.size("a/small")).toBe(digits.length);
      expect((await store.readRange("a/small", 0, 10)).toString()).toBe("0123456789");
      await store.remove(["a/small", "a/large"]);
      expect(await store.sweep("", FUTURE)).toBe(0);
      expect(await bucket.contents(meddled.prefix)).toEqual([]);
    });

    test("that stays so is an error that can be tried again later, and nothing is left", async () => {
      await using meddled = await behind(always(isPart, refusal(500, "InternalError")));
      await expect(putIfAbsent(meddled.store, "k", Buffer.alloc(LARGE))).rejects.toMatchObject({ code: "HF-STORAGE", hint: expect.stringContaining("Try again later") as string });
      expect(await bucket.contents(meddled.prefix)).toEqual([]);
    });
  });

  describe("writing", () => {
    test.each([
      ["small", 100, isPut],
      ["large", LARGE, isCompletion],
    ])("the answer to a %s write that is lost is not taken for somebody else's object", async (_, bytes, fits) => {
      await using meddled = await behind(firstOf(fits, "lose answer"));
      expect(await putIfAbsent(meddled.store, "k", Buffer.alloc(bytes, 1))).toBe("created");
      // The same bytes: a digest could not tell the two apart.
      expect(await putIfAbsent(meddled.store, "k", Buffer.alloc(bytes, 1))).toBe("exists");
      expect((await meddled.direct.read("k")).equals(Buffer.alloc(bytes, 1))).toBe(true);
      expect(await bucket.contents(meddled.prefix)).toEqual(["k"]);
    });

    test.each([
      ["gone", refusal(404, "NoSuchUpload")],
      ["in the way", refusal(412, "PreconditionFailed")],
    ])("a large write whose answer is lost, and that is %s when it is asked for again, is ours", async (_, second) => {
      // Some stores remember a completion and repeat its answer, others do not.
      await using meddled = await behind(firstOf(isCompletion, "lose answer", second));
      expect(await putIfAbsent(meddled.store, "k", Buffer.alloc(LARGE, 1))).toBe("created");
      expect(await bucket.contents(meddled.prefix)).toEqual(["k"]);
    });

    test.each([
      ["small", 100, isPut],
      ["large", LARGE, isCompletion],
    ])("an object that somebody else made while a %s write was cut off is not taken for ours, with the same bytes in it", async (_, bytes, fits) => {
      await using meddled = await behind(firstOf(fits, "cut request"));
      const writer = await meddled.store.create("k");
      await writer.write(Buffer.alloc(bytes, 1));
      expect(await putIfAbsent(meddled.direct, "k", Buffer.alloc(bytes, 1))).toBe("created");
      expect(await writer.commit()).toBe("exists");
      expect(await bucket.contents(meddled.prefix)).toEqual(["k"]);
    });

    test.each([
      ["an object", 100, isPut],
      ["a part", LARGE, isPart],
    ])("%s whose bytes were hurt on the way is refused by the store, and sent again", async (_, bytes, fits) => {
      await using meddled = await behind(firstOf(fits, "flip request"));
      expect(await putIfAbsent(meddled.store, "k", Buffer.alloc(bytes, 5))).toBe("created");
      expect((await meddled.direct.read("k")).equals(Buffer.alloc(bytes, 5))).toBe(true);
    });

    test("two conditional writes that met are tried again", async () => {
      await using meddled = await behind(firstOf(isConditional, refusal(409, "ConditionalRequestConflict"), refusal(409, "ConditionalRequestConflict")));
      expect(await putIfAbsent(meddled.store, "k", digits)).toBe("created");
      expect((await meddled.direct.read("k")).equals(digits)).toBe(true);
    });

    test("several parts are on their way at once, and never more than a few, of however many objects", async () => {
      await using meddled = await behind(() => "pass");
      await Promise.all(Array.from({ length: 4 }, async (_, i) => putIfAbsent(meddled.store, `k${i}`, Buffer.alloc(6 * PART_BYTES))));
      expect(meddled.proxy.mostPartsAtOnce).toBeGreaterThan(1);
      expect(meddled.proxy.mostPartsAtOnce).toBeLessThanOrEqual(8);
    });

    test("giving up does not wait for parts that nobody answers", async () => {
      await using meddled = await behind(always(isPart, "hang"));
      const writer = await meddled.store.create("k");
      await writer.write(Buffer.alloc(LARGE));
      await eventually("parts are on their way", async () => meddled.proxy.mostPartsAtOnce === 2);
      await writer.abort();
      expect(await bucket.contents(meddled.prefix)).toEqual([]);
      // Before the connection to them would have been called dead.
      expect(meddled.proxy.seen.filter(isPart)).toHaveLength(2);
    });

    test("an upload that somebody swept away in the middle is an error that says so", async () => {
      await using meddled = await behind(() => "pass");
      const writer = await meddled.store.create("k");
      await writer.write(Buffer.alloc(LARGE));
      await meddled.direct.sweep("", FUTURE);
      await expect(writer.commit()).rejects.toMatchObject({ code: "HF-STORAGE", message: expect.stringContaining("was removed from") as string });
    });

    test("encryption by the store is asked for with every object, the storage class with those it is worth it for", async () => {
      const done = { answer: 200, body: "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>" };
      await using meddled = await behind(() => done, { serverSideEncryption: { algorithm: "aws:kms", key: "alias/backups" }, storageClass: "STANDARD_IA" });
      for (const bytes of [100, 1 << 20, LARGE]) await putIfAbsent(meddled.store, "k", Buffer.alloc(bytes));
      const kept = meddled.proxy.seen
        .filter(({ method, url }) => (method === "PUT" && !url.includes("partNumber")) || url.includes("?uploads"))
        .map(({ headers }) => [headers["x-amz-server-side-encryption"], headers["x-amz-server-side-encryption-aws-kms-key-id"], headers["x-amz-storage-class"]]);
      expect(kept).toEqual([
        ["aws:kms", "alias/backups", undefined],
        ["aws:kms", "alias/backups", "STANDARD_IA"],
        ["aws:kms", "alias/backups", "STANDARD_IA"],
      ]);
    });

    test("what a killed process left is swept away once it is old enough", async () => {
      const prefix = `${randomUUID()}/`;
      const script = `
        const { openS3Store } = await import(${JSON.stringify(STORE_MODULE)});
        const options = { endpoint: ${JSON.stringify(server.endpoint)}, region: "us-east-1", pathStyle: null, credentials: null, serverSideEncryption: null, storageClass: null, objectLock: null };
        const writer = await openS3Store({ bucket: "faults", prefix: ${JSON.stringify(prefix)} }, options).create("sources/db/pack");
        await writer.write(Buffer.alloc(${LARGE + PART_BYTES}));
        process.stdout.write("written");
        setInterval(() => undefined, 1000);`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], { env: { ...process.env, ...server.env }, stdio: ["ignore", "pipe", "inherit"] });
      await once(child.stdout, "data");
      child.kill("SIGKILL");
      await once(child, "close");
      expect(await bucket.contents(prefix)).toEqual(["sources/db/pack (unfinished)"]);
      const store = openS3Store({ bucket: "faults", prefix }, s3Options(server));
      expect(await store.listNames("sources/")).toEqual([]);
      expect(await store.sweep("sources/db/", new Date(Date.now() - 3_600_000))).toBe(0);
      expect(await store.sweep("sources/another/", FUTURE)).toBe(0);
      expect(await store.sweep("sources/db/", FUTURE)).toBe(1);
      expect(await bucket.contents(prefix)).toEqual([]);
    });
  });

  describe("deleting", () => {
    const failed = (prefix: string, code: string): Meddling => ({
      answer: 200,
      body: `<DeleteResult><Error><Key>${prefix}b</Key><Code>${code}</Code><Message>no</Message></Error></DeleteResult>`,
    });

    test("a key that the store had no time for is tried again, alone", async () => {
      let prefix = "";
      let isFirst = true;
      await using meddled = await behind((passing) => {
        if (!isDeletion(passing) || !isFirst) return "pass";
        isFirst = false;
        return failed(prefix, "InternalError");
      });
      ({ prefix } = meddled);
      for (const key of ["a", "b"]) await putIfAbsent(meddled.direct, key, digits);
      await meddled.store.remove(["a", "b"]);
      // The first answer was made up, and spoke of one key only.
      expect(await meddled.direct.listNames("")).toEqual(["a"]);
    });

    test("a key that may not be deleted is an error that names it", async () => {
      let prefix = "";
      await using meddled = await behind((passing) => (isDeletion(passing) ? failed(prefix, "AccessDenied") : "pass"));
      ({ prefix } = meddled);
      await expect(meddled.store.remove(["a", "b"])).rejects.toMatchObject({ code: "HF-STORAGE", facts: { object: "b", error: "AccessDenied" } });
    });
  });

  describe("errors", () => {
    const cases: readonly [string, Partial<S3Options>, string, Meddling, object][] = [
      ["a bucket that is not there", {}, "nowhere", "pass", { code: "HF-STORAGE", message: "there is no bucket nowhere" }],
      ["a wrong secret", { credentials: async () => ({ accessKeyId: "testkey", secretAccessKey: "not-the-secret" }) }, "faults", "pass", { code: "HF-STORAGE" }],
      ["an unknown key", { credentials: async () => ({ accessKeyId: "nobody-knows-it", secretAccessKey: "not-the-secret" }) }, "faults", "pass", { code: "HF-STORAGE" }],
      ["a quota that is used up", {}, "faults", refusal(403, "QuotaExceeded"), { code: "HF-SPACE" }],
      ["a disk that is full", {}, "faults", refusal(507, "InsufficientStorage"), { code: "HF-SPACE" }],
      ["a store that does not know conditional writes", {}, "faults", refusal(501, "NotImplemented"), { code: "HF-STORAGE", facts: { status: 501 } }],
      ["a server that is not there", { endpoint: "http://127.0.0.1:9" }, "faults", "pass", { code: "HF-STORAGE", facts: { error: "ECONNREFUSED" } }],
    ];

    test.each(cases)("%s is said in our words, with a hint and without a credential", async (_, options, name, meddling, expected) => {
      await using meddled = await behind(() => meddling, options);
      const store = openS3Store({ bucket: name, prefix: "errors/" }, { ...s3Options(server, meddled.proxy.endpoint), ...options });
      const error: unknown = await putIfAbsent(store, "k", digits).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ ...expected, name: "HoldfastError", hint: expect.any(String) as string });
      expect(error instanceof Error && error.cause).toBeUndefined();
      expect(`${String(error)} ${JSON.stringify(error)}`).not.toMatch(/testkey|testsecret|not-the-secret|nobody-knows-it/);
    });
  });

  describe("the probe", () => {
    test("finds nothing wrong with a sound store, and leaves nothing behind", async () => {
      await using meddled = await behind(() => "pass");
      expect((await probeStore(meddled.store)).map(({ name, outcome, detail }) => (outcome === "ok" ? outcome : `${name}: ${detail}`))).toEqual(
        Array.from({ length: 9 }, () => "ok"),
      );
      expect(await bucket.contents(meddled.prefix)).toEqual([]);
    });

    test.each([
      ["says that it has overwritten", always(isConditional, "say done"), "create if absent"],
      ["says so only of large objects", always(isCompletion, "say done"), "create if absent, large"],
      ["refuses the condition", always(isConditional, refusal(501, "NotImplemented")), "writing"],
      ["loses what it was asked to delete", always(isDeletion, { answer: 200, body: "<DeleteResult></DeleteResult>" }), "deleting"],
      [
        "lists nothing",
        always(({ url }) => url.includes("list-type=2"), { answer: 200, body: "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>" }),
        "listing",
      ],
    ])("refuses a store that %s", async (_, meddle, name) => {
      await using meddled = await behind(meddle);
      const failed = (await probeStore(meddled.store)).filter(({ outcome }) => outcome === "fail").map((finding) => finding.name);
      expect(failed).toContain(name);
      await expect(requireSoundStore(meddled.store)).rejects.toMatchObject({ code: "HF-CHECK", hint: expect.any(String) as string });
    });

    test("warns of a store whose unfinished uploads cannot be found", async () => {
      await using meddled = await behind(always(({ url }) => /[?&]uploads/.test(url) && !url.includes("delete"), refusal(403, "AccessDenied")));
      const findings = await probeStore(meddled.store);
      expect(findings.filter(({ outcome }) => outcome !== "ok").map(({ name }) => name)).toContain("unfinished writes");
    });
  });
});
