import { spawn } from "node:child_process";
import { readFile, readdir, writeFile } from "node:fs/promises";

/** What one run of a tool cost. */
export interface Cost {
  readonly seconds: number;
  /** Most memory that the tool's processes held together, in bytes; sampled ten times a second. The server's own processes do not count. */
  readonly peakBytes: number;
  /** What its processes read of files and pipes, as far as a look ten times a second tells; divided by what is stored it is how often a restore reads. */
  readonly readBytes: number;
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly as?: { readonly uid: number; readonly gid: number };
  readonly cwd?: string;
}

const SAMPLE_MS = 100;
const ERROR_LINES = 12;

/** Runs a command to its end. Rejects with what it said if it fails. */
export async function measure(command: Command): Promise<Cost> {
  const started = performance.now();
  const user = process.getuid?.() === 0 && command.as !== undefined ? command.as : {};
  const child = spawn(command.file, command.args, { ...user, cwd: command.cwd ?? "/", env: { ...process.env, ...command.env }, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  let peakBytes = 0;
  const read = new Map<number, number>();
  const timer = setInterval(() => {
    if (child.pid !== undefined) void memoryOf(child.pid, read).then((bytes) => (peakBytes = Math.max(peakBytes, bytes)));
  }, SAMPLE_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  clearInterval(timer);
  if (code !== 0) throw new Error(`${command.file} ${command.args.join(" ")} ended with ${code}:\n${said.split("\n").slice(-ERROR_LINES).join("\n")}`);
  return { seconds: (performance.now() - started) / 1000, peakBytes, readBytes: [...read.values()].reduce((sum, bytes) => sum + bytes, 0) };
}

/** Resident memory of a process and all that it started. What each has read so far goes into `read`. */
async function memoryOf(root: number, read: Map<number, number>): Promise<number> {
  const children = new Map<number, number[]>();
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(/^PPid:\s+(\d+)/m.exec(await textOf(`/proc/${pid}/status`))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  let bytes = 0;
  const open = [root];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    const chars = /^rchar:\s+(\d+)/m.exec(await textOf(`/proc/${pid}/io`))?.[1];
    if (chars !== undefined) read.set(pid, Number(chars));
    bytes += Number(/^VmRSS:\s+(\d+) kB/m.exec(await textOf(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
    open.push(...(children.get(pid) ?? []));
  }
  return bytes;
}

/** Processes end while we look. */
async function textOf(file: string): Promise<string> {
  return readFile(file, "utf8").catch(() => "");
}

/** Empties the page cache, so that everything is read from the disk. False where that is not allowed: then runs are warm, and the result says so. */
export async function dropCaches(): Promise<boolean> {
  await measure({ file: "sync", args: [] });
  try {
    await writeFile("/proc/sys/vm/drop_caches", "3");
    return true;
  } catch {
    return false;
  }
}

/** Size of everything below a folder, as files say it. */
export async function bytesBelow(folder: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("du", ["-sb", "--", folder], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(Number.parseInt(said, 10)) : reject(new Error(`du ${folder} ended with ${code}`))));
  });
}
