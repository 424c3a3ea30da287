import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { asUser } from "./server-user.ts";
import type { Owner } from "./server-user.ts";

/** One `postgres` process that we started ourselves, so that we know its pid, its end and its children, and kill nobody else's. */
export interface PostmasterOptions {
  readonly program: string;
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly owner: Owner;
  readonly settings: Readonly<Record<string, string>>;
  /** More environment: what its restore_command finds. */
  readonly env?: Readonly<Record<string, string>>;
}

const STOP_SIGNALS = { smart: "SIGTERM", fast: "SIGINT", immediate: "SIGQUIT" } as const;
export type StopMode = keyof typeof STOP_SIGNALS;

/** A shutdown writes a checkpoint of a small test cluster; longer than this means that it hangs. */
const STOP_TIMEOUT_MS = 60_000;
const KILL_TIMEOUT_MS = 10_000;
const EXIT_PATIENCE_MS = 3000;
const PORTS = { from: 20_000, to: 32_000 } as const;

const live = new Set<ChildProcess>();
/** The test process ends and disposed of nothing. First of all listeners: the folders are removed after the servers are gone. */
process.prependOnceListener("exit", () => {
  for (const child of live) child.kill("SIGQUIT");
  const deadline = performance.now() + EXIT_PATIENCE_MS;
  while (performance.now() < deadline && [...live].some(({ pid }) => pid !== undefined && !hasDied(statOf(pid)))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
});

export class Postmaster {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #dataDirectory: string;
  readonly #ended: Promise<void>;

  constructor(child: ChildProcess, pid: number, dataDirectory: string) {
    this.pid = pid;
    this.#child = child;
    this.#dataDirectory = dataDirectory;
    live.add(child);
    this.#ended = new Promise((resolve) => {
      child.once("exit", () => {
        live.delete(child);
        resolve();
      });
    });
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(mode: StopMode): Promise<void> {
    if (this.hasEnded) return;
    this.#child.kill(STOP_SIGNALS[mode]);
    await within(this.#ended, STOP_TIMEOUT_MS, `the server did not stop (${mode})`);
  }

  /**
   * What a power failure does to the processes: postmaster and children die at once, nobody says goodbye.
   * The postmaster is halted first, so that it starts no more children and reaps none: their pids cannot become somebody else's while we kill them.
   */
  async kill9(): Promise<void> {
    if (this.hasEnded) return;
    this.#child.kill("SIGSTOP");
    const children = childrenOf(this.pid);
    for (const pid of children) process.kill(pid, "SIGKILL");
    await within(allDead(children), KILL_TIMEOUT_MS, "children of the server survived SIGKILL");
    this.#child.kill("SIGKILL");
    await within(this.#ended, KILL_TIMEOUT_MS, "the server survived SIGKILL");
  }

  /** A killed server leaves its System V segment, and the next start would remove it. Where there is none, we do. */
  async releaseSharedMemory(): Promise<void> {
    const [, segment] = await sharedMemoryOf(this.#dataDirectory);
    if (!this.hasEnded || segment === undefined) return;
    await promisify(execFile)("ipcrm", ["-m", segment]).catch(() => undefined); // already gone, or no such program: 56 bytes stay behind
  }
}

export async function startPostmaster(options: PostmasterOptions): Promise<Postmaster> {
  await using log = await open(options.logFile, "a");
  const settings = Object.entries(options.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = spawn(options.program, ["-D", options.dataDirectory, ...settings], {
    cwd: options.dataDirectory,
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C", ...options.env },
    stdio: ["ignore", log.fd, log.fd],
    ...asUser(options.owner),
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
  return new Postmaster(child, pid, options.dataDirectory);
}

/**
 * A port that is free at the moment of asking; whoever uses it must be ready to ask again.
 * Below the range that outgoing connections are given, or one of those would take it while the server restarts.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await canListen(port)) return port;
  }
}

async function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

interface ProcessState {
  readonly state: string;
  readonly parent: number;
}

/** `pid (name) state parent …`; the name may hold spaces and brackets. Null: no such process. */
function statOf(pid: number): ProcessState | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state = "", parent] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return null; // ended while we looked
  }
}

/** A dead process stays as a zombie until its parent asks for it. */
function hasDied(process: ProcessState | null): boolean {
  return process === null || process.state === "Z" || process.state === "X";
}

function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => statOf(pid)?.parent === parent);
}

async function allDead(pids: readonly number[]): Promise<void> {
  while (!pids.every((pid) => hasDied(statOf(pid)))) await delay(2);
}

/** Line 7 of postmaster.pid: key and id of the segment. The file is there only after an end without a shutdown. */
async function sharedMemoryOf(dataDirectory: string): Promise<string[]> {
  const file = await readFile(join(dataDirectory, "postmaster.pid"), "utf8").catch(() => "");
  return file.split("\n")[6]?.trim().split(/\s+/) ?? [];
}

async function within(promise: Promise<void>, ms: number, complaint: string): Promise<void> {
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).then(
    () => {
      throw new Error(`${complaint} within ${ms / 1000} s`);
    },
    () => undefined, // aborted: in time
  );
  await Promise.race([promise, late]).finally(() => timer.abort());
}
