import { chown, mkdir } from "node:fs/promises";
import path from "node:path";
import type { DrillCheckResult, DrillFault } from "../../domain/drill-verdict.ts";
import { HoldfastError } from "../../errors.ts";
import { requireBinaries, requireClients } from "../../postgres/binaries.ts";
import { countRows } from "../../postgres/dump.ts";
import { makeCluster } from "../../postgres/new-cluster.ts";
import { requireReachable } from "../../postgres/process.ts";
import { startScratchCluster } from "../../postgres/scratch-cluster.ts";
import type { ScratchCluster } from "../../postgres/scratch-cluster.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import type { OperationContext } from "../context.ts";
import { loadDumps, planDumpRestore } from "../restore/load-dumps.ts";
import type { AboutDumps, DumpPlan } from "../restore/load-dumps.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { faultOf } from "./drill-faults.ts";
import { runPhases } from "./drill-phases.ts";
import type { Phase } from "./drill-phases.ts";
import { runUserChecks } from "./user-checks.ts";

/** Loads dumps into a scratch cluster of our own, counts the rows, asks what the policy asks, and takes it away again. */
export async function drillDumps(request: DrillRequest, context: OperationContext): Promise<DrillResult> {
  const folder = path.join(request.scratchDirectory, request.id);
  return runPhases(
    request,
    folder,
    {
      plan: async () => planDumpRestore(request.view, request),
      prove: async (plan, phase) => prove(plan, request, folder, phase, context),
      faultOf: faultOfLoading,
    },
    context,
  );
}

/** What the machine lacks, not the dump: a locale, an extension, room. */
const OF_THE_MACHINE = /locale|collation .* does not exist|extension ".*" is not available|could not open extension control file|could not access file|No space left/i;

function faultOfLoading(error: unknown): DrillFault {
  return error instanceof HoldfastError && error.code === "HF-SERVER" && OF_THE_MACHINE.test(error.message) ? "environment" : faultOf(error);
}

async function prove(plan: DumpPlan, request: DrillRequest, folder: string, phase: Phase, context: OperationContext): Promise<DrillCheckResult[]> {
  const { about } = plan;
  const major = majorOf(about.version);
  const binaries = await requireBinaries(request.binaries, major);
  const clients = await requireClients(request.binaries, major);
  const dataDirectory = path.join(folder, "data");
  await phase("make", async () => {
    await mkdir(path.dirname(folder), { recursive: true });
    await requireReachable(path.dirname(folder), request.runAs);
    await mkdir(folder, { mode: 0o700 });
    if (request.runAs !== null) await chown(folder, request.runAs.uid, request.runAs.gid);
    await makeCluster(binaries, dataDirectory, about.bootstrapRole, request.runAs);
  });
  await using cluster = await phase("start", async () => {
    const started = await startScratchCluster({
      binaries,
      dataDirectory,
      runAs: request.runAs,
      superuser: about.bootstrapRole,
      clock: context.clock,
      memoryBytes: request.memoryBytes,
    });
    await started.waitUntilPromoted(context.signal);
    return started;
  });
  await phase("restore", async () => loadDumps(plan, { url: cluster.url("postgres"), clients, databases: null }, context));
  // Before the cluster goes.
  return await phase("check", async () => [...(await checkRows(about, cluster, context)), ...(await runUserChecks(request.checks, cluster, context.signal))]);
}

/** Every table has the rows that it had in the snapshot that was dumped. */
async function checkRows({ databases }: AboutDumps, cluster: ScratchCluster, { clock, signal }: OperationContext): Promise<DrillCheckResult[]> {
  const checks: DrillCheckResult[] = [];
  for (const { name, tables } of databases) {
    signal.throwIfAborted();
    await using connection = await cluster.connect(name);
    await connection.client.query("begin isolation level repeatable read read only");
    const found = new Map((await countRows(connection.client, () => clock.monotonicMs())).map((table) => [`${table.schema}.${table.name}`, table.rows]));
    const known = tables.filter(({ rows }) => rows !== null);
    const wrong = known.flatMap(({ schema, name: table, rows }) => {
      const now = found.get(`${schema}.${table}`);
      // Not counted in time is not wrong.
      return now === rows || now === null ? [] : [`${schema}.${table} has ${now ?? "no such table"}, and had ${rows}`];
    });
    const counted = known.filter(({ schema, name: table }) => typeof found.get(`${schema}.${table}`) === "number").length;
    checks.push({
      name: `rows of ${name}`,
      required: true,
      outcome: wrong.length > 0 ? "fail" : "pass",
      detail: wrong.length > 0 ? wrong.slice(0, 3).join("; ") : `${counted} of ${tables.length} tables were counted, and have what they had`,
      fault: "backup",
    });
  }
  return checks;
}
