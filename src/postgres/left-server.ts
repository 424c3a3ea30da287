import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 50;

/** Whether a server runs on a data directory, by its pid file and the process it names; its process id, or null. */
export async function serverOn(dataDirectory: string): Promise<number | null> {
  const [pid = ""] = (await readFile(path.join(dataDirectory, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  return /^\d+$/.test(pid) && (await runsOn(Number(pid), dataDirectory)) ? Number(pid) : null;
}

/** Stops a scratch server whose Holdfast died, and waits until it is gone: what is in its folder is thrown away. Only a server on this very folder is ever signalled. */
export async function stopLeftServer(dataDirectory: string): Promise<void> {
  const pid = await serverOn(dataDirectory);
  if (pid === null) return;
  process.kill(pid, "SIGQUIT");
  for (let waitedMs = 0; (await runsOn(pid, dataDirectory)) && waitedMs < STOP_TIMEOUT_MS; waitedMs += POLL_MS) await delay(POLL_MS);
  if (await runsOn(pid, dataDirectory)) process.kill(pid, "SIGKILL");
}

async function runsOn(pid: number, dataDirectory: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return command.split("\0").includes(dataDirectory);
}
