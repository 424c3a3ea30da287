import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { PART_BYTES } from "../../src/storage/s3-writer.ts";
import { requireSoundStore } from "../../src/storage/store-probe.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { makeBucket, s3Options } from "../support/s3-bucket.ts";
import type { Bucket } from "../support/s3-bucket.ts";
import { findContainerEngine, startS3Container } from "../support/s3-container.ts";
import type { S3Server } from "../support/s3-server.ts";
import { describeObjectStore } from "../contract/object-store.ts";

const engine = await findContainerEngine();

/** The same suite as against a server beside us: what differs is a real network between, and who starts it. */
describe("objects on an S3 server in a container", () => {
  if ("missing" in engine) {
    test.skip(`${NOT_RUN}${engine.missing}`);
    return;
  }
  let server: S3Server;
  let bucket: Bucket;
  beforeAll(async () => {
    server = await startS3Container(engine);
    bucket = await makeBucket(server, "contract");
  }, 300_000);
  afterAll(async () => server[Symbol.asyncDispose]());

  const open = (prefix: string): ObjectStore => openS3Store({ bucket: bucket.name, prefix }, s3Options(server));

  describeObjectStore("the contract", async () => {
    const prefix = `${randomUUID()}/`;
    return { store: open(prefix), leftovers: async () => bucket.contents(prefix), unfinishedBytes: PART_BYTES + 1, [Symbol.asyncDispose]: async () => undefined };
  });

  test("the probe finds nothing wrong", async () => {
    await expect(requireSoundStore(open("probed/"))).resolves.toBeUndefined();
  });
});
