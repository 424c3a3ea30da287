import path from "node:path";
import { HoldfastError } from "../errors.ts";
import type { ServerBinaries } from "./binaries.ts";
import { runProgram } from "./process.ts";
import type { RunAs } from "./process.ts";

const INITDB_TIMEOUT_MS = 5 * 60_000;

/** An empty cluster in a folder, for dumps to be loaded into: over sockets only the user of the system, over the network only with a password. */
export async function makeCluster(binaries: ServerBinaries, folder: string, superuser: string, runAs: RunAs | null): Promise<void> {
  const args = ["-D", folder, "-U", superuser, "--encoding=UTF8", "--locale=C", "--auth-local=peer", "--auth-host=scram-sha-256"];
  const { exitCode, stderr, timedOut } = await runProgram(path.join(binaries.folder, "initdb"), args, { runAs, timeoutMs: INITDB_TIMEOUT_MS });
  if (timedOut) throw new HoldfastError("HF-TIMEOUT", `initdb took longer than ${INITDB_TIMEOUT_MS / 1000} s`);
  if (exitCode !== 0)
    throw new HoldfastError("HF-STORAGE", `initdb failed: ${stderr.trim().slice(-300)}`, { hint: "is there room, and may the user that runs PostgreSQL write there?" });
}
