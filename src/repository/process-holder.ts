import { readFileSync, readlinkSync } from "node:fs";
import { z } from "zod";

/** Who a lease belongs to, precisely enough that a process of the same machine can tell whether the holder still lives. */
export const holderSchema = z.object({
  host: z.string(),
  bootId: z.string().nullable(),
  pidNamespace: z.string().nullable(),
  pid: z.number(),
  /** Clock ticks after boot at which the process started: process ids are used again. */
  startTicks: z.string().nullable(),
});
export type Holder = z.infer<typeof holderSchema>;

export function thisProcess(host: string): Holder {
  return { host, bootId: readText("/proc/sys/kernel/random/boot_id"), pidNamespace: readLink("/proc/self/ns/pid"), pid: process.pid, startTicks: startTicks(process.pid) };
}

/** True only where it is certain: same boot, same process namespace, and no process of that id and start. */
export function isCertainlyDead(holder: Holder): boolean {
  const me = thisProcess(holder.host);
  const sameMachine = holder.bootId !== null && holder.bootId === me.bootId && holder.pidNamespace !== null && holder.pidNamespace === me.pidNamespace;
  return sameMachine && holder.startTicks !== null && startTicks(holder.pid) !== holder.startTicks;
}

export function isThisProcess(holder: Holder): boolean {
  const me = thisProcess(holder.host);
  return holder.pid === me.pid && holder.bootId === me.bootId && holder.pidNamespace === me.pidNamespace && holder.startTicks === me.startTicks;
}

/** Field 22 of /proc/PID/stat; the name before it may hold anything, so count from its closing bracket. Null where there is no such process (or no /proc). */
function startTicks(pid: number): string | null {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, ticks] = [fields[0], fields[19]];
  return ticks === undefined || state === "Z" || state === "X" ? null : ticks;
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return null;
  }
}

function readLink(file: string): string | null {
  try {
    return readlinkSync(file);
  } catch {
    return null;
  }
}
