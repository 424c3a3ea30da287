import { cp, readdir } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { backUp } from "../../src/operations/backup/back-up.ts";
import type { BackUpResult } from "../../src/operations/backup/backup-types.ts";
import type { WritableRepository } from "../../src/repository/repository.ts";
import { giveToServerUser, startCluster, startOnFolder } from "../support/cluster.ts";
import { describePostgres } from "../support/postgres-suite.ts";
import { openRepositoryFixture } from "../support/repository-fixture.ts";
import { eventually } from "../support/restored.ts";
import type { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { withFaults } from "../support/store-faults.ts";

/** A backup is of one server, seen by one session from its start to its end: with anything less its files may be of two clusters, or torn beyond repair. */
describePostgres("a backup", {}, (binaries) => {
  let resources: AsyncDisposableStack;
  let source: Cluster;
  /** Another server on a copy of the same folder: everything in it is the same, the system identifier too. */
  let twin: Cluster;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    source = stack.use(await startCluster({ binaries, initdbArgs: ["--wal-segsize=1"], settings: { log_statement: "all" } }));
    await source.sql("create table t as select g as id, repeat(md5(g::text), 20) as filler from generate_series(1, 5000) g");
    await source.stop();
    const folder = join(stack.use(await openScratchFolder()).path, "twin");
    await cp(source.dataDirectory, folder, { recursive: true });
    await giveToServerUser(join(folder, ".."));
    await source.start();
    twin = stack.use(await startOnFolder(folder, { binaries }));
    resources = stack.move();
  });

  afterAll(async () => resources.disposeAsync());

  async function backUpTo(
    repository: WritableRepository,
    { url = source.url(), dataDirectory = null }: { url?: string; dataDirectory?: string | null } = {},
  ): Promise<BackUpResult> {
    return backUp(
      { source: { name: "db", url, dataDirectory }, type: "full", repositories: [repository], logRepositories: [], runId: "test", compressionLevel: 1 },
      { clock: systemClock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined },
    );
  }

  async function endSession(): Promise<void> {
    const ofTheBackup = "from pg_stat_activity where application_name = 'holdfast backup'";
    expect(await source.sql(`select pg_terminate_backend(pid) as done ${ofTheBackup}`)).toEqual([{ done: "t" }]);
    await eventually("the session has ended", async () => (await source.sql(`select ${ofTheBackup}`)).length === 0);
  }

  test.each([
    ["while the first of them is being opened", "create", /\/data\/00000000$/],
    ["while files are copied", "write", /\/data\/00000000$/],
  ] as const)("whose session is lost %s fails, and the next one works", async (_when, point, object) => {
    await using fixture = await openRepositoryFixture();
    {
      using faulty = withFaults(fixture.store);
      const repository = await fixture.open("one", faulty.store);
      faulty.queue(point, { meanwhile: endSession }, (key) => object.test(key));
      await expect(backUpTo(repository)).rejects.toMatchObject({ code: "HF-SESSION-LOST" });
    }
    expect(await fixture.store.listNames("sources/db/manifests/")).toEqual([]);
    const left = await readdir(fixture.folder, { recursive: true });
    expect(left.filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect((await backUpTo(await fixture.open())).copies).toMatchObject([{ error: null }]);
  });

  test("whose session is lost when it has done its part, before the manifest, is whole", async () => {
    await using fixture = await openRepositoryFixture();
    using faulty = withFaults(fixture.store);
    let hasEnded = false;
    const isGone = async (): Promise<void> => {
      // It has ended by itself: the slowest copy does not hold it.
      await eventually("the session has ended", async () => (await source.sql("select from pg_stat_activity where application_name = 'holdfast backup'")).length === 0);
      hasEnded = true;
    };
    faulty.queue("create", { meanwhile: isGone }, (key) => key.endsWith("/contents"));
    expect((await backUpTo(await fixture.open("one", faulty.store))).copies).toMatchObject([{ error: null }]);
    expect(hasEnded).toBe(true);
  });

  test("is refused where connections reach two servers in turn, though they are of one cluster", async () => {
    await using balancer = await balance([source.port, twin.port]);
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await expect(backUpTo(repository, { url: source.url().replace(String(source.port), String(balancer.port)) })).rejects.toMatchObject({ code: "HF-SOURCE-CHANGED" });
    expect(await fixture.store.listNames("sources/db/manifests/")).toEqual([]);
  });

  test("is refused where the data directory is that of another server of the same cluster", async () => {
    await using fixture = await openRepositoryFixture();
    const repository = await fixture.open();
    await expect(backUpTo(repository, { dataDirectory: twin.dataDirectory })).rejects.toMatchObject({ code: "HF-OTHER-CLUSTER" });
    expect(await fixture.store.listNames("sources/db/manifests/")).toEqual([]);
  });

  test("reads pg_control after every other file, and before it ends", async () => {
    await using fixture = await openRepositoryFixture();
    const before = (await source.log()).length;
    await backUpTo(await fixture.open());
    const steps = (await source.log())
      .slice(before)
      .split("\n")
      .flatMap((line) => Object.entries(STEPS).flatMap(([step, sign]) => (sign.test(line) ? [step] : [])));
    const [start, ...rest] = steps.slice(steps.indexOf("start"));
    expect(start).toBe("start");
    expect(rest.length).toBeGreaterThan(3);
    expect(rest.slice(-2)).toEqual(["pg_control", "stop"]);
    expect(new Set(rest.slice(0, -2))).toEqual(new Set(["files"]));
  });
});

/** How the server's log shows what a backup does: until 14 the functions had other names. */
const STEPS = {
  start: /pg_(?:backup_start|start_backup)\(/,
  pg_control: /pg_read_binary_file.*'global\/pg_control'/,
  files: /pg_read_binary_file(?!.*'global\/pg_control')/,
  stop: /pg_(?:backup_stop|stop_backup)\(/,
};

/** What listens on one port and hands each new connection to the next of several servers. */
async function balance(ports: readonly number[]): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server = createServer((client) => {
    const behind = connect(ports[turn++ % ports.length] ?? 0, "127.0.0.1");
    for (const socket of [client, behind]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => [client, behind].map((either) => either.destroy()));
    }
    client.pipe(behind).pipe(client);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
