import path from "node:path";
import { formatLsn } from "../../domain/lsn.ts";
import { HoldfastError } from "../../errors.ts";
import { requireBinaries } from "../../postgres/binaries.ts";
import { connect } from "../../postgres/connection.ts";
import type { Connection } from "../../postgres/connection.ts";
import { runProgram } from "../../postgres/process.ts";
import type { RunAs } from "../../postgres/process.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import type { OperationContext } from "../context.ts";
import { checkReached, readReached } from "./reached.ts";
import type { RestorePlan } from "./plan-restore.ts";

export interface StartRequest {
  readonly plan: RestorePlan;
  readonly target: string;
  readonly binaries: readonly string[];
  readonly runAs: RunAs | null;
  readonly socketDirectory: string;
  readonly port: number;
  readonly promotes: boolean;
}

const START_TIMEOUT_SECONDS = 24 * 3600;
const POLL_MS = 200;
const CANNOT_CONNECT_NOW = "57P03";

/** Starts a restored cluster as its owner would, waits until recovery has ended, and makes sure that it ended where the plan said. The server goes on running. */
export async function startRestored(request: StartRequest, context: OperationContext): Promise<{ reachedLsn: string | null }> {
  await startServer({ ...request, version: request.plan.stored.manifest.postgres.version }, context);
  return { reachedLsn: request.promotes ? await joinRestored(request, context) : null };
}

/** Starts a server on a folder as its owner would. It goes on running. */
export async function startServer(request: Pick<StartRequest, "target" | "runAs" | "binaries"> & { readonly version: number }, context: OperationContext): Promise<void> {
  const { target, runAs } = request;
  const binaries = await requireBinaries(request.binaries, majorOf(request.version));
  const logFile = path.join(target, "holdfast-start.log");
  const result = await runProgram(path.join(binaries.folder, "pg_ctl"), ["-D", target, "-w", "-t", String(START_TIMEOUT_SECONDS), "-l", logFile, "start"], {
    runAs,
    timeoutMs: START_TIMEOUT_SECONDS * 1000,
    cwd: target,
    signal: context.signal,
  });
  if (result.exitCode !== 0) throw new HoldfastError("HF-START", `the restored server did not start: ${lastLine(result.stdout + result.stderr)}`, { hint: `see ${logFile}` });
}

/** The address of a restored server, for one of its databases: as its bootstrap role, by its socket. */
export function restoredUrl(
  { bootstrapRole, socketDirectory, port }: Pick<StartRequest, "socketDirectory" | "port"> & { readonly bootstrapRole: string },
  database: string,
): string {
  return `postgres://${encodeURIComponent(bootstrapRole)}@/${encodeURIComponent(database)}?host=${encodeURIComponent(socketDirectory)}&port=${port}`;
}

/** Waits for a restored server that was started, and makes sure of where its recovery ended. */
export async function joinRestored(request: StartRequest, context: OperationContext): Promise<string | null> {
  return waitAndCheck(restoredUrl({ ...request, bootstrapRole: request.plan.stored.manifest.postgres.bootstrapRole }, "postgres"), request, context);
}

async function waitAndCheck(url: string, { plan }: StartRequest, context: OperationContext): Promise<string | null> {
  for (;;) {
    context.signal.throwIfAborted();
    await using connection = await connectOrWait(url);
    if (connection === null) {
      await context.clock.sleep(POLL_MS, context.signal);
      continue;
    }
    const { rows } = await connection.client.query<{ recovering: boolean }>("select pg_is_in_recovery() as recovering");
    if (rows[0]?.recovering === false) {
      const reached = await readReached(connection.client);
      const wrong = (await checkReached(connection.client, reached, plan.resolved, plan.view.place.segmentBytes)).find((check) => check.required && check.outcome !== "pass");
      if (wrong !== undefined)
        throw new HoldfastError("HF-CHECK", `recovery did not end where it should: ${wrong.detail}`, { hint: "do not use this cluster; run 'holdfast verify'" });
      return formatLsn(plan.resolved.end);
    }
    await context.clock.sleep(POLL_MS, context.signal);
  }
}

/** Null while the server accepts no connections yet. */
async function connectOrWait(url: string): Promise<Connection | null> {
  try {
    return await connect({ url }, { purpose: "restore" });
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (error.facts["code"] === CANNOT_CONNECT_NOW) return null;
    throw new HoldfastError("HF-CONNECT", `the restored server runs, and whether recovery ended where it should could not be looked at: ${error.message}`, {
      hint: "let its bootstrap role in over the local socket (pg_hba.conf), and compare its last transaction with what the restore printed",
      cause: error,
    });
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "no message";
}
