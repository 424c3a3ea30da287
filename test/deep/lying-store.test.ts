import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PutBucketVersioningCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { probeStore } from "../../src/storage/store-probe.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { makeBucket, s3Options } from "../support/s3-bucket.ts";
import { startS3Server } from "../support/s3-server.ts";
import type { S3Server } from "../support/s3-server.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { startMain } from "../support/site.ts";
import type { Outcome } from "../support/site.ts";

/** A gateway of Ceph 16: it takes the header that forbids overwriting, heeds it for small objects, and overwrites with uploads in parts. */
const root = process.env["TEST_LYING_S3_SERVER"] ?? join(process.env["HOLDFAST_TEST_CACHE"] ?? join(tmpdir(), "holdfast-test-cache"), "s3-server-bookworm");

describe("an S3 server that overwrites although it was told not to", () => {
  if (!existsSync(join(root, "usr/bin/radosgw"))) {
    test.skip(`${NOT_RUN}no S3 server that lies here: 'scripts/s3-server-tree.sh DEST bookworm' unpacks one, and TEST_LYING_S3_SERVER says where it is (looked at ${root})`);
    return;
  }
  let server: S3Server;
  let folder: string;
  let resources: AsyncDisposableStack;
  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    server = stack.use(await startS3Server(root));
    ({ path: folder } = stack.use(await openScratchFolder()));
    await makeBucket(server, "lies");
    await mkdir(join(folder, "policies"));
    await mkdir(join(folder, "tree"));
    await writeFile(join(folder, "policies/plain.yaml"), "version: 1\nname: plain\nbackups:\n  full: { schedule: { every: 1d }, retention: 7d, repositories: [cloud] }\n");
    await writeFile(join(folder, "holdfast.yaml"), inventory(server, join(folder, "tree")));
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  const inventory = ({ endpoint, region }: S3Server, tree: string): string =>
    [
      "version: 1",
      "state: ./state",
      "repositories:",
      `  cloud: { url: "s3://lies/here", endpoint: "${endpoint}", region: ${region}, encryption: { passphrase: env:SITE_KEY } }`,
      "sources:",
      `  tree: { kind: files, path: "${tree}", policy: plain }`,
      "",
    ].join("\n");

  async function holdfast(...args: string[]): Promise<Outcome> {
    using running = startMain({ ...server.env, HOLDFAST_CONFIG: join(folder, "holdfast.yaml"), SITE_KEY: "abcde-fghij-klmno-pqrst-uvwxy-z2345" }, ...args);
    return await running.ended();
  }

  test("is found out by check, which says what it did and what to use instead", async () => {
    const outcome = await holdfast("check", "--repository", "cloud", "--json");
    expect(outcome.exitCode, outcome.stdout + outcome.stderr).toBe(1);
    expect(outcome.stdout).toContain("a second upload to the same key was accepted");
    expect(outcome.stdout).toContain("If-None-Match");
    expect(outcome.stdout).toContain("Ceph from version 20 on");
  });

  test("gets no repository: init refuses, and leaves nothing there", async () => {
    const outcome = await holdfast("init", "--json");
    expect(outcome.exitCode, outcome.stdout + outcome.stderr).not.toBe(0);
    expect(outcome.stdout).toContain("HF-CHECK");
    expect(outcome.stdout).toContain("cannot hold a repository");
    const store = openS3Store({ bucket: "lies", prefix: "" }, s3Options(server));
    expect(await store.listNames("")).toEqual([]);
  });

  test("is sound in a bucket that keeps versions: of two that were let through, the older one stays and the other knows", async () => {
    const { client, name } = await makeBucket(server, "versions");
    await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: { Status: "Enabled" } }));
    const findings = await probeStore(openS3Store({ bucket: name, prefix: "here/" }, s3Options(server)));
    expect(findings.filter(({ outcome }) => outcome !== "ok")).toEqual([]);
  });
});
