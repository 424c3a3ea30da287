import { chmod, chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Clock } from "../clock.ts";
import { HoldfastError } from "../errors.ts";
import type { ServerBinaries } from "./binaries.ts";
import { connect } from "./connection.ts";
import type { Connection } from "./connection.ts";
import { startProgram } from "./process.ts";
import type { RunAs, RunningProgram } from "./process.ts";

/** A throwaway server on a restored folder: isolated, reachable only through a private socket, gone when disposed. */
export interface ScratchCluster extends AsyncDisposable {
  readonly pid: number;
  url(database: string): string;
  connect(database: string): Promise<Connection>;
  /** Resolves when recovery is over and the server accepts writes. Rejects, with the end of the log, if it stopped. */
  waitUntilPromoted(signal: AbortSignal): Promise<void>;
  /** The last lines of the server's log. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

export interface ScratchRequest {
  readonly binaries: ServerBinaries;
  readonly dataDirectory: string;
  readonly runAs: RunAs | null;
  readonly superuser: string;
  readonly clock: Clock;
  readonly memoryBytes: number | null;
}

/** Unix socket paths are limited to some 100 bytes, and the server appends its own name. */
const LOG_TAIL_BYTES = 4000;
const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** Starts a server that nobody else can reach and that reaches nobody: whatever the restored files say, these settings have the last word. */
export async function startScratchCluster(request: ScratchRequest): Promise<ScratchCluster> {
  const folder = await mkdtemp(path.join(tmpdir(), "hf-"));
  const port = 5432;
  const hba = path.join(folder, "hba.conf");
  const logFile = path.join(folder, "log");
  await writeFile(hba, "local all all trust\n");
  await writeFile(path.join(folder, "ident.conf"), "");
  await writeFile(logFile, "");
  if (request.runAs !== null) for (const name of [folder, hba, path.join(folder, "ident.conf"), logFile]) await chown(name, request.runAs.uid, request.runAs.gid);
  await chmod(folder, 0o700);
  const settings = isolation(folder, hba, port, request.memoryBytes);
  const args = ["-D", request.dataDirectory, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
  let server: RunningProgram;
  try {
    server = startProgram(path.join(request.binaries.folder, "postgres"), args, { runAs: request.runAs, cwd: folder, logFile });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const url = (database: string): string => `postgres://${encodeURIComponent(request.superuser)}@/${encodeURIComponent(database)}?host=${encodeURIComponent(folder)}&port=${port}`;
  const log = async (): Promise<string> => (await readFile(logFile, "utf8").catch(() => "")).slice(-LOG_TAIL_BYTES);
  const stop = async (): Promise<void> => stopServer(server, request.clock);
  return {
    pid: server.pid,
    url,
    connect: (database) => connect({ url: url(database) }, { purpose: "drill" }),
    waitUntilPromoted: (signal) => waitUntilPromoted(server, () => connect({ url: url("postgres") }, { purpose: "drill" }), log, request.clock, signal),
    log,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function isolation(socketFolder: string, hba: string, port: number, memoryBytes: number | null): Record<string, string> {
  return {
    hba_file: hba,
    ident_file: path.join(path.dirname(hba), "ident.conf"),
    external_pid_file: "",
    listen_addresses: "",
    unix_socket_directories: socketFolder,
    port: String(port),
    ssl: "off",
    logging_collector: "off",
    log_destination: "stderr",
    archive_mode: "off",
    archive_command: "",
    archive_cleanup_command: "",
    recovery_end_command: "",
    primary_conninfo: "",
    primary_slot_name: "",
    synchronous_standby_names: "",
    shared_preload_libraries: "",
    session_preload_libraries: "",
    local_preload_libraries: "",
    max_logical_replication_workers: "0",
    // It would take the next transaction for its own, and that must be one which nobody finds committed.
    autovacuum: "off",
    statement_timeout: "0",
    huge_pages: "try",
    ...(memoryBytes === null ? {} : { shared_buffers: `${Math.max(16, Math.floor(memoryBytes / 4 / 1024))}kB` }),
  };
}

async function waitUntilPromoted(server: RunningProgram, open: () => Promise<Connection>, log: () => Promise<string>, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const exit = server.exit();
    if (exit !== null)
      throw new HoldfastError("HF-START", `the restored server stopped (${exit.signal ?? `exit ${exit.code}`}): ${reasonIn(await log())}`, {
        hint: "the end of its log is in the facts",
        facts: { log: await log() },
      });
    if (await isPromoted(open)) return;
    await clock.sleep(POLL_MS, signal);
  }
}

async function isPromoted(open: () => Promise<Connection>): Promise<boolean> {
  try {
    await using connection = await open();
    const { rows } = await connection.client.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
    return rows[0]?.recovering === false;
  } catch {
    // Not accepting connections yet. Whether it ever will is what its process tells.
    return false;
  }
}

/** The most telling line of a server log: the last FATAL or PANIC. */
function reasonIn(log: string): string {
  const lines = log.split("\n").filter((line) => line.trim() !== "");
  return (lines.findLast((line) => /\b(FATAL|PANIC):/.test(line)) ?? lines.at(-1) ?? "no message in its log").replace(/^.*?\b(FATAL|PANIC|LOG):\s*/, "");
}

/** Immediately: what is in it is thrown away. Then hard. */
async function stopServer(server: RunningProgram, clock: Clock): Promise<void> {
  const since = clock.monotonicMs();
  if (server.exit() === null) server.signal("SIGQUIT");
  while (server.exit() === null && clock.monotonicMs() - since < STOP_TIMEOUT_MS) await clock.sleep(20);
  if (server.exit() === null) server.signal("SIGKILL");
  await server.ended;
}
