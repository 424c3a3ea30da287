import { appendFile, chown, readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import path from "node:path";
import { HoldfastError } from "../errors.ts";
import type { ServerBinaries } from "./binaries.ts";
import { findUserName, runProgram } from "./process.ts";
import type { RunAs } from "./process.ts";

const INITDB_TIMEOUT_MS = 5 * 60_000;

/** An empty cluster in a folder, for dumps to be loaded into: over sockets only users of the system as who they are, its owner and root also as its superuser; over the network only with a password. */
export async function makeCluster(binaries: ServerBinaries, folder: string, superuser: string, runAs: RunAs | null): Promise<void> {
  const args = ["-D", folder, "-U", superuser, "--encoding=UTF8", "--locale=C", "--auth-local=peer", "--auth-host=scram-sha-256"];
  const { exitCode, stderr, timedOut } = await runProgram(path.join(binaries.folder, "initdb"), args, { runAs, timeoutMs: INITDB_TIMEOUT_MS });
  if (timedOut) throw new HoldfastError("HF-TIMEOUT", `initdb took longer than ${INITDB_TIMEOUT_MS / 1000} s`);
  if (exitCode !== 0)
    throw new HoldfastError("HF-STORAGE", `initdb failed: ${stderr.trim().slice(-300)}`, { hint: "is there room, and may the user that runs PostgreSQL write there?" });
  const owner = runAs === null ? userInfo().username : await findUserName(runAs.uid);
  await writeOwned(path.join(folder, "pg_hba.conf"), HBA, runAs);
  await writeOwned(path.join(folder, "pg_ident.conf"), identOf([...new Set(["root", ...(owner === null ? [] : [owner])])], superuser), runAs);
}

const HBA = `# Written by holdfast. Over sockets users of the system come in as who they are, the owner of the cluster and root also as its superuser (pg_ident.conf).
local all all peer map=holdfast
local replication all peer map=holdfast
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
`;

/** A name that is nothing but a name. Whoever has another is told by the server that he does not come in. */
const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_.$-]*$/;

function identOf(owners: readonly string[], superuser: string): string {
  const lines = owners.filter((name) => PLAIN_NAME.test(name) && PLAIN_NAME.test(superuser)).map((name) => `holdfast "${name}" "${superuser}"`);
  return ["# Written by holdfast.", "holdfast /^(.*)$ \\1", ...lines, ""].join("\n");
}

/** Where a new cluster is reached, kept with it. */
export interface ClusterAddress {
  readonly port: number;
  readonly socketDirectory: string;
}

export async function setAddress(folder: string, { port, socketDirectory }: ClusterAddress): Promise<void> {
  const directory = socketDirectory.replaceAll("'", "''").replaceAll("\\", "\\\\");
  await appendFile(path.join(folder, "postgresql.conf"), `\n# Written by holdfast.\nport = ${port}\nunix_socket_directories = '${directory}'\n`);
}

/** Says in a cluster what was loaded into it, where nothing else is told by it: whoever comes after us knows that it is whole. */
export async function noteLoaded(folder: string, backup: string): Promise<void> {
  await appendFile(path.join(folder, "postgresql.auto.conf"), loadedLine(backup));
}

/** Whether a folder holds a whole cluster that a backup was loaded into. */
export async function holdsLoaded(folder: string, backup: string): Promise<boolean> {
  const [control, settings] = await Promise.all(["global/pg_control", "postgresql.auto.conf"].map(async (name) => readFile(path.join(folder, name), "latin1").catch(() => null)));
  return control !== null && control !== undefined && (settings ?? "").includes(loadedLine(backup));
}

function loadedLine(backup: string): string {
  return `# Loaded by holdfast: ${backup}\n`;
}

async function writeOwned(file: string, text: string, runAs: RunAs | null): Promise<void> {
  await writeFile(file, text);
  if (runAs !== null) await chown(file, runAs.uid, runAs.gid);
}
