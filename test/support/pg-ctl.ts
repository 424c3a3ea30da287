import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "./restored.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { asUser } from "./server-user.ts";
import { openSession } from "./session.ts";
import type { Session } from "./session.ts";

/** A server that was started as a person does it: `pg_ctl start`, nothing on the command line but the folder, as the account that owns it. Stopped when disposed. */
export interface PlainServer extends AsyncDisposable {
  connect(database?: string): Promise<Session>;
  url(database?: string): string;
  restart(): Promise<void>;
}

async function runPgCtl(binaries: PostgresBinaries, dataDirectory: string, ...args: string[]): Promise<void> {
  const options = { cwd: "/", env: { PATH: "/usr/bin:/bin", LC_ALL: "C" }, ...asUser(await stat(dataDirectory)) };
  await promisify(execFile)(join(binaries.directory, "pg_ctl"), ["-D", dataDirectory, "-w", ...args], options);
}

/** Stops what the product left running on a folder, if that is there and anything is. */
export async function stopLeft(binaries: PostgresBinaries, dataDirectory: string): Promise<void> {
  await runPgCtl(binaries, dataDirectory, "-m", "immediate", "stop").catch(() => undefined);
}

export async function startPlainly(binaries: PostgresBinaries, dataDirectory: string, port: number): Promise<PlainServer> {
  const pgCtl = async (...args: string[]): Promise<void> => runPgCtl(binaries, dataDirectory, ...args);
  const start = async (how: "start" | "restart"): Promise<void> => pgCtl("-l", join(dataDirectory, "started.log"), how);
  await start("start");
  const url = (database = "postgres"): string => `postgres://postgres@127.0.0.1:${port}/${database}`;
  return {
    url,
    connect: async (database) => openSession(url(database)),
    restart: async () => start("restart"),
    [Symbol.asyncDispose]: async () => pgCtl("-m", "immediate", "stop"),
  };
}

/** Waits until a server that was just started writes; returns the timeline it writes on. */
export async function timelineAfterRecovery(server: PlainServer): Promise<number> {
  await using session = await server.connect();
  await eventually("recovery has ended", async () => (await session.value("select pg_is_in_recovery()")) === "f");
  return Number.parseInt((await session.value("select pg_walfile_name(pg_current_wal_lsn())")).slice(0, 8), 16);
}
