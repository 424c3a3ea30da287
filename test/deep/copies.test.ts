import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BackupView, SourceInfo } from "../../src/domain/source-info.ts";
import { startCluster } from "../support/cluster.ts";
import { NOT_RUN } from "../support/not-run.ts";
import { freePort } from "../support/postmaster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { eventually, restoreAndStart } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { makeBucket } from "../support/s3-bucket.ts";
import { startS3Proxy } from "../support/s3-proxy.ts";
import { findS3Server, startS3Server } from "../support/s3-server.ts";
import { openSite } from "../support/site.ts";
import type { Running, Site } from "../support/site.ts";
import { infoOf } from "../support/site-state.ts";
import { startWriter } from "../support/writer.ts";
import type { Writer } from "../support/writer.ts";

const found = findS3Server();
/** As long as a lease lives, and copying comes after that. */
const CATCH_UP_MS = 240_000;
const AWAY_MS = 20_000;
const OBSERVED_WITHIN_MS = 20_000;
/** It is asked for every ten seconds, and lacks half a minute of work; far less than it takes until a lease has run out. */
const RETURNED_WITHIN_MS = 40_000;

/** A folder and a bucket, under load, with `serve` running: one of the two is away for a while, and nobody helps. */
describePostgres("two copies, of which one is away for a while under load", {}, (binaries) => {
  if ("missing" in found) {
    test.skip(`${NOT_RUN}${found.missing}`);
    return;
  }
  let resources: AsyncDisposableStack;
  let source: Cluster;
  let site: Site;
  let serve: Running;
  let writer: Writer;
  let cloudIsAway = false;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await startS3Server(found.root));
    await makeBucket(server, "copies");
    const proxy = stack.use(await startS3Proxy(server.endpoint, () => (cloudIsAway ? "cut request" : "pass")));
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"] }));
    const { accessKeyId, secretAccessKey } = server.credentials;
    const place = `url: "s3://copies/site", endpoint: "${proxy.endpoint}", region: ${server.region}, credentials: { accessKeyId: env:SITE_S3_ID, secretAccessKey: env:SITE_S3_SECRET }`;
    site = stack.use(
      await openSite({
        cluster: source,
        repositories: ["onsite", "cloud"],
        places: { cloud: place },
        policy: POLICY,
        env: { SITE_S3_ID: accessKeyId, SITE_S3_SECRET: secretAccessKey },
        inventoryExtra: [`api: { listen: "127.0.0.1:${await freePort()}", demo: true }`],
      }),
    );
    serve = site.start({}, "serve");
    writer = stack.use(await startWriter(source, { connections: 2, ratePerSecond: 100 }));
    await backUp("full", 0);
    // Both were looked at by then, with a backup in each.
    await work(OBSERVED_WITHIN_MS);
    await caughtUp("cloud");
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function backUp(type: string, exitCode: number): Promise<BackupView> {
    const outcome = await site.run("backup", "--type", type, "--wait", "--json");
    expect(outcome.exitCode, outcome.stderr + serve.output().slice(-4000)).toBe(exitCode);
    return outcome.json<BackupView>();
  }

  const stateOf = (view: BackupView, name: string): string | undefined => view.copies.find(({ repository }) => repository === name)?.state;
  const exposureOf = async (name: string): Promise<number | null | undefined> => (await infoOf(site)).exposure.find(({ repository }) => repository === name)?.seconds;
  /** The newest lease of the stream in the folder. */
  const leaseInFolder = async (): Promise<{ readonly runId: string; readonly state: string }> => {
    const folder = join(site.folder, "onsite/leases/db.wal");
    const newest =
      (await readdir(folder))
        .filter((name) => /^\d{12}\.json$/.test(name))
        .toSorted()
        .at(-1) ?? "";
    const { payload } = JSON.parse(await readFile(join(folder, newest), "utf8")) as { payload: string };
    return JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as { runId: string; state: string };
  };
  const isEverywhere = ({ backups, lagging, gaps }: SourceInfo): boolean => backups.every(({ copies }) => copies.length === 2) && lagging?.length === 0 && gaps.length === 0;

  /** Writes, and fills segments. */
  async function work(ms: number): Promise<void> {
    for (const until = performance.now() + ms; performance.now() < until;) {
      await writer.more(50);
      await source.sql("select pg_switch_wal()");
    }
  }

  async function caughtUp(name: string): Promise<void> {
    await eventually(`${name} has caught up`, async () => isEverywhere(await infoOf(site)), CATCH_UP_MS).catch(async (error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(await infoOf(site), null, 1).slice(-6000)}\n${serve.output().slice(-8000)}`);
    });
    await eventually(`${name} is exposed to nothing to speak of`, async () => ((await exposureOf(name)) ?? 1000) < 15, CATCH_UP_MS);
  }

  /** How many writes there are, all of which the copy holds when this returns. */
  async function heldBy(name: string): Promise<number> {
    const [written] = await source.sql("select count(*) as n from written");
    const [{ position } = { position: null }] = await source.sql("select pg_switch_wal() as position");
    const reaches = async (): Promise<boolean> => {
      const lsn = (await infoOf(site)).exposure.find(({ repository }) => repository === name)?.recoverableLsn ?? "0/0";
      return (await source.sql(`select '${lsn}'::pg_lsn >= '${position}'::pg_lsn as there`))[0]?.["there"] === "t";
    };
    await eventually(`${name} reaches ${position}`, reaches, CATCH_UP_MS);
    return Number(written?.["n"]);
  }

  /** Restores to latest, and finds everything there that had been written before, once. */
  async function restoresAll(written: number, ...from: string[]): Promise<void> {
    await using restored = await restoreAndStart(site, source, ...from, "--to", "latest");
    const [there] = await restored.sql("select count(*) as n, count(distinct sequence) as different from written");
    expect(Number(there?.["n"])).toBeGreaterThanOrEqual(written);
    expect(there?.["different"]).toBe(there?.["n"]);
  }

  async function bothRestore(): Promise<void> {
    for (const name of ["onsite", "cloud"]) await restoresAll(await heldBy(name), "--from", name);
  }

  test("the bucket: the folder goes on, the bucket's exposure grows, and it catches up by itself with nothing lost", async () => {
    cloudIsAway = true;
    await work(AWAY_MS / 2);
    const before = await exposureOf("cloud");
    const view = await backUp("incr", 3);
    expect([stateOf(view, "onsite"), stateOf(view, "cloud")]).toEqual(["complete", "failed"]);
    await work(AWAY_MS / 2);
    expect(await exposureOf("onsite")).toBeLessThan(15);
    expect((await exposureOf("cloud")) ?? 0).toBeGreaterThan((before ?? 0) + 5);
    cloudIsAway = false;
    await caughtUp("cloud");
    await bothRestore();
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
  });

  test("the folder: the bucket goes on as the first, and gives it back when the folder has caught up", async () => {
    const [onsite, aside] = [join(site.folder, "onsite"), join(site.folder, "aside")];
    await rename(onsite, aside);
    await writeFile(onsite, "not a folder");
    await work(AWAY_MS);
    const view = await backUp("incr", 3);
    expect([stateOf(view, "onsite"), stateOf(view, "cloud")]).toEqual(["failed", "complete"]);
    // Whichever copy is asked first: the one that is away is passed over.
    await restoresAll(await heldBy("cloud"));
    expect(await readFile(onsite, "utf8")).toBe("not a folder");
    await rm(onsite);
    await rename(aside, onsite);
    const since = performance.now();
    const left = await leaseInFolder();
    // Its stream could not say that it ended.
    expect(left.state).toBe("held");
    const isFirst = async (): Promise<boolean> => {
      // One that is replaced while it is read is read again.
      const { runId, state } = await leaseInFolder().catch(() => left);
      return state === "held" && runId !== left.runId;
    };
    await eventually("the folder is the first again", isFirst, RETURNED_WITHIN_MS);
    process.stdout.write(`the folder was the first again after ${Math.round((performance.now() - since) / 1000)} s\n`);
    await caughtUp("onsite");
    await bothRestore();
    expect(await site.run("verify")).toMatchObject({ exitCode: 0 });
    serve.process.kill("SIGTERM");
    expect((await serve.ended()).exitCode).toBe(0);
  });
});

const RULE = "{ schedule: { every: 700d }, retention: { keepLast: 20 }, repositories: [onsite, cloud] }";
const POLICY = `backups:
  full: ${RULE}
  incremental: ${RULE}
  log: { schedule: stream, retention: 7d, repositories: [onsite, cloud] }
expire: { schedule: { every: 700d } }
`;
