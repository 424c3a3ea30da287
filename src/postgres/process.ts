import type { ChildProcess } from "node:child_process";
import { stat } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import type { Options } from "execa";
import { codeOf, HoldfastError, messageOf } from "../errors.ts";

/** The one place that runs other programs: argument lists, never a shell; bounded output; time limits; as another user where that is needed. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

export interface ProgramResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface ProgramOptions {
  readonly runAs?: RunAs | null;
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Nothing of our own environment, which may hold secrets. */
  readonly cleanEnv?: boolean;
  readonly signal?: AbortSignal;
}

const MAX_OUTPUT_BYTES = 4 << 20;
const KILL_AFTER_MS = 5000;
/** What it wrote before it ended arrives within this time. */
const REST_OF_OUTPUT_MS = 1000;

export async function runProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  const settings: Options = {
    reject: false,
    stdin: "ignore",
    timeout: options.timeoutMs,
    forceKillAfterDelay: KILL_AFTER_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    cwd: options.cwd ?? "/",
    env: { LC_ALL: "C", ...options.env },
    extendEnv: options.cleanEnv !== true,
    ...userOf(options.runAs ?? null),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  };
  const child = execa(program, [...args], settings);
  leaveItsChildren(child.nodeChildProcess);
  const result = await child;
  if (result.code === "ENOENT" || result.code === "EACCES")
    throw new HoldfastError("HF-BINARIES", `cannot run ${program}: ${result.code}`, { hint: "check 'postgres.binaries' in the inventory" });
  return { exitCode: result.exitCode ?? null, stdout: String(result.stdout ?? ""), stderr: String(result.stderr ?? ""), timedOut: result.timedOut };
}

/** What a program left running holds its output open: it is not waited for. */
function leaveItsChildren(child: ChildProcess): void {
  child.once("exit", () => {
    setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, REST_OF_OUTPUT_MS).unref();
  });
}

function userOf(runAs: RunAs | null): { uid?: number; gid?: number } {
  return runAs === null ? {} : { uid: runAs.uid, gid: runAs.gid };
}

