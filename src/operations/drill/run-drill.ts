import { randomBytes } from "node:crypto";
import { listHeartbeats } from "../../catalog/observations.ts";
import type { Fallback } from "../../domain/fallback.ts";
import { parseLsn } from "../../domain/lsn.ts";
import { parseRestoreTarget } from "../../domain/restore-target.ts";
import { HoldfastError } from "../../errors.ts";
import { serverUser } from "../../postgres/process.ts";
import type { SourceConfig } from "../../policy/types.ts";
import type { OperationContext } from "../context.ts";
import { CopyView } from "../copy-view.ts";
import { drillByKind, selectByKind } from "./drill-by-kind.ts";
import type { DrillRequest, DrillResult } from "./drill.ts";
import type { DrillSelection } from "./drill-select.ts";
import { byNearness, openReachable, repositoriesOf, runSpec } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordRun } from "../record-run.ts";
import type { RunTrigger } from "../record-run.ts";
import { tellingProgress } from "../run-progress.ts";
import { findSegregation, ofThisMachine } from "./segregation.ts";
import { sweepScratch } from "./sweep-scratch.ts";

export interface DrillOrder extends RunTrigger {
  readonly source: SourceConfig;
  readonly select: DrillSelection;
  /** A target instead of a selection. */
  readonly to: string | null;
  readonly repository: string | null;
  readonly keep: boolean;
}

/** Drills one source by its policy, on record. The seed of the choice is on record before the run. */
export async function runDrill(installation: Installation, order: DrillOrder, context: OperationContext): Promise<DrillResult> {
  const { source } = order;
  const seed = randomBytes(16).toString("hex");
  const spec = {
    ...runSpec(installation.clock, { source, operation: "drill", type: null }, order),
    commitment: { seed, select: order.to === null ? order.select : null, to: order.to },
  };
  return recordRun(installation.journal, spec, async () => {
    await sweepScratch(installation.inventory.scratch.directory);
    const request = await prepare(installation, order, spec.id, seed);
    const result = await drillByKind(request, tellingProgress(installation.catalog, spec.id, context));
    const passed = result.verdict === "pass" || result.verdict === "pass_with_warnings";
    return {
      outcome: passed ? "succeeded" : "failed",
      reason: result.reasons[0] ?? null,
      figures: { ...result, seed },
      retryable: result.verdict === "inconclusive",
      value: result,
    };
  });
}

async function prepare(installation: Installation, order: DrillOrder, id: string, seed: string): Promise<DrillRequest> {
  const { inventory } = installation;
  const { source } = order;
  const { view, passedOver } = await chooseCopy(installation, order);
  const asked = order.to === null ? null : parseRestoreTarget(order.to);
  if (typeof asked === "string") throw new HoldfastError("HF-TARGET", asked, { hint: "latest, 2026-11-21T16:44:54Z, lsn:0/16B3748, name:before-release" });
  const choice = asked === null ? selectByKind(view, order.select, seed, installation.clock.now()) : { target: asked, backup: null };
  return {
    id,
    view,
    passedOver,
    target: choice.target,
    backup: choice.backup,
    scratchDirectory: inventory.scratch.directory,
    binaries: inventory.postgres.binaries,
    runAs: await serverUser(inventory.postgres.runAs),
    maxBytes: inventory.scratch.maxBytes,
    memoryBytes: inventory.scratch.memoryBytes,
    objectives: source.objectives,
    checks: source.policy.drills?.checks ?? [],
    heartbeat: source.heartbeat ? await heartbeatOf(installation, source) : null,
    keep: order.keep,
    segregation: source.kind === "files" ? ofThisMachine("the tree is on this machine") : await findSegregation(await installation.target(source).catch(() => null)),
  };
}

/**
 * The copy that a restore would take: the nearest that can be looked at and holds a backup, with the others behind it for what it cannot give; or the one that was named, which must then stand for
 * itself.
 */
async function chooseCopy(installation: Installation, { source, repository: named }: DrillOrder): Promise<{ view: CopyView; passedOver: readonly Fallback[] }> {
  const names = named === null ? byNearness(installation.inventory, repositoriesOf(source)) : [named];
  const views: CopyView[] = [];
  const { away } = await openReachable(installation, names, async (repository) => {
    const view = await CopyView.open(repository, source.name);
    if (view !== null) views.push(view);
  });
  const inOrder = views.toSorted((a, b) => names.indexOf(a.repository.name) - names.indexOf(b.repository.name));
  const chosen = inOrder.find(({ listing }) => listing.backups.length > 0) ?? inOrder[0];
  if (chosen === undefined) throw new HoldfastError("HF-NO-BACKUP", `${names.join(", ")} holds nothing of ${source.name}`, { hint: "take a backup first: holdfast backup" });
  const passedOver = away.filter(({ name }) => names.indexOf(name) < names.indexOf(chosen.repository.name));
  return {
    view: chosen.withOthers(inOrder),
    passedOver: passedOver.map(({ name, error }) => ({ repository: name, object: "", reason: error.message, servedBy: chosen.repository.name })),
  };
}

const HEARTBEATS_LOOKED_AT = 100_000;

async function heartbeatOf(installation: Installation, source: SourceConfig): Promise<DrillRequest["heartbeat"]> {
  const { url } = await installation.target(source);
  const database = databaseOf(url);
  const beats = listHeartbeats(installation.catalog, source.name, HEARTBEATS_LOOKED_AT);
  return { database, expectedAt: (lsn) => beats.find((beat) => parseLsn(beat.lsn) <= parseLsn(lsn)) ?? null };
}

/** The database an address names; PostgreSQL's default is the user's own, ours is `postgres`. */
function databaseOf(url: string): string {
  const name = decodeURIComponent(/^[a-z]+:\/\/[^/]*\/([^?]*)/.exec(url)?.[1] ?? "");
  return name === "" ? "postgres" : name;
}
