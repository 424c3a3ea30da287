import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { DeleteObjectCommand, DeleteObjectsCommand, GetObjectRetentionCommand, ListObjectVersionsCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { readSnapshot } from "../../src/catalog/snapshots.ts";
import { startCluster } from "../support/cluster.ts";
import { digestDatabases } from "../support/digest.ts";
import type { ClusterDigest } from "../support/digest.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { makeBucket } from "../support/s3-bucket.ts";
import type { Bucket } from "../support/s3-bucket.ts";
import { findS3Server, startS3Server } from "../support/s3-server.ts";
import type { S3Server } from "../support/s3-server.ts";
import { openSite } from "../support/site.ts";
import type { Site } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";

const found = findS3Server();
const KEPT_SECONDS = 30;
/** Long enough for a slow machine to look at what is over and still locked. */
const MARGIN_SECONDS = 90;
const PREFIX = "locked/site/";

interface ExpiryView {
  readonly repositories: readonly [
    {
      readonly expired: readonly { readonly id: string }[];
      readonly held: readonly { readonly id: string; readonly heldBy: readonly string[] }[];
      readonly locked: readonly { readonly id: string; readonly until: string; readonly reasons: readonly string[] }[];
      readonly locksExtended: readonly { readonly what: string; readonly backup: string | null; readonly until: string }[];
      readonly refused: readonly object[];
      readonly removedObjects: number;
    },
  ];
}

describePostgres("a repository under Object Lock in compliance mode", {}, (binaries) => {
  if ("missing" in found) {
    test.skip(`${NOT_RUN}${found.missing}`);
    return;
  }
  let resources: AsyncDisposableStack;
  let server: S3Server;
  let bucket: Bucket;
  let source: Cluster;
  let site: Site;
  let old: readonly string[];
  let oldDigest: ClusterDigest;
  let newest: string;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    server = stack.use(await startS3Server(found.root));
    bucket = await makeBucket(server, "compliant", { locks: true });
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    site = stack.use(
      await openSite({
        cluster: source,
        env: server.env,
        places: {
          onsite: `url: "s3://compliant/${PREFIX.slice(0, -1)}", endpoint: "${server.endpoint}", objectLock: { mode: compliance, margin: ${MARGIN_SECONDS}s, evidence: 1h }`,
        },
        policy: `backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: ${KEPT_SECONDS}s, repositories: [onsite] }
  incremental: { schedule: { cron: "0 2 * * *" }, retention: ${KEPT_SECONDS}s, repositories: [onsite] }
  log: { schedule: stream, retention: ${KEPT_SECONDS}s, repositories: [onsite] }
`,
      }),
    );
    resources = stack.move();
  });
  afterAll(async () => resources.disposeAsync());

  const backUp = async (type: string): Promise<string> => {
    const taken = await site.run("backup", "--type", type, "--json");
    expect(taken.exitCode, taken.stderr).toBe(0);
    return taken.json<{ id: string }>().id;
  };
  const expireView = async (...args: string[]): Promise<ExpiryView["repositories"][0]> => {
    const outcome = await site.run("expire", ...args, "--json");
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    return outcome.json<ExpiryView>().repositories[0];
  };
  const versionsOf = async (prefix: string): Promise<{ Key: string; VersionId: string; isMarker: boolean }[]> => {
    const { Versions = [], DeleteMarkers = [] } = await bucket.client.send(new ListObjectVersionsCommand({ Bucket: bucket.name, Prefix: PREFIX + prefix }));
    return [...Versions.map((version) => ({ ...version, isMarker: false })), ...DeleteMarkers.map((marker) => ({ ...marker, isMarker: true }))].map(
      ({ Key = "", VersionId = "", isMarker }) => ({ Key, VersionId, isMarker }),
    );
  };
  const lockOf = async (key: string): Promise<Date | undefined> => {
    try {
      return (await bucket.client.send(new GetObjectRetentionCommand({ Bucket: bucket.name, Key: key }))).Retention?.RetainUntilDate;
    } catch {
      return undefined;
    }
  };

  test("backups are made and verified, and nothing is written twice: there is one version of everything", async () => {
    await source.sql("create table t as select g as i, sha256(g::text::bytea) as b from generate_series(1, 50000) g");
    const full = await backUp("full");
    await source.sql("update t set b = '' where i % 100 = 0");
    const incremental = await backUp("incr");
    oldDigest = await digestDatabases(source.url());
    await source.sql("update t set b = 'x' where i % 90 = 0");
    newest = await backUp("full");
    old = [full, incremental];
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    const versions = await versionsOf("");
    expect(versions.filter(({ isMarker }) => isMarker)).toEqual([]);
    expect(versions.length).toBe(new Set(versions.map(({ Key }) => Key)).size);
  });

  test("each kind of object is locked for its time, and what is replaced is not locked at all", async () => {
    const locked = new Map<string, boolean>();
    for (const { Key } of await versionsOf("")) locked.set(Key.slice(PREFIX.length), (await lockOf(Key)) !== undefined);
    const ofKind = (pattern: RegExp): Set<boolean> => new Set([...locked].filter(([key]) => pattern.test(key)).map(([, isLocked]) => isLocked));
    for (const pattern of [/^holdfast\.json$/, /^keys\//, /^hosts\//, /\/bindings\//, /\/backups\//, /\/manifests\//, /\/wal\/\d+\/[0-9A-F]{8}\/[0-9A-F]{16}\//, /^evidence\//])
      expect(ofKind(pattern), String(pattern)).toEqual(new Set([true]));
    for (const pattern of [/^leases\//, /\/summaries\//]) expect(ofKind(pattern), String(pattern)).toEqual(new Set([false]));
    expect(ofKind(/\/parts\/|\/intents\/|\/tombstones\//)).not.toContain(true);
  });

  test("info says until when each backup is locked, as the store does", async () => {
    for (const { id, copies } of (await infoOf(site)).backups) {
      const until = (await lockOf(`${PREFIX}sources/db/manifests/${id}.json`))?.toISOString();
      expect(until).toBeDefined();
      expect(copies.map(({ lockedUntil }) => lockedUntil)).toEqual([until]);
      expect((await site.run("info")).stdout).toContain(`locked until ${until}`);
    }
  });

  test("so does what is kept of a look at the source, for the API and the dashboard", async () => {
    expect(await site.run("catalog", "rebuild")).toMatchObject({ exitCode: 0 });
    using catalog = Catalog.open(join(site.folder, "state/catalog.sqlite"));
    const kept = readSnapshot(catalog, "db")?.info.backups ?? [];
    expect(kept.length).toBe(3);
    for (const { id, copies } of kept) {
      const until = (await lockOf(`${PREFIX}sources/db/manifests/${id}.json`))?.toISOString();
      expect([id, copies.map(({ lockedUntil }) => lockedUntil)]).toEqual([id, [until]]);
    }
  });

  test("policy explain says for how long nobody can delete what is in the bucket", async () => {
    const { stdout } = await site.run("policy", "explain", "--allow-infeasible");
    expect(stdout).toMatch(/nobody can delete what is in it \((governance|compliance)\) for full /);
  });

  test("nobody deletes a version before its time, with all credentials there are", async () => {
    const doomed = (await versionsOf(`sources/db/backups/${old[0]}/`)).map(({ Key, VersionId }) => ({ Key, VersionId }));
    expect(doomed.length).toBeGreaterThan(2);
    const { Errors = [] } = await bucket.client.send(new DeleteObjectsCommand({ Bucket: bucket.name, Delete: { Objects: doomed }, BypassGovernanceRetention: true }));
    expect(Errors.map(({ Code }) => Code)).toEqual(doomed.map(() => "AccessDenied"));
  });

  test("a manifest that somebody deleted and a pack and a map that somebody wrote over are named by verify as tampering, and a restore reads what is below", async () => {
    const [full = "", incremental = ""] = old;
    const manifest = `${PREFIX}sources/db/manifests/${full}.json`;
    await bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: manifest }));
    const overwritten = [`${PREFIX}sources/db/backups/${full}/data/00000000`, `${PREFIX}sources/db/backups/${full}/map/00000000`];
    for (const Key of overwritten) await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body: Buffer.alloc(100_000, 7) }));
    expect((await infoOf(site)).backups.map(({ id }) => id)).toEqual([...old, newest]);
    const verified = await site.run("verify", "--json");
    expect(verified.exitCode).toBe(1);
    const { damage } = verified.json<{ damage: { object: string; reason: string }[] }>();
    expect(damage.map(({ object, reason }) => [`${PREFIX}${object}`, reason.slice(0, 9)]).toSorted()).toEqual(
      [manifest, ...overwritten].map((key) => [key, "tampering"]).toSorted(),
    );
    await using restored = await restoreAndStart(site, source, "--backup", incremental, "--to", "immediate");
    expect(await digestDatabases(restored.url())).toEqual(oldDigest);
    const strange = [
      ...(await versionsOf("sources/db/manifests/")).filter(({ isMarker }) => isMarker),
      ...(await Promise.all(overwritten.map(async (key) => (await versionsOf(key.slice(PREFIX.length)))[0]))).filter((version) => version !== undefined),
    ];
    await bucket.client.send(new DeleteObjectsCommand({ Bucket: bucket.name, Delete: { Objects: strange.map(({ Key, VersionId }) => ({ Key, VersionId })) } }));
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test("what is over and still locked is no recovery point, says until when, and expiry leaves it and makes longer what must be", async () => {
    const stoppedAt = (await infoOf(site)).backups.find(({ id }) => id === old[1])?.finishedAt ?? "";
    await pause(Math.max(0, Date.parse(stoppedAt) + (KEPT_SECONDS + 1) * 1000 - Date.now()));
    const before = await versionsOf("sources/db/backups/");
    for (const args of [["--dry-run"], []]) {
      const view = await expireView(...args);
      expect(view.expired).toEqual([]);
      // What it was made from stays for it: half a chain would be damage.
      expect(view.locked.map(({ id }) => id)).toEqual(old.slice(1));
      expect(view.held).toEqual([{ id: old[0], heldBy: old.slice(1) }]);
      for (const { until, reasons } of view.locked) {
        expect(Date.parse(until)).toBeGreaterThan(Date.now());
        expect(reasons[0]).toBe(`locked until ${until}`);
      }
      expect(view.refused).toEqual([]);
    }
    expect(await versionsOf("sources/db/backups/")).toEqual(before);
    const evidence = await site.run("expire", "--dry-run");
    expect(evidence.stdout).toMatch(new RegExp(`${old[1]} would stay for now: locked until `));
  });

  test("once the lock is over it goes, whole, and what is left restores", async () => {
    const { locked } = await expireView("--dry-run");
    const last = Math.max(...locked.map(({ until }) => Date.parse(until)));
    await pause(Math.max(0, last - Date.now()) + 1500);
    const view = await expireView();
    expect(view.expired.map(({ id }) => id)).toEqual(old);
    for (const id of old) expect(await versionsOf(`sources/db/backups/${id}/`)).toEqual([]);
    expect((await infoOf(site)).backups.map(({ id }) => id)).toEqual([newest]);
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    await using restored = await restoreAndStart(site, source, "--backup", newest, "--to", "immediate");
    expect(await digestDatabases(restored.url())).toEqual(await digestDatabases(source.url()));
    // The newest full stays, and so does its lock.
    expect((await lockOf(`${PREFIX}sources/db/manifests/${newest}.json`))?.getTime()).toBeGreaterThan(Date.now());
  });

  test("a copy made later in a locked repository is locked as well, and verified there", async () => {
    await using both = await openSite({
      cluster: source,
      env: server.env,
      repositories: ["near", "far"],
      places: { far: `url: "s3://compliant/copied", endpoint: "${server.endpoint}", objectLock: { mode: compliance, margin: 60s, evidence: 1h }` },
      policy: `backups:
  full: { schedule: { cron: "0 2 * * 0" }, retention: 1h, repositories: [near] }
  log: { schedule: stream, retention: 1h, repositories: [near] }
`,
    });
    const taken = await both.run("backup", "--type", "full", "--json");
    expect(taken.exitCode, taken.stderr).toBe(0);
    const { id } = taken.json<{ id: string }>();
    const copied = await both.run("copy", "--from", "near", "--to", "far", "--json");
    expect(copied.exitCode, copied.stderr).toBe(0);
    for (const key of [`manifests/${id}.json`, `backups/${id}/data/00000000`, `backups/${id}/contents`])
      expect((await lockOf(`copied/sources/db/${key}`))?.getTime(), key).toBeGreaterThan(Date.now());
    expect(await both.run("verify")).toMatchObject({ exitCode: 0 });
    expect(await both.run("expire")).toMatchObject({ exitCode: 0 });
  });

  test("a bucket without locks is refused where locks are asked for: at init, and by a backup where they are asked for later", async () => {
    const plain = await makeBucket(server, "plain");
    const place = (lock: string): string => `url: "s3://plain/site", endpoint: "${server.endpoint}"${lock}`;
    const options = { cluster: source, env: server.env };
    await expect(openSite({ ...options, places: { onsite: place(", objectLock: { mode: governance }") } })).rejects.toThrow(/error\[HF-CHECK\].*locking: .*does not enforce it/);
    expect(await plain.contents("site/")).toEqual([]);
    await using unlocked = await openSite({ ...options, places: { onsite: place("") } });
    const inventory = await readFile(unlocked.inventory, "utf8");
    await writeFile(unlocked.inventory, inventory.replace("s3://plain/site", 's3://plain/site", objectLock: { mode: governance }, region: "us-east-1'));
    const refused = await unlocked.run("backup", "--type", "full");
    expect(refused.exitCode, refused.stderr).not.toBe(0);
    expect(refused.stderr).toMatch(/does not enforce it/);
    expect((await plain.contents("site/")).filter((key) => key.includes("/manifests/") || key.includes("/backups/"))).toEqual([]);
  });
});
