import { chown, mkdir } from "node:fs/promises";
import path from "node:path";
import { HoldfastError } from "../../errors.ts";
import { removeTree } from "../../files/remove-tree.ts";
import { requireBinaries, requireClients } from "../../postgres/binaries.ts";
import { connect } from "../../postgres/connection.ts";
import { makeCluster } from "../../postgres/new-cluster.ts";
import { requireReachable } from "../../postgres/process.ts";
import type { RunAs } from "../../postgres/process.ts";
import { startScratchCluster } from "../../postgres/scratch-cluster.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import type { OperationContext } from "../context.ts";
import { loadDumps } from "./load-dumps.ts";
import type { DumpPlan, LoadedDumps } from "./load-dumps.ts";
import { existingPart, inspectTarget, requireSpace } from "./restore-target-folder.ts";

interface NewCluster {
  /** Absolute; absent, or empty. */
  readonly folder: string;
  readonly binaries: readonly string[];
  readonly runAs: RunAs | null;
  /** Null: all. */
  readonly databases: readonly string[] | null;
}

/** Makes a cluster of the version of the dumps in a folder and loads them. If that fails, nothing of it is left. */
export async function loadIntoNewCluster(plan: DumpPlan, { folder, binaries, runAs, databases }: NewCluster, context: OperationContext): Promise<LoadedDumps> {
  const { about } = plan;
  if ((await inspectTarget(folder)) === "unfinished")
    throw new HoldfastError("HF-TARGET-NOT-EMPTY", `${folder} holds a restore that was not finished`, { hint: "choose another folder, or remove it" });
  await requireSpace(folder, plan.bytes);
  const major = majorOf(about.version);
  const server = await requireBinaries(binaries, major);
  const clients = await requireClients(binaries, major);
  await requireReachable(await existingPart(path.dirname(folder)), runAs);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (runAs !== null) await chown(folder, runAs.uid, runAs.gid);
  try {
    await makeCluster(server, folder, about.bootstrapRole, runAs);
    await using cluster = await startScratchCluster({ binaries: server, dataDirectory: folder, runAs, superuser: about.bootstrapRole, clock: context.clock, memoryBytes: null });
    await cluster.waitUntilPromoted(context.signal);
    const loaded = await loadDumps(plan, { url: cluster.url("postgres"), clients, databases }, context);
    // It is stopped hard: all of it must be in its files.
    await using connection = await connect({ url: cluster.url("postgres") }, { purpose: "restore" });
    await connection.client.query("checkpoint");
    return loaded;
  } catch (error) {
    await removeTree(folder);
    throw error;
  }
}
