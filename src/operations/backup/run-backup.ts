import { listRuns } from "../../catalog/runs.ts";
import { BACKUP_TYPES } from "../../domain/backup-id.ts";
import type { BackupType } from "../../domain/backup-id.ts";
import { checkSize } from "../../domain/size-check.ts";
import type { Sized } from "../../domain/size-check.ts";
import type { BackupView } from "../../domain/source-info.ts";
import { HoldfastError, messageOf } from "../../errors.ts";
import type { SourceConfig } from "../../policy/types.ts";
import type { Manifest } from "../../repository/manifest.ts";
import { backUp } from "./back-up.ts";
import { backUpDumps } from "./back-up-dumps.ts";
import { backUpTree } from "./back-up-tree.ts";
import type { BackupOrder, BackUpResult } from "./backup-types.ts";
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
    const order: BackupOrder = {
      source,
      type,
      repositories,
      away,
      runId: spec.id,
      compressionLevel: COMPRESSION_LEVEL,
      hasEnded: (run) => hasEnded(installation, run),
      wait: request.wait === true,
    };
    const result = await backUpByKind(installation, source, order, tellingProgress(installation.catalog, spec.id, context));
    const conclusion = conclude(result, new Map(repositories.map(({ name, repositoryId }) => [name, repositoryId])));
    const sizeCheck = checkSize(conclusion.value, sizesOnRecord(installation, source.name));
    if (sizeCheck.reason !== null) onNotice(`this backup has an unusual size: ${sizeCheck.reason}`);
    return { ...conclusion, figures: { ...conclusion.figures, sizeCheck } };
  };
  return recordRun(journal, spec, async (keep) => withHooks({ hooks: source.policy.hooks, inventory, clock, signal, facts, keep, onNotice }, act));
}

/** What kinds of source there are is asked here, and nowhere below. */
async function backUpByKind(installation: Installation, source: SourceConfig, order: BackupOrder, context: OperationContext): Promise<BackUpResult> {
  switch (source.kind) {
    case "postgres": {
      const logRepositories = (await openReachable(installation, source.policy.log?.repositories ?? []).catch(noneOfThem)).repositories;
      return backUp({ ...order, source: await installation.target(source), logRepositories, hasLog: source.policy.log !== null }, context);
    }
    case "postgres-logical": {
      const { url } = await installation.target(source);
      return backUpDumps({ ...order, url, databases: source.databases, binaries: installation.inventory.postgres.binaries }, context);
    }
    case "files":
      return backUpTree({ ...order, path: source.path, options: { exclude: source.exclude, oneFileSystem: source.oneFileSystem } }, context);
  }
}

/** How many runs are looked through for the last of one type: weekly fulls have dozens of others between them. */
const RUNS_LOOKED_AT = 500;

/** Of backups of a source that succeeded, oldest first. */
function sizesOnRecord({ catalog }: Pick<Installation, "catalog">, source: string): Sized[] {
  return listRuns(catalog, { source, operation: "backup", outcome: "succeeded", limit: RUNS_LOOKED_AT })
    .flatMap(({ facts: { type, sourceBytes, storedBytes } }) => {
      const known = BACKUP_TYPES.find((one) => one === type);
      return known === undefined || typeof sourceBytes !== "number" || typeof storedBytes !== "number" ? [] : [{ type: known, sourceBytes, storedBytes }];
    })
    .toReversed();
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
  if (first === null || first === undefined) {
    // What is true of the source says more than that a copy is away.
    const ofAll = failed.find(({ error }) => !isOfOneCopy(error));
    throw (ofAll ?? failed[0])?.error;
  }
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
    reason: failed.length > 0 ? `not stored in ${failed.map(({ repository, error }) => `${repository} (${messageOf(error)})`).join(", ")}` : whatIsWrong(first.manifest),
    figures: view,
    retryable: failed.length > 0,
    made,
    subject: made.map(({ backup, sha256 }) => ({ name: `manifest ${backup}`, digest: { sha256 } })),
    value: view,
  };
}

/** What the source had that is not as it should be. */
function whatIsWrong(manifest: Manifest): string | null {
  if (manifest.corruptPages > 0) return `${manifest.corruptPages} pages are corrupt in the source`;
  return manifest.kind === "files" && manifest.tree.unread > 0 ? `${manifest.tree.unread} files and folders could not be read` : null;
}
