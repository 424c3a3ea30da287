import { execFile } from "node:child_process";
import { appendFile, chown, lchown, lstat, mkdir, readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Cluster } from "./running-cluster.ts";
import { requirePostgres } from "./postgres-binaries.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { openScratchFolder } from "./scratch-folder.ts";
import { asUser, serverUser } from "./server-user.ts";
import type { Owner } from "./server-user.ts";

export interface ClusterOptions {
  /** Which server: exact binaries, or the best ones of a major. */
  readonly binaries?: PostgresBinaries;
  readonly major?: number;
  /** Default: on. */
  readonly checksums?: boolean;
  readonly walLogHints?: boolean;
  /** WAL summaries by the server itself: 17 and newer. */
  readonly summarizeWal?: boolean;
  /** True: fsync stays on. Needed wherever a test relies on what the *operating system* would keep; a kill -9 alone loses nothing without it. */
  readonly durable?: boolean;
  /** Tablespaces space1 … spaceN in folders of their own. */
  readonly tablespaces?: number;
  /** More lines for postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly initdbArgs?: readonly string[];
}

export interface FolderOptions {
  readonly binaries?: PostgresBinaries;
  /** Given on the command line: they win over the folder's own configuration. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More environment: what its restore_command finds. */
  readonly env?: Readonly<Record<string, string>>;
  /** Waits until recovery is over, not only until connections are accepted. */
  readonly leftRecovery?: boolean;
  readonly timeoutMs?: number;
}

const DEFAULT_MAJOR = 17;
const START_TIMEOUT_MS = 60_000;

/** Settings that no test needs to know about: small, and ready for what tests do. In postgresql.conf, as a person would write them. */
const CONFIGURATION = {
  wal_level: "replica",
  max_wal_senders: "10",
  max_replication_slots: "10",
  max_prepared_transactions: "10",
  max_connections: "40",
  shared_buffers: "32MB",
  max_wal_size: "256MB",
  log_min_messages: "warning",
  log_checkpoints: "on",
} as const;

/** A new cluster in a folder of its own, running. `await using` stops it and removes everything, also after a failing test. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const binaries = options.binaries ?? (await requirePostgres(options.major ?? DEFAULT_MAJOR));
  if (options.summarizeWal === true && binaries.major < 17) throw new Error(`PostgreSQL ${binaries.major} has no WAL summaries`);
  await using resources = new AsyncDisposableStack();
  const owner = await serverUser();
  const folder = resources.use(await openScratchFolder(owner)).path;
  const dataDirectory = join(folder, "data");
  await runInitdb(binaries, dataDirectory, owner, options);
  const cluster = new Cluster({
    binaries,
    dataDirectory,
    socketDirectory: folder,
    logFile: join(folder, "log"),
    owner,
    tablespaceDirectories: await makeTablespaceFolders(folder, owner, options.tablespaces ?? 0),
    settings: options.durable === true ? {} : { fsync: "off" },
    startTimeoutMs: START_TIMEOUT_MS,
    resources: resources.move(),
  });
  return await started(cluster, async () => {
    await cluster.start();
    for (const [index, path] of cluster.place.tablespaceDirectories.entries()) await cluster.sql(`create tablespace space${index + 1} location '${path}'`);
  });
}

/** A server on a folder that exists, for example a restored one, as the account that owns it. The folder stays when the server goes. */
export async function startOnFolder(dataDirectory: string, options: FolderOptions = {}): Promise<Cluster> {
  const owner = await stat(dataDirectory);
  if (owner.uid === 0) throw new Error(`${dataDirectory} belongs to root, and PostgreSQL does not run as root: see giveToServerUser`);
  const major = Number.parseInt(await readFile(join(dataDirectory, "PG_VERSION"), "utf8"), 10);
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await openScratchFolder(owner)).path;
  const cluster = new Cluster({
    binaries: options.binaries ?? (await requirePostgres(major)),
    dataDirectory,
    socketDirectory: folder,
    logFile: join(folder, "log"),
    owner,
    tablespaceDirectories: [],
    settings: { fsync: "off", ...options.settings },
    env: options.env ?? {},
    startTimeoutMs: options.timeoutMs ?? START_TIMEOUT_MS,
    resources: resources.move(),
  });
  return await started(cluster, async () => {
    await cluster.start();
    if (options.leftRecovery === true) await cluster.leftRecovery();
  });
}

/** Makes a folder and everything in it the test server's own. Links are changed, not followed. */
export async function giveToServerUser(folder: string): Promise<void> {
  const { uid, gid } = await serverUser();
  if ((await lstat(folder)).isDirectory()) for (const name of await readdir(folder)) await giveToServerUser(join(folder, name));
  await lchown(folder, uid, gid);
}

async function runInitdb(binaries: PostgresBinaries, dataDirectory: string, owner: Owner, options: ClusterOptions): Promise<void> {
  const without = binaries.major >= 18 ? ["--no-data-checksums"] : []; // 18 made them the default
  const checksums = (options.checksums ?? true) ? ["--data-checksums"] : without;
  // Locale C: the same order of text in every PostgreSQL and on every machine.
  const args = ["-D", dataDirectory, "-U", "postgres", "-A", "trust", "--encoding=UTF8", "--locale=C", "--no-sync", ...checksums, ...(options.initdbArgs ?? [])];
  await promisify(execFile)(join(binaries.directory, "initdb"), args, { cwd: "/", env: { PATH: "/usr/bin:/bin", LC_ALL: "C" }, ...asUser(owner) });
  const lines = Object.entries({
    ...CONFIGURATION,
    ...(options.walLogHints === undefined ? {} : { wal_log_hints: options.walLogHints ? "on" : "off" }),
    ...(options.summarizeWal === undefined ? {} : { summarize_wal: options.summarizeWal ? "on" : "off" }),
    ...options.settings,
  });
  await appendFile(join(dataDirectory, "postgresql.conf"), lines.map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`).join(""));
}

async function makeTablespaceFolders(folder: string, owner: Owner, count: number): Promise<string[]> {
  const paths = Array.from({ length: count }, (_, index) => join(folder, `space${index + 1}`));
  for (const path of paths) {
    await mkdir(path, { mode: 0o700 });
    await chown(path, owner.uid, owner.gid);
  }
  return paths;
}

/** Nobody can dispose of a cluster that failed while starting but we. */
async function started(cluster: Cluster, start: () => Promise<void>): Promise<Cluster> {
  try {
    await start();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}
