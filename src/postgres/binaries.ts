import { glob, stat } from "node:fs/promises";
import path from "node:path";
import { HoldfastError } from "../errors.ts";
import { runProgram } from "./process.ts";

/** PostgreSQL's programs of one version. */
export interface ServerBinaries {
  readonly folder: string;
  /** As `server_version_num` counts: 150020 is 15.20. */
  readonly version: number;
}

/** Where distributions put them. Patterns of the inventory are looked at first. */
const USUAL_PLACES = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/bin"];

/** The newest minor of a major version among the given places. Null where there is none. */
export async function findBinaries(patterns: readonly string[], major: number): Promise<ServerBinaries | null> {
  const found = (await listBinaries(patterns)).filter((binaries) => Math.floor(binaries.version / 10_000) === major);
  return found.toSorted((a, b) => b.version - a.version)[0] ?? null;
}

export async function requireBinaries(patterns: readonly string[], major: number): Promise<ServerBinaries> {
  const binaries = await findBinaries(patterns, major);
  if (binaries !== null) return binaries;
  throw new HoldfastError("HF-BINARIES", `no PostgreSQL ${major} is installed here`, {
    hint: `install it, or name its folder in 'postgres.binaries' (looked in ${[...patterns, ...USUAL_PLACES].join(", ")})`,
    facts: { major },
  });
}

/** PostgreSQL's client programs (`pg_dump` and its like) of a major version; a server need not be there. */
export async function requireClients(patterns: readonly string[], major: number): Promise<ServerBinaries> {
  const found = (await listBinaries(patterns, "pg_dump")).filter((binaries) => Math.floor(binaries.version / 10_000) === major);
  const newest = found.toSorted((a, b) => b.version - a.version)[0];
  if (newest !== undefined) return newest;
  throw new HoldfastError("HF-BINARIES", `no pg_dump of PostgreSQL ${major} is installed here`, {
    hint: `install the client of that version, or name its folder in 'postgres.binaries' (looked in ${[...patterns, ...USUAL_PLACES].join(", ")})`,
    facts: { major },
  });
}

async function listBinaries(patterns: readonly string[], program = "postgres"): Promise<ServerBinaries[]> {
  const folders = new Set<string>();
  for (const pattern of [...patterns, ...USUAL_PLACES]) for await (const folder of glob(pattern)) folders.add(path.resolve(folder));
  const found: ServerBinaries[] = [];
  for (const folder of folders) {
    if ((await stat(path.join(folder, program)).catch(() => null)) === null) continue;
    const version = await versionOf(folder, program);
    if (version !== null) found.push({ folder, version });
  }
  return found;
}

async function versionOf(folder: string, program: string): Promise<number | null> {
  const { stdout, exitCode } = await runProgram(path.join(folder, program), ["--version"], { timeoutMs: 10_000 });
  const match = /\b(\d+)(?:\.(\d+))?/.exec(stdout);
  return exitCode !== 0 || match?.[1] === undefined ? null : Number(match[1]) * 10_000 + Number(match[2] ?? 0);
}
