import { chown, readdir, rename, rm, rmdir } from "node:fs/promises";
import path from "node:path";
import { crashPoint } from "../../crash-points.ts";
import { removeTree } from "../../files/remove-tree.ts";
import { requireBinaries, requireClients } from "../../postgres/binaries.ts";
import type { ServerBinaries } from "../../postgres/binaries.ts";
import { connect } from "../../postgres/connection.ts";
import { stopLeftServer } from "../../postgres/left-server.ts";
import { holdsLoaded, makeCluster, noteLoaded, setAddress } from "../../postgres/new-cluster.ts";
import type { ClusterAddress } from "../../postgres/new-cluster.ts";
import { requireReachable } from "../../postgres/process.ts";
import type { RunAs } from "../../postgres/process.ts";
import { startScratchCluster } from "../../postgres/scratch-cluster.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import type { OperationContext } from "../context.ts";
import { INCOMPLETE_MARKER } from "../tree-names.ts";
import { loadDumps } from "./load-dumps.ts";
import type { DumpPlan, LoadedDumps } from "./load-dumps.ts";
import { claimTarget, existingPart, inspectTarget, requireSpace, syncFolder, syncTree } from "./restore-target-folder.ts";

export interface NewCluster {
  /** Absolute; absent, empty, or left by a restore of ours that died. */
  readonly folder: string;
  readonly binaries: readonly string[];
  readonly runAs: RunAs | null;
  /** Null: all. */
  readonly databases: readonly string[] | null;
  /** Where it will be reached; null: where PostgreSQL does by itself. */
  readonly address: ClusterAddress | null;
}

/** Inside the target, while the cluster is made there: until the end nothing in the target itself can be started. */
const MAKING = "holdfast-new-cluster";

/** Makes a cluster of the version of the dumps in a folder and loads them. If that fails, nothing of it is left; killed, it is done again. */
export async function loadIntoNewCluster(plan: DumpPlan, request: NewCluster, context: OperationContext): Promise<LoadedDumps> {
  const { folder, runAs } = request;
  await inspectTarget(folder);
  await requireSpace(folder, plan.bytes);
  const major = majorOf(plan.about.version);
  const server = await requireBinaries(request.binaries, major);
  const clients = await requireClients(request.binaries, major);
  await requireReachable(await existingPart(path.dirname(folder)), runAs);
  const making = path.join(folder, MAKING);
  await stopLeftServer(making);
  await claimTarget(folder, [], { keep: false });
  if (runAs !== null) await chown(folder, runAs.uid, runAs.gid);
  crashPoint("restore.begun");
  try {
    await makeCluster(server, making, plan.about.bootstrapRole, runAs);
    const loaded = await load(plan, request, { server, clients, making }, context);
    if (request.address !== null) await setAddress(making, request.address);
    await noteLoaded(making, plan.stored.manifest.id);
    crashPoint("restore.before-control-file");
    await moveUp(making, folder);
    return loaded;
  } catch (error) {
    await removeTree(folder);
    throw error;
  }
}

/** Whether the folder holds the cluster that this plan makes, whole. What the end of making it may have left beside it goes. */
export async function isLoadedInto(folder: string, plan: DumpPlan): Promise<boolean> {
  if (!(await holdsLoaded(folder, plan.stored.manifest.id))) return false;
  await finish(folder);
  return true;
}

async function load(
  plan: DumpPlan,
  { runAs, databases }: NewCluster,
  { server, clients, making }: { server: ServerBinaries; clients: ServerBinaries; making: string },
  context: OperationContext,
): Promise<LoadedDumps> {
  await using cluster = await startScratchCluster({
    binaries: server,
    dataDirectory: making,
    runAs,
    superuser: plan.about.bootstrapRole,
    clock: context.clock,
    memoryBytes: null,
  });
  await cluster.waitUntilPromoted(context.signal);
  const loaded = await loadDumps(plan, { url: cluster.url("postgres"), clients, databases }, context);
  // It is stopped hard: all of it must be in its files.
  await using connection = await connect({ url: cluster.url("postgres") }, { purpose: "restore" });
  await connection.client.query("checkpoint");
  return loaded;
}

/** The folder with pg_control last: without it, what is there is no cluster. */
async function moveUp(making: string, folder: string): Promise<void> {
  for (const name of await readdir(making)) if (name !== "global") await rename(path.join(making, name), path.join(folder, name));
  await syncTree(folder);
  await rename(path.join(making, "global"), path.join(folder, "global"));
  crashPoint("restore.before-done");
  await finish(folder);
}

async function finish(folder: string): Promise<void> {
  await rmdir(path.join(folder, MAKING)).catch(() => undefined);
  await rm(path.join(folder, INCOMPLETE_MARKER), { force: true });
  await syncFolder(folder);
}
