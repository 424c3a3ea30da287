/**
 * Loaded into a command (`--import`): writes the most memory that the process ever held, in KiB, and the seconds of processor time it took, where PEAK_MEMORY_FILE says, when it ends. Memory as Linux counts
 * it for this program alone: what `getrusage` says includes the process that started it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const file = process.env["PEAK_MEMORY_FILE"];
if (isMainThread && file !== undefined)
  process.on("exit", () => {
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    const { user, system } = process.cpuUsage();
    writeFileSync(file, `${peak ?? ""}\n${((user + system) / 1e6).toFixed(1)}\n`);
  });
