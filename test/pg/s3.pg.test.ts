import { execFile } from "node:child_process";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCluster, startOnFolder } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { assertSound } from "../support/oracle.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { makeBucket } from "../support/s3-bucket.ts";
import type { Bucket } from "../support/s3-bucket.ts";
import { startS3Proxy } from "../support/s3-proxy.ts";
import { findS3Server, startS3Server } from "../support/s3-server.ts";
import type { S3Server } from "../support/s3-server.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { serverUser } from "../support/server-user.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { infoOf, untilDurable, untilStreaming } from "../support/site-state.ts";

const MAIN = fileURLToPath(new URL("../../scripts/holdfast.mjs", import.meta.url));
const run = promisify(execFile);
const found = findS3Server();
/** Does not compress well, so that a backup is of several parts. */
const FILLER = "select g, sha256(g::text::bytea) || sha256((g + 1)::text::bytea) || sha256((g + 2)::text::bytea) || sha256((g + 3)::text::bytea)";

describePostgres("the main job with a repository in a bucket", {}, (binaries) => {
  if ("missing" in found) {
    test.skip(`${NOT_RUN}${found.missing}`);
    return;
  }
  let resources: AsyncDisposableStack;
  let server: S3Server;
  let bucket: Bucket;
  let source: Cluster;
  let site: Site;
  const backups: { readonly id: string; readonly digest: ClusterDigest }[] = [];
  let atEnd: ClusterDigest;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    server = stack.use(await startS3Server(found.root));
    bucket = await makeBucket(server, "backups");
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    const { accessKeyId, secretAccessKey } = server.credentials;
    site = stack.use(
      await openSite({
        cluster: source,
        places: {
          onsite: `url: "s3://backups/site/one", endpoint: "${server.endpoint}", region: ${server.region}, credentials: { accessKeyId: env:SITE_S3_ID, secretAccessKey: env:SITE_S3_SECRET }`,
        },
        env: { SITE_S3_ID: accessKeyId, SITE_S3_SECRET: secretAccessKey },
      }),
    );
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  const objects = async (): Promise<string[]> => bucket.contents("site/one/");

  test("full, incremental and the log, streamed, restore exactly, on their own and to the last commit", async () => {
    await source.sql(`create table t as ${FILLER} as b from generate_series(1, 150000) g`);
    const stream = site.start({}, "wal", "stream");
    await untilStreaming(site);
    for (const type of ["full", "incr"] as const) {
      const taken = await site.run("backup", "--type", type, "--json");
      expect(taken.exitCode, taken.stderr).toBe(0);
      backups.push({ id: taken.json<{ id: string }>().id, digest: await digestDatabases(source.url()) });
      await source.sql(`update t set b = '' where g % 50 = ${backups.length}`);
    }
    await source.sql(`insert into t select g, 'after the last backup' from generate_series(1, 1000) g`);
    atEnd = await digestDatabases(source.url());
    await untilDurable(site);
    stream.process.kill("SIGTERM");
    expect(await stream.ended()).toMatchObject({ exitCode: 0 });
    for (const { id, digest } of backups) {
      await using restored = await restoreAndStart(site, source, "--backup", id, "--to", "immediate");
      expect(await digestDatabases(restored.url())).toEqual(digest);
      await assertSound(restored.url(), { isRestored: true });
    }
    await using restored = await restoreAndStart(site, source, "--to", "latest");
    expect(await digestDatabases(restored.url())).toEqual(atEnd);
    expect((await objects()).filter((name) => name.endsWith("(unfinished)"))).toEqual([]);
  });

  test("a bare machine needs the address, credentials of the bucket and the passphrase", async () => {
    await using bare = await openScratchFolder(await serverUser());
    for (const folder of ["empty", "home"]) await mkdir(join(bare.path, folder));
    const env = { PATH: "/usr/bin:/bin", HOME: join(bare.path, "home"), HOLDFAST_KEY: site.key, ...server.env };
    const holdfast = async (...args: string[]): Promise<string> => {
      const place = ["--repository", "s3://backups/site/one", "--endpoint", server.endpoint];
      return (await run(process.execPath, [MAIN, ...args, ...place], { cwd: join(bare.path, "empty"), env })).stdout;
    };
    expect(JSON.parse(await holdfast("info", "--json"))).toMatchObject({ sources: [{ name: "db", gaps: [], backups: [{ type: "full" }, { type: "incremental" }] }] });
    expect(JSON.parse(await holdfast("verify", "--json"))).toMatchObject({ ok: true, damage: [] });
    const target = join(bare.path, "restored");
    expect(JSON.parse(await holdfast("restore", "--to", "latest", "--target", target, "--json"))).toMatchObject({ startable: true });
    await using restored = await startOnFolder(target, { binaries, leftRecovery: true });
    expect(await digestDatabases(restored.url())).toEqual(atEnd);
  });

  test.each([
    ["a pack", /\/backups\/[^/]+\/data\//],
    ["a map", /\/backups\/[^/]+\/map\//],
    ["a manifest", /\/manifests\//],
    ["a WAL segment", /\/wal\/\d+\/[0-9A-F]{8}\/[0-9A-F]{16}\//],
  ])("a byte that flipped in %s is found by verify, and named", async (_, pattern) => {
    const name = (await objects()).find((object) => pattern.test(`/${object}`)) ?? "";
    const place = { Bucket: bucket.name, Key: `site/one/${name}` };
    const whole = Buffer.from((await (await bucket.client.send(new GetObjectCommand(place))).Body?.transformToByteArray()) ?? []);
    const hurt = Buffer.from(whole);
    const middle = hurt.length >> 1;
    hurt.writeUInt8(hurt.readUInt8(middle) ^ 1, middle);
    await bucket.client.send(new PutObjectCommand({ ...place, Body: hurt }));
    const outcome = await site.run("verify", "--json");
    await bucket.client.send(new PutObjectCommand({ ...place, Body: whole }));
    expect(outcome.exitCode, outcome.stderr).toBe(1);
    expect(outcome.json<{ damage: { object: string }[] }>().damage.map(({ object }) => object)).toContain(name);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test("check --repository tries the bucket, and leaves nothing in it", async () => {
    const before = await objects();
    const checked = await site.run("check", "--repository", "onsite", "--json");
    expect(checked.exitCode, checked.stdout).toBe(0);
    const { repositories } = checked.json<{ repositories: { name: string; items: { outcome: string }[] }[] }>();
    expect(repositories.map(({ name, items }) => [name, items.map(({ outcome }) => outcome)])).toEqual([["onsite", Array.from({ length: 10 }, () => "ok")]]);
    expect(await objects()).toEqual(before);
    expect(await site.run("check", "--repository", "elsewhere")).toMatchObject({ exitCode: 2 });
  });

  test("init refuses a store that overwrites, and makes nothing there", async () => {
    await using lying = await startS3Proxy(server.endpoint, ({ headers }) => (headers["if-none-match"] === undefined ? "pass" : "say done"));
    const place = `url: "s3://backups/lying", endpoint: "${lying.endpoint}"`;
    await expect(openSite({ cluster: source, places: { onsite: place }, env: server.env })).rejects.toThrow(
      /error\[HF-CHECK\]: s3:\/\/backups\/lying cannot hold a repository: create if absent: a second write of the same key was accepted\nhint: .*If-None-Match/,
    );
    expect(await bucket.contents("lying/")).toEqual([]);
  });

  test("a backup killed while it sends parts leaves nothing that is visible, and the next clears it away", async () => {
    const before = (await infoOf(site)).backups.map(({ id }) => id);
    await source.sql(`insert into t ${FILLER} from generate_series(200001, 350000) g`);
    const killed = await site.runWith({ HOLDFAST_CRASH_AT: "backup.copied" }, "backup", "--type", "full");
    expect(killed.signal, killed.stderr).toBe("SIGKILL");
    expect((await objects()).filter((name) => name.endsWith("(unfinished)"))).not.toEqual([]);
    expect((await infoOf(site)).backups.map(({ id }) => id)).toEqual(before);
    const next = await site.run("backup", "--type", "incr", "--json");
    expect(next.exitCode, next.stderr).toBe(0);
    const after = (await infoOf(site)).backups.map(({ id }) => id);
    expect(after).toHaveLength(before.length + 1);
    const left = (await objects()).filter((name) => name.endsWith("(unfinished)") || (name.startsWith("sources/db/backups/") && !after.includes(name.split("/")[3] ?? "")));
    expect(left).toEqual([]);
    await using restored = await restoreAndStart(site, source, "--backup", next.json<{ id: string }>().id, "--to", "immediate");
    expect(await digestDatabases(restored.url())).toEqual(await digestDatabases(source.url()));
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test("a copy on site and one in the bucket: each restores by itself, with the other gone", async () => {
    const { accessKeyId, secretAccessKey } = server.credentials;
    await using both = await openSite({
      cluster: source,
      repositories: ["onsite", "cloud"],
      places: { cloud: `url: "s3://backups/both", endpoint: "${server.endpoint}", credentials: { accessKeyId: env:SITE_S3_ID, secretAccessKey: env:SITE_S3_SECRET }` },
      env: { SITE_S3_ID: accessKeyId, SITE_S3_SECRET: secretAccessKey },
    });
    for (const type of ["full", "incr"]) {
      const taken = await both.run("backup", "--type", type, "--json");
      expect(taken.exitCode, taken.stderr).toBe(0);
      expect(taken.json<{ copies: { repository: string; state: string }[] }>().copies).toMatchObject([
        { repository: "onsite", state: "complete" },
        { repository: "cloud", state: "complete" },
      ]);
      await source.sql("update t set b = '' where g % 50 = 7");
    }
    const [backup] = (await infoOf(both)).backups.slice(-1);
    const restored = async (env: Readonly<Record<string, string>>, name: string): Promise<ClusterDigest> => {
      const target = join(both.folder, name);
      const outcome = await both.runWith(env, "restore", "--backup", backup?.id ?? "", "--to", "immediate", "--target", target);
      expect(outcome.exitCode, outcome.stderr).toBe(0);
      await using cluster = await startOnFolder(target, { binaries, leftRecovery: true });
      return await digestDatabases(cluster.url());
    };
    const withoutCloud = await restored({ SITE_S3_SECRET: "not-the-secret" }, "without-cloud");
    await rename(join(both.folder, "onsite"), join(both.folder, "gone"));
    expect(await restored({}, "without-onsite")).toEqual(withoutCloud);
  });
});
