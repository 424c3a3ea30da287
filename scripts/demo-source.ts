import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import pg from "pg";
import { systemClock } from "../src/clock.ts";
import { HoldfastError } from "../src/errors.ts";
import { findBinaries } from "../src/postgres/binaries.ts";
import { requireReachable, runProgram, serverUser, startProgram } from "../src/postgres/process.ts";
import type { RunAs } from "../src/postgres/process.ts";

/** The demo's own PostgreSQL: the one that npm brought, or one that is installed, started on a folder of the demo with somebody writing in it all the time. */
export interface DemoSource extends AsyncDisposable {
  readonly url: string;
  readonly binaries: string;
  readonly dataDirectory: string;
  readonly runAs: RunAs | null;
  query(sql: string): Promise<pg.QueryResult<Record<string, string>>>;
  /** Commits that were acknowledged so far. */
  readonly commits: () => number;
}

const NEWEST_FIRST = [17, 18, 16, 15, 14, 13];

export async function startDemoSource(folder: string): Promise<DemoSource> {
  const runAs = await serverUser(null);
  const binaries = await prepareBinaries(folder, runAs);
  const dataDirectory = path.join(folder, "source");
  const sockets = await mkdtemp(path.join(tmpdir(), "hf-demo-"));
  const own = async (target: string): Promise<void> => (runAs === null ? undefined : chown(target, runAs.uid, runAs.gid));
  await own(sockets);
  if ((await stat(path.join(dataDirectory, "PG_VERSION")).catch(() => null)) === null) {
    await mkdir(dataDirectory, { recursive: true });
    await own(dataDirectory);
    await chmod(dataDirectory, 0o700);
    await must0(path.join(binaries, "initdb"), ["-D", dataDirectory, "-U", "postgres", "-A", "trust", "-k", "-E", "UTF8", "--locale=C"], runAs, folder);
  }
  const port = await freePort();
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: sockets,
    summarize_wal: "on",
    max_wal_size: "512MB",
    fsync: "on",
    shared_buffers: "64MB",
  };
  const supported = await supportedSettings(binaries, settings, runAs);
  const logFile = path.join(folder, "source.log");
  await writeFile(logFile, "", { flag: "a" });
  const server = startProgram(path.join(binaries, "postgres"), ["-D", dataDirectory, ...supported.flatMap(([name, value]) => ["-c", `${name}=${value}`])], {
    runAs,
    cwd: folder,
    logFile,
  });
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const client = await connectWhenReady(url, () => server.exit() !== null, logFile);
  const writer = await startWriting(url);
  return {
    url,
    binaries,
    dataDirectory,
    runAs,
    query: (sql) => client.query<Record<string, string>>(sql),
    commits: writer.commits,
    [Symbol.asyncDispose]: async () => {
      await writer.stop();
      await client.end();
      server.signal("SIGINT");
      await server.ended;
      await rm(sockets, { recursive: true, force: true });
    },
  };
}

/** The folder of PostgreSQL's programs. As root they run as another user, who must be able to get at them: if they lie where it cannot (a home of root), they are copied. */
async function prepareBinaries(folder: string, runAs: RunAs | null): Promise<string> {
  const embedded = embeddedPackage();
  if (embedded === null) {
    for (const major of NEWEST_FIRST) {
      const found = await findBinaries([], major);
      if (found !== null) return found.folder;
    }
    throw new HoldfastError("HF-BINARIES", "the demo found no PostgreSQL", { hint: "npm brings one for Linux on x64; elsewhere install PostgreSQL 13 to 18" });
  }
  const native = path.join(embedded, "native");
  const reachable = await requireReachable(native, runAs).then(
    () => true,
    () => false,
  );
  const linked = (await stat(path.join(native, "lib/libpq.so.5")).catch(() => null)) !== null;
  if (reachable && linked) return path.join(native, "bin");
  const copy = path.join(folder, "postgres");
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  if (!linked) await makeLinks(copy);
  return path.join(copy, "bin");
}

function embeddedPackage(): string | null {
  try {
    const require = createRequire(import.meta.url);
    return path.dirname(path.dirname(require.resolve(`pg17-${process.platform}-${process.arch}`)));
  } catch {
    return null;
  }
}

/** Links of the package that its install script would have made, where scripts were not allowed to run. */
async function makeLinks(copy: string): Promise<void> {
  const links = JSON.parse(await readFile(path.join(copy, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const at = path.join(path.dirname(copy), target.replace(/^native/, path.basename(copy)));
    await symlink(path.relative(path.dirname(at), path.join(path.dirname(copy), source.replace(/^native/, path.basename(copy)))), at).catch(() => undefined);
  }
}

/** summarize_wal came with 17: an older server would refuse to start with it. */
async function supportedSettings(binaries: string, settings: Record<string, string>, runAs: RunAs | null): Promise<[string, string][]> {
  const { stdout } = await runProgram(path.join(binaries, "postgres"), ["--version"], { runAs, timeoutMs: 10_000 });
  const major = Number(/(\d+)/.exec(stdout)?.[1] ?? 0);
  return Object.entries(settings).filter(([name]) => name !== "summarize_wal" || major >= 17);
}

async function must0(program: string, args: readonly string[], runAs: RunAs | null, cwd: string): Promise<void> {
  const { exitCode, stderr } = await runProgram(program, args, { runAs, timeoutMs: 120_000, cwd });
  if (exitCode !== 0) throw new HoldfastError("HF-START", `${path.basename(program)} failed: ${stderr.trim().split("\n").at(-1)}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  if (address === null || typeof address === "string") throw new HoldfastError("HF-START", "no free port");
  return address.port;
}

async function connectWhenReady(url: string, hasEnded: () => boolean, logFile: string): Promise<pg.Client> {
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return client;
    } catch {
      if (hasEnded()) throw new HoldfastError("HF-START", "the demo's PostgreSQL did not start", { hint: `see ${logFile}` });
      await systemClock.sleep(50);
    }
  }
}

/** Orders keep coming in, a few dozen a second, until stopped. */
async function startWriting(url: string): Promise<{ commits: () => number; stop: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  await client.query("create table if not exists orders (id bigserial primary key, customer int not null, item text not null, at timestamptz not null default clock_timestamp())");
  const state = { commits: 0, running: true };
  const writing = (async () => {
    while (state.running) {
      await client.query("insert into orders (customer, item) select (random() * 1000)::int, md5(random()::text) from generate_series(1, 5)");
      state.commits++;
      await systemClock.sleep(20);
    }
  })();
  return {
    commits: () => state.commits,
    stop: async () => {
      state.running = false;
      await writing.catch(() => undefined);
      await client.end();
    },
  };
}
