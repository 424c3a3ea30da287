import type { BackupType } from "../../domain/backup-id.ts";
import type { RetentionRule } from "../../domain/retention.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import type { SourceConfig } from "../../policy/types.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { byNearness, hasEnded, openReachable, repositoriesOf, runSpec } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordRun } from "../record-run.ts";
import type { RunTrigger } from "../record-run.ts";
import { tellingProgress } from "../run-progress.ts";
import { copySource, findCopyWork } from "./copy-source.ts";
import type { CopyRequest, CopyResult, CopyWork } from "./copy-source.ts";

export interface CopyOrder extends RunTrigger {
  readonly source: SourceConfig;
  readonly from: string;
  readonly to: string;
  readonly backup: string | null;
  /** Whether the log is copied too; null: as the policy has it there, and all of it where everything is copied by hand. */
  readonly log: boolean | null;
}

/** Copies a source from one repository into another, on record. */
export async function runCopy(installation: Installation, order: CopyOrder, context: OperationContext): Promise<CopyResult> {
  const { source } = order;
  if (order.from === order.to) throw new HoldfastError("HF-USAGE", "--from and --to are the same repository");
  const [from, to] = [await installation.repository(order.from), await installation.repository(order.to)];
  const spec = runSpec(installation.clock, { source, operation: "copy", type: null }, order);
  const log = order.log ?? order.backup === null;
  return recordRun(installation.journal, spec, async () => {
    const request = { ...requestFor(installation, source, from, to, spec.id), backup: order.backup, log, types: null };
    const work = await findCopyWork(request, installation.clock.now());
    if (work === null) throw new HoldfastError("HF-NO-BACKUP", `${from.name} holds nothing of ${source.name}`, { hint: "see 'holdfast info'" });
    return conclude(await copySource(request, work, tellingProgress(installation.catalog, spec.id, context)), to);
  });
}

/**
 * Brings every repository that the policy names up to date with what the others hold, nearest first. On record only where there is something to copy. Rejects when a repository could not be
 * looked at, or something could not be copied: so that whoever calls comes again, later.
 */
export async function runCatchUp(installation: Installation, { source, ...trigger }: { source: SourceConfig } & RunTrigger, context: OperationContext): Promise<CopyResult[]> {
  const names = byNearness(installation.inventory, repositoriesOf(source));
  const { repositories, away } = await openReachable(installation, names, (repository) => repository.store.listNames(""));
  const results: CopyResult[] = [];
  let failure = away[0]?.error ?? null;
  for (const to of repositories)
    for (const from of repositories.filter((other) => other !== to && other.keyRing.canOpenData)) {
      try {
        const result = await catchUp(installation, source, from, to, trigger, context);
        if (result !== null) results.push(result);
      } catch (error) {
        context.signal.throwIfAborted();
        if (!(error instanceof HoldfastError)) throw error;
        context.onNotice(`${to.name} cannot be brought up to date from ${from.name}: ${messageOf(error)}`);
        failure ??= error;
      }
    }
  if (failure !== null) throw failure;
  return results;
}

/** Null where there is nothing to do. */
async function catchUp(
  installation: Installation,
  source: SourceConfig,
  from: WritableRepository,
  to: WritableRepository,
  trigger: RunTrigger,
  context: OperationContext,
): Promise<CopyResult | null> {
  const spec = runSpec(installation.clock, { source, operation: "copy", type: null }, trigger);
  const { policy } = source;
  const types = new Set([...policy.backups].filter(([, rule]) => rule.repositories.includes(to.name)).map(([type]) => type));
  const log = policy.log?.repositories ?? [];
  const request: CopyRequest = { ...requestFor(installation, source, from, to, spec.id), backup: null, log: log.includes(to.name) && log.includes(from.name), types };
  const work = await findCopyWork(request, installation.clock.now());
  if (work === null || !isWorth(work)) return null;
  const told = tellingProgress(installation.catalog, spec.id, context);
  return recordRun(installation.journal, spec, async () => conclude(await copySource(request, work, told), to));
}

function isWorth({ plan, walSegments }: CopyWork): boolean {
  return plan.copy.length > 0 || walSegments > 0;
}

function requestFor(
  installation: Installation,
  { name, policy }: SourceConfig,
  from: WritableRepository,
  to: WritableRepository,
  runId: string,
): Pick<CopyRequest, "source" | "from" | "to" | "rules" | "runId" | "hasEnded"> {
  const rules = new Map<BackupType, RetentionRule>([...policy.backups].filter(([, rule]) => rule.repositories.includes(to.name)).map(([type, rule]) => [type, rule.retention]));
  return { source: name, from, to, rules, runId, hasEnded: (run) => hasEnded(installation, run) };
}

function conclude(result: CopyResult, to: WritableRepository): Awaited<ReturnType<Parameters<typeof recordRun<CopyResult>>[2]>> {
  const { backups, refused } = result;
  return {
    outcome: refused.length === 0 ? "succeeded" : "failed",
    reason: refused.length === 0 ? null : `not copied: ${refused.map(({ id, reason }) => `${id} (${reason})`).join(", ")}`,
    figures: result,
    made: backups.map(({ id, sha256 }) => ({ repository: to.name, repositoryId: to.repositoryId, backup: id, sha256 })),
    subject: backups.map(({ id, sha256 }) => ({ name: `manifest ${id}`, digest: { sha256 } })),
    value: result,
  };
}