/** A program that goes on running: a server of ours. */
export interface RunningProgram {
  readonly pid: number;
  /** Null while it runs. */
  exit(): { code: number | null; signal: string | null } | null;
  readonly ended: Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** Where `restore_command` finds `cp`. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export function startProgram(
  program: string,
  args: readonly string[],
  options: { runAs: RunAs | null; cwd: string; logFile: string; env?: Readonly<Record<string, string>> },
): RunningProgram {
  const child = execa(program, [...args], {
    reject: false,
    cleanup: true,
    buffer: false,
    stdin: "ignore",
    stdout: { file: options.logFile, append: true },
    stderr: { file: options.logFile, append: true },
    cwd: options.cwd,
    // A server of ours runs what others stored: of our environment, which may hold secrets, it gets nothing.
    env: { PATH: SYSTEM_PATH, LC_ALL: "C", ...options.env },
    extendEnv: false,
    ...userOf(options.runAs),
  });
  let exit: { code: number | null; signal: string | null } | null = null;
  const ended = child.then(
    (result) => {
      exit = { code: result.exitCode ?? null, signal: result.signal ?? null };
    },
    (error: unknown) => {
      throw new HoldfastError("HF-BINARIES", `cannot run ${program}: ${messageOf(error)}`);
    },
  );
  if (child.pid === undefined)
    throw new HoldfastError("HF-BINARIES", `cannot run ${program}`, { hint: "check 'postgres.binaries' in the inventory, and that the user it runs as may read it" });
  return { pid: child.pid, exit: () => exit, ended, signal: (name) => void child.kill(name) };
}

/** What both ends of a pipe to a program share. */
interface PipeOptions {
  readonly runAs?: RunAs | null;
  /** Secrets go here, and never into the arguments. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** What a program writes, piece by piece. Rejects, with the end of what it complained of, if it does not end well. */
export async function* readProgram(program: string, args: readonly string[], options: PipeOptions): AsyncGenerator<Buffer> {
  const child = execa(program, [...args], { ...pipe(options), stdin: "ignore", stdout: "pipe" });
  for await (const piece of child.iterable({ from: "stdout", binary: true, preserveNewlines: true })) yield Buffer.from(piece);
  requireEnd(program, await child);
}

/**
 * Hands a program what it reads, piece by piece. One that has read enough, and ends well, is not made to read the rest. Returns what it wrote, and what it complained of. Rejects with why there was
 * no more to read, if that is so: whatever it complains of then comes of that.
 */
export async function feedProgram(
  program: string,
  args: readonly string[],
  input: AsyncIterable<Buffer>,
  options: PipeOptions & { readonly mayFail?: boolean },
): Promise<Pick<ProgramResult, "exitCode" | "stdout" | "stderr">> {
  const child = execa(program, [...args], { ...pipe(options), stdin: "pipe", stdout: "pipe", buffer: true });
  let broken: { readonly error: unknown } | null = null;
  const watched = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* input;
    } catch (error) {
      broken = { error };
      throw error;
    }
  };
  const feeding = pipeline(watched(), child.stdin).catch((error: unknown) => {
    if (codeOf(error) !== "EPIPE" && codeOf(error) !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  });
  feeding.catch(() => undefined);
  const result = await child;
  throwIf(broken);
  if (options.mayFail !== true) requireEnd(program, result);
  await feeding;
  return { exitCode: result.exitCode ?? null, stdout: String(result.stdout), stderr: String(result.stderr) };
}

function throwIf(broken: { readonly error: unknown } | null): void {
  if (broken !== null) throw broken.error;
}

function pipe(options: PipeOptions): Options & { reject: false; buffer: { stdout: false; stderr: true } } {
  return {
    reject: false,
    cancelSignal: options.signal,
    forceKillAfterDelay: KILL_AFTER_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    stderr: "pipe",
    buffer: { stdout: false, stderr: true },
    cwd: "/",
    env: { LC_ALL: "C", ...options.env },
    ...userOf(options.runAs ?? null),
  };
}

function requireEnd(program: string, result: { readonly exitCode?: number | undefined; readonly code?: string | undefined; readonly stderr?: unknown }): void {
  const stderr = typeof result.stderr === "string" ? result.stderr : "";
  if (result.code === "ENOENT" || result.code === "EACCES")
    throw new HoldfastError("HF-BINARIES", `cannot run ${program}: ${result.code}`, { hint: "check 'postgres.binaries' in the inventory" });
  if (result.exitCode === 0) return;
  const complaint = stderr.trim().split("\n").slice(-3).join(" ");
  throw new HoldfastError("HF-SERVER", `${path.basename(program)} ended with ${result.exitCode ?? "a signal"}: ${complaint}`, {
    facts: { program: path.basename(program), stderr: complaint },
  });
}

/** Ids of an operating-system user, or null where there is none of that name. */
export async function findUser(name: string): Promise<RunAs | null> {
  const [uid, gid] = await Promise.all([runProgram("id", ["-u", name], { timeoutMs: 5000 }), runProgram("id", ["-g", name], { timeoutMs: 5000 })]);
  if (uid.exitCode !== 0 || gid.exitCode !== 0) return null;
  return { uid: Number(uid.stdout.trim()), gid: Number(gid.stdout.trim()) };
}

/** The name of an operating-system user, or null where it has none. */
export async function findUserName(uid: number): Promise<string | null> {
  const { exitCode, stdout } = await runProgram("id", ["-nu", String(uid)], { timeoutMs: 5000 });
  return exitCode === 0 && stdout.trim() !== "" ? stdout.trim() : null;
}

/** PostgreSQL refuses to run as root: as root its programs run as the configured user, or `postgres`, or `nobody`. Null: as ourselves. */
export async function serverUser(configured: string | null): Promise<RunAs | null> {
  if (process.getuid?.() !== 0) return null;
  for (const name of configured === null ? ["postgres", "nobody"] : [configured]) {
    const user = await findUser(name);
    if (user !== null && user.uid !== 0) return user;
  }
  throw new HoldfastError("HF-CONFIG", `there is no user ${configured ?? "postgres"} to run PostgreSQL as`, {
    hint: "name one in 'postgres.runAs'; PostgreSQL refuses to run as root",
  });
}

/** Rejects if another user could not get to a folder: some folder on the way (a home of root, say) is closed to it. */
export async function requireReachable(folder: string, runAs: RunAs | null): Promise<void> {
  if (runAs === null) return;
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const { mode, uid, gid } = await stat(at);
    const bit = uid === runAs.uid ? 0o100 : gid === runAs.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0)
      throw new HoldfastError("HF-CONFIG", `the user that runs PostgreSQL (uid ${runAs.uid}) cannot get to ${folder}: ${at} is closed to it`, {
        hint: "choose a folder that it can reach, or open that one for passing through: chmod o+x",
      });
    if (at === path.dirname(at)) return;
  }
}
