import { execFile } from "node:child_process";
import { access, constants, realpath, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { asUser, serverUser } from "./server-user.ts";

/**
 * Where tests find PostgreSQL servers. The same tests run on a machine with a full Debian installation, on one where
 * scripts/postgres-tree.sh unpacked a tree, and on one with nothing but npm: what a place offers is looked up, not assumed.
 */
export interface PostgresBinaries {
  readonly major: number;
  /** As `postgres --version` says it: "17.12". The minor matters: some have bugs that we work around. */
  readonly version: string;
  /** The folder with `postgres`, `initdb` and `pg_ctl`. */
  readonly directory: string;
  readonly origin: "environment" | "system" | "cache" | "npm";
  readonly contrib: readonly Contrib[];
  readonly clientTools: readonly ClientTool[];
}

const CONTRIB = ["amcheck", "pageinspect", "pg_visibility", "pg_walinspect"] as const;
const CLIENT_TOOLS = ["psql", "pgbench", "pg_basebackup", "pg_checksums", "pg_combinebackup", "pg_controldata", "pg_dump", "pg_receivewal", "pg_waldump"] as const;
export type Contrib = (typeof CONTRIB)[number];
export type ClientTool = (typeof CLIENT_TOOLS)[number];

const ROOT = join(import.meta.dirname, "..", "..");
const run = promisify(execFile);

/** The tree that scripts/postgres-tree.sh fills for this major. */
export function cacheFolder(major: number): string {
  return join(process.env["HOLDFAST_TEST_CACHE"] ?? join(tmpdir(), "holdfast-test-cache"), `pg${major}`);
}

/** Every place that has this major and works here, the most complete kind first. */
export async function findPostgres(major: number): Promise<PostgresBinaries[]> {
  const found = await Promise.all(places(major).map(async ({ origin, directory }) => inspect(major, origin, directory)));
  return found.filter((binaries) => binaries !== null);
}

/** The best one, or an error that says where it was looked for. */
export async function requirePostgres(major: number): Promise<PostgresBinaries> {
  const [best] = await findPostgres(major);
  if (best === undefined) throw new Error(missing(major));
  return best;
}

export function missing(major: number): string {
  return `no PostgreSQL ${major} that runs here (looked at ${places(major)
    .map((place) => place.directory)
    .join(", ")})`;
}

function places(major: number): { origin: PostgresBinaries["origin"]; directory: string }[] {
  const named = process.env[`TEST_PG_${major}`];
  return [
    ...(named === undefined ? [] : [{ origin: "environment" as const, directory: named }]),
    { origin: "system", directory: `/usr/lib/postgresql/${major}/bin` },
    { origin: "cache", directory: join(cacheFolder(major), "pgbin") },
    { origin: "npm", directory: join(ROOT, "node_modules", `pg${major}-linux-${process.arch}`, "native", "bin") },
  ];
}

async function inspect(major: number, origin: PostgresBinaries["origin"], folder: string): Promise<PostgresBinaries | null> {
  if (!(await isExecutable(join(folder, "postgres"))) || (origin === "cache" && !(await isOurs(folder)))) return null;
  const version = await versionOf(folder);
  if (version === null || Number.parseInt(version, 10) !== major) return null;
  const directory = await realpath(folder);
  return {
    major,
    version,
    directory,
    origin,
    contrib: await contribOf(major, directory),
    clientTools: await keepAsync(CLIENT_TOOLS, async (tool) => isExecutable(join(directory, tool))),
  };
}

/** Asked as the account that will run the server: a tree below /root exists and yet cannot be used. */
async function versionOf(directory: string): Promise<string | null> {
  try {
    const { stdout } = await run(join(directory, "postgres"), ["--version"], { cwd: "/", ...asUser(await serverUser()) });
    return / (\d+[.\w]*)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null; // does not run here, for whatever reason: then it is not a place with PostgreSQL
  }
}

async function contribOf(major: number, directory: string): Promise<Contrib[]> {
  const shares = [join(directory, "..", "share", "postgresql"), join(directory, "..", "..", "..", "..", "share", "postgresql", String(major))];
  return keepAsync(CONTRIB, async (name) => (await Promise.all(shares.map(async (share) => exists(join(share, "extension", `${name}.control`))))).includes(true));
}

/** The cache lies in a folder where others may write: a tree that somebody else put there is not run. */
async function isOurs(folder: string): Promise<boolean> {
  const { uid } = await stat(join(folder, "..", ".."));
  return uid === 0 || uid === process.getuid?.();
}

const isExecutable = async (file: string): Promise<boolean> => exists(file, constants.X_OK);

async function exists(file: string, mode = constants.F_OK): Promise<boolean> {
  return access(file, mode).then(
    () => true,
    () => false,
  );
}

async function keepAsync<T>(values: readonly T[], keep: (value: T) => Promise<boolean>): Promise<T[]> {
  const kept = await Promise.all(values.map(keep));
  return values.filter((_, index) => kept[index] === true);
}
