import path from "node:path";
import { resolveSecret } from "../config.ts";
import type { RestoreTarget } from "../domain/restore-target.ts";
import { HoldfastError } from "../errors.ts";
import type { RestoreRequest } from "../operations/restore/restore.ts";
import { requireSecretRef } from "./passphrase.ts";

interface SpecialOptions {
  readonly delta?: boolean;
  readonly walDir?: string;
  readonly database?: string[];
  readonly standby?: boolean;
  readonly primaryConninfo?: string;
  readonly wal?: "staged" | "on-demand";
  readonly config?: string;
  readonly repository?: string;
  readonly endpoint?: string;
  readonly region?: string;
  readonly key?: string;
  /** A former cluster of the source. */
  readonly cluster?: string | undefined;
}

type SpecialRequest = Required<Pick<RestoreRequest, "walDirectory" | "primaryConninfo" | "databases">>;

/** What is asked of a restore beyond where and to when. Rejects what does not go together. */
export async function specialRequest(options: SpecialOptions, target: RestoreTarget): Promise<SpecialRequest> {
  const { walDir = null, database = null } = options;
  if (options.delta === true && walDir !== null)
    throw refused("--wal-dir and --delta do not go together", "a cluster that is there has its folder for WAL; restore into an empty one");
  if (options.delta === true && database !== null) throw refused("--database and --delta do not go together", "restore single databases into an empty folder");
  if ((options.standby === true) !== (options.primaryConninfo !== undefined))
    throw refused("--standby and --primary-conninfo go together", "--standby --primary-conninfo env:NAME, or file:/path");
  if (options.standby === true && options.wal === "on-demand") throw refused("--standby and --wal on-demand do not go together", "what a standby lacks its primary sends");
  if (options.primaryConninfo === undefined) return { walDirectory: walDir, databases: database, primaryConninfo: null };
  if (target.kind !== "latest") throw refused("a standby has no target of its own: it goes where its primary is", "--to latest");
  if (database !== null) throw refused("--database and --standby do not go together", "a standby holds all that its primary does");
  return { walDirectory: walDir, databases: null, primaryConninfo: await readConninfo(options.primaryConninfo) };
}

/** One line: it goes into a configuration file. What it holds is never repeated. */
async function readConninfo(reference: string): Promise<string> {
  const conninfo = await resolveSecret(requireSecretRef("--primary-conninfo", reference), "how to connect to the primary");
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(conninfo) || !/^(?:postgres(?:ql)?:\/\/|\s*[a-z_]+\s*=)/.test(conninfo))
    throw refused("what --primary-conninfo names is not one line of connection parameters", "for example: host=primary port=5432 user=replicator password=…");
  return conninfo;
}

function refused(message: string, hint: string): HoldfastError {
  return new HoldfastError("HF-USAGE", message, { hint: `${hint}; nothing was touched` });
}

/** How many segments are fetched with each that is asked for. */
const AHEAD = "8";

/** What the restored server runs to fetch WAL: this very program, told where to look as we were. The key is where it is for us: named, never written down. */
export function fetchCommandOf(options: SpecialOptions, source: string, inventory: string | null): string | null {
  if (options.wal !== "on-demand") return null;
  const where: [string, string | null | undefined][] =
    options.repository === undefined
      ? [["--config", inventory === null ? null : path.resolve(inventory)]]
      : [
          ["--repository", options.repository],
          ["--endpoint", options.endpoint],
          ["--region", options.region],
          ["--key", options.key],
        ];
  where.push(["--cluster", options.cluster]);
  const flags = where.flatMap(([flag, value]) => (value === null || value === undefined ? [] : [flag, value]));
  return [process.execPath, path.resolve(process.argv[1] ?? ""), "wal", "get", ...flags, "--ahead", AHEAD, source].map(shellWord).join(" ");
}

/** PostgreSQL gives `%` a meaning, a shell all else. */
function shellWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''").replaceAll("%", "%%")}'`;
}
