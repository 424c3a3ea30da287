import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { eventually } from "./restored.ts";
import { findPostgres } from "./postgres-binaries.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { freePort } from "./postmaster.ts";
import { openSession } from "./session.ts";
import type { Row } from "./session.ts";

const CREATE = "/usr/bin/pg_createcluster";
const DROP = "/usr/bin/pg_dropcluster";
const run = promisify(execFile);

/** A cluster as Debian's own tools make it: data in /var/lib/postgresql, configuration in /etc/postgresql. Dropped when disposed, and when the process ends without. */
export interface DebianCluster extends AsyncDisposable {
  readonly binaries: PostgresBinaries;
  readonly dataDirectory: string;
  readonly configDirectory: string;
  readonly port: number;
  url(database?: string): string;
  sql(text: string): Promise<Row[]>;
}

/** PostgreSQL as Debian's packages install it; or why no cluster can be made here. */
export async function findDebian(): Promise<PostgresBinaries | string> {
  if (process.getuid?.() !== 0) return "only root can make a cluster in Debian's layout";
  const isThere = await access(CREATE).then(
    () => true,
    () => false,
  );
  if (!isThere) return "there is no pg_createcluster here (package postgresql-common)";
  for (const major of [18, 17, 16, 15, 14, 13]) {
    const system = (await findPostgres(major)).find(({ origin, clientTools }) => origin === "system" && clientTools.includes("psql"));
    if (system !== undefined) return system;
  }
  return "no PostgreSQL of Debian's packages is installed";
}

export async function makeDebianCluster(binaries: PostgresBinaries, settings: Readonly<Record<string, string>>): Promise<DebianCluster> {
  const version = String(binaries.major);
  const name = `holdfast_test_${randomBytes(4).toString("hex")}`;
  const drop = (): void => void execFileSync(DROP, ["--stop", version, name], { stdio: "ignore" });
  process.once("exit", drop);
  const dispose = (): void => {
    process.off("exit", drop);
    drop();
  };
  try {
    const port = await freePort();
    const options = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    await run(CREATE, [version, name, "--port", String(port), "--start-conf", "manual", ...options, "--", "--no-sync", "--data-checksums"]);
    const configDirectory = `/etc/postgresql/${version}/${name}`;
    const hba = `${configDirectory}/pg_hba.conf`;
    await writeFile(hba, `host all,replication all 127.0.0.1/32 trust\n${await readFile(hba, "utf8")}`);
    await run("/usr/bin/pg_ctlcluster", [version, name, "start"]);
    const url = (database = "postgres"): string => `postgres://postgres@127.0.0.1:${port}/${database}`;
    const sql = async (text: string): Promise<Row[]> => {
      await using session = await openSession(url());
      return await session.rows(text);
    };
    await eventually("it accepts connections", async () => sql("select 1").then(() => true));
    return { binaries, dataDirectory: `/var/lib/postgresql/${version}/${name}`, configDirectory, port, url, sql, [Symbol.asyncDispose]: async () => dispose() };
  } catch (error) {
    dispose();
    throw error;
  }
}
