import { chown, mkdir } from "node:fs/promises";
import path from "node:path";
import type { DrillCheckResult, DrillFault } from "../../domain/drill-verdict.ts";
import { HoldfastError } from "../../errors.ts";
import { requireBinaries, requireClients } from "../../postgres/binaries.ts";
import { makeCluster } from "../../postgres/new-cluster.ts";
import { requireReachable } from "../../postgres/process.ts";
import { startScratchCluster } from "../../postgres/scratch-cluster.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import type { OperationContext } from "../context.ts";
import { loadDumps, planDumpRestore } from "../restore/load-dumps.ts";
import type { DumpPlan } from "../restore/load-dumps.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import { faultOf } from "./drill-faults.ts";
import { runPhases } from "./drill-phases.ts";
import type { Phase } from "./drill-phases.ts";
import { checkRows } from "./rows-check.ts";
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
