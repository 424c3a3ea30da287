import type { DrillCheckResult } from "../domain/drill-verdict.ts";
import { checkCatalog } from "../operations/drill/catalog-check.ts";
import { listDatabases } from "../operations/drill/drill-checks.ts";
import { runUserChecks } from "../operations/drill/user-checks.ts";
import type { UserCheck } from "../operations/drill/user-checks.ts";
import { connect } from "../postgres/connection.ts";
import type { ScratchCluster } from "../postgres/scratch-cluster.ts";

/** A server that something was brought back in, and that people are about to work with. */
export type RecoveredServer = Pick<ScratchCluster, "connect" | "url">;

export function reachedBy(url: (database: string) => string): RecoveredServer {
  return { url, connect: async (database) => connect({ url: url(database) }, { purpose: "recovery" }) };
}

/** What its databases say of themselves, and the policy's SQL. Looks, and changes nothing. */
export async function checkDatabases(server: RecoveredServer, checks: readonly UserCheck[], signal: AbortSignal): Promise<DrillCheckResult[]> {
  const found: DrillCheckResult[] = [];
  for (const database of await listDatabases(server)) {
    await using connection = await server.connect(database);
    found.push(await checkCatalog(connection.client, database));
  }
  const ofPolicy = checks.filter(({ kind }) => kind === "sql");
  return [...found, ...(await runUserChecks(ofPolicy, server, signal))];
}

/** Whether it can be worked with: by us, and by what the policy has of programs. */
export async function checkWritable(server: RecoveredServer, checks: readonly UserCheck[], signal: AbortSignal): Promise<DrillCheckResult[]> {
  await using connection = await server.connect("postgres");
  const { rows } = await connection.client.query<{ writable: boolean }>("select not pg_is_in_recovery() as writable");
  const writable = rows[0]?.writable === true;
  const detail = writable ? "it accepts connections and writes" : "it only reads";
  const ofPolicy = checks.filter(({ kind }) => kind === "command");
  return [{ name: "connection", required: true, outcome: writable ? "pass" : "fail", detail, fault: "environment" }, ...(await runUserChecks(ofPolicy, server, signal))];
}
