import type { BackupType } from "../../domain/backup-id.ts";
import type { BackupView } from "../../domain/source-info.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import type { SourceConfig } from "../../policy/types.ts";
import { backUp } from "./back-up.ts";
import type { BackUpResult } from "./backup-types.ts";
import type { OperationContext } from "../context.ts";
import { describeBackup } from "./describe-backup.ts";
import { withHooks } from "./hooked-backup.ts";
import { hasEnded, isOfOneCopy, openReachable, runSpec } from "../installation.ts";
import type { Installation, Opened } from "../installation.ts";
import { recordRun } from "../record-run.ts";
import type { RunConclusion, RunTrigger } from "../record-run.ts";
import { tellingProgress } from "../run-progress.ts";

/** zstd level of backups: at 1 it is twice as fast as at 3, and stores 3 % more. */
const COMPRESSION_LEVEL = 1;

/** Takes one backup by the policy of its source, on record. Rejects if no copy could be made. */
export async function runBackup(
  installation: Installation,
  request: { source: SourceConfig; type: BackupType; wait?: boolean } & RunTrigger,
  context: OperationContext,
): Promise<BackupView> {
  const { source, type } = request;
  const rule = source.policy.backups.get(type) ?? source.policy.backups.get("full");
  if (rule === undefined) throw new HoldfastError("HF-CONFIG", `the policy ${source.policy.name} has no full backup`, { hint: "add backups.full to it" });
  const spec = runSpec(installation.clock, { source, operation: "backup", type }, request);
  const { inventory, clock, journal } = installation;
  const { signal, onNotice } = context;
  const facts = { source: source.name, run: spec.id, type };
  const act = async (): Promise<RunConclusion<BackupView>> => {
    const { repositories, away } = await openReachable(installation, rule.repositories);
    const logRepositories = (await openReachable(installation, source.policy.log?.repositories ?? []).catch(noneOfThem)).repositories;
    const target = await installation.target(source);
    const result = await backUp(
      {
        source: target,
        type,
        repositories,
        away,
        logRepositories,
        hasLog: source.policy.log !== null,
        runId: spec.id,
        compressionLevel: COMPRESSION_LEVEL,
        hasEnded: (run) => hasEnded(installation, run),
        wait: request.wait === true,
      },
      tellingProgress(installation.catalog, spec.id, context),
    );
    return conclude(result, new Map(repositories.map(({ name, repositoryId }) => [name, repositoryId])));
  };
  return recordRun(journal, spec, async (keep) => withHooks({ hooks: source.policy.hooks, inventory, clock, signal, facts, keep, onNotice }, act));
}

/** Without any repository of the log a backup brings its own WAL into each of its copies. */
function noneOfThem(error: unknown): Opened {
  if (!isOfOneCopy(error)) throw error;
  return { repositories: [], away: [] };
}

function conclude(result: BackUpResult, repositoryIds: ReadonlyMap<string, string>): RunConclusion<BackupView> {
  const made = result.copies.flatMap(({ repository, stored }) =>
    stored === null ? [] : [{ repository, repositoryId: repositoryIds.get(repository) ?? "", backup: result.id, sha256: stored.sha256 }],
  );
  const first = result.copies.find(({ stored }) => stored !== null)?.stored;
  const failed = result.copies.filter(({ stored }) => stored === null);
  if (first === null || first === undefined) throw failed[0]?.error;
  const view = describeBackup(
    first,
    result.copies.map(({ repository, stored, error }) => ({
      repository,
      state: stored === null ? "failed" : "complete",
      verifiedTier: null,
      verifiedAt: null,
      error: error === null ? null : messageOf(error),
    })),
  );
  return {
    outcome: failed.length === 0 ? "succeeded" : "failed",
    reason:
      failed.length > 0
        ? `not stored in ${failed.map(({ repository, error }) => `${repository} (${messageOf(error)})`).join(", ")}`
        : first.manifest.corruptPages > 0
          ? `${first.manifest.corruptPages} pages are corrupt in the source`
          : null,
    figures: view,
    retryable: failed.length > 0,
    made,
    subject: made.map(({ backup, sha256 }) => ({ name: `manifest ${backup}`, digest: { sha256 } })),
    value: view,
  };
}
