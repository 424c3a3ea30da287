import { appendFile, cp, mkdir, readdir, readlink, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { giveToServerUser, startCluster } from "../support/cluster.ts";
import type { PostgresBinaries } from "../support/postgres-binaries.ts";
import { Cluster } from "../support/running-cluster.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import type { ScratchFolder } from "../support/scratch-folder.ts";
import { serverUser } from "../support/server-user.ts";
import { buildWorkload } from "../support/workload.ts";
import type { SeedPlan } from "./plan.ts";

/** Clusters that hold the workload, made once for each way of making one and copied for each seed: making one takes longer than most of what a seed does. */
export class Templates implements AsyncDisposable {
  readonly #made = new Map<string, Promise<ScratchFolder>>();

  /** A running cluster of a seed's own. Data directory and tablespace keep their paths through every failover: the servers change, the address stays. */
  async open(plan: SeedPlan, binaries: PostgresBinaries): Promise<Cluster> {
    const template = await this.#template(plan, binaries);
    await using resources = new AsyncDisposableStack();
    const owner = await serverUser();
    const folder = resources.use(await openScratchFolder(owner)).path;
    await cp(template.path, folder, { recursive: true, verbatimSymlinks: true });
    const dataDirectory = join(folder, "data");
    const tablespace = join(folder, "space1");
    await relink(dataDirectory, tablespace);
    await appendFile(join(dataDirectory, "postgresql.conf"), settingsOf(plan));
    await giveToServerUser(folder);
    const cluster = new Cluster({
      binaries,
      dataDirectory,
      socketDirectory: folder,
      logFile: join(folder, "log"),
      owner,
      tablespaceDirectories: [tablespace],
      settings: { fsync: "off" },
      startTimeoutMs: 60_000,
      resources: resources.move(),
    });
    try {
      await cluster.start();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const made of this.#made.values()) await (await made)[Symbol.asyncDispose]();
  }

  async #template(plan: SeedPlan, binaries: PostgresBinaries): Promise<ScratchFolder> {
    const key = [binaries.version, plan.checksums, plan.segmentMegabytes].join("/");
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = makeTemplate(plan, binaries);
    this.#made.set(key, made);
    return made;
  }
}

const SCALE = 0.2;

async function makeTemplate({ checksums, segmentMegabytes }: SeedPlan, binaries: PostgresBinaries): Promise<ScratchFolder> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await openScratchFolder());
  await using cluster = await startCluster({ binaries, checksums, tablespaces: 1, initdbArgs: [`--wal-segsize=${segmentMegabytes}`] });
  await buildWorkload(cluster, { scale: SCALE });
  await cluster.sql("create table marks (n int primary key, note text not null, at timestamptz not null default clock_timestamp())");
  await cluster.stop();
  await mkdir(join(folder.path, "space1"));
  await cp(cluster.dataDirectory, join(folder.path, "data"), { recursive: true, verbatimSymlinks: true });
  const [space] = cluster.place.tablespaceDirectories;
  if (space !== undefined) await cp(space, join(folder.path, "space1"), { recursive: true });
  resources.move();
  return folder;
}

/** Leads the one tablespace outside the data directory to where it now is. */
async function relink(dataDirectory: string, tablespace: string): Promise<void> {
  const links = join(dataDirectory, "pg_tblspc");
  for (const entry of await readdir(links, { withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = join(links, entry.name);
    if ((await readlink(link)) === tablespace) continue;
    await unlink(link);
    await symlink(tablespace, link);
  }
}

/** WAL is kept long enough for a stream that was away, also by a server that has no slot for it yet. */
function settingsOf(plan: SeedPlan): string {
  const lines = [
    `wal_log_hints = ${plan.walLogHints ? "on" : "off"}`,
    "wal_keep_size = '128MB'",
    `autovacuum = ${plan.autovacuum ? "on" : "off"}`,
    "autovacuum_naptime = 1",
    "max_prepared_transactions = 200",
    // A server with tablespaces in place recovers only with this.
    ...(plan.major >= 15 ? ["allow_in_place_tablespaces = on"] : []),
    "wal_retrieve_retry_interval = '100ms'",
    ...(plan.summaries === "server" ? ["summarize_wal = on"] : []),
  ];
  return lines.map((line) => `${line}\n`).join("");
}
