import type { SourceConfig } from "../../policy/types.ts";
import type { OperationContext } from "../context.ts";
import { describeNotReached, inEachCopy } from "../each-copy.ts";
import type { NotReached } from "../each-copy.ts";
import { expire } from "./expire.ts";
import type { ExpireResult } from "./expire.ts";
import type { Locking, LockWork } from "./locks.ts";
import { hasEnded, repositoriesOf, runSpec } from "../installation.ts";
import type { Installation } from "../installation.ts";
import { recordEntry, recordRun } from "../record-run.ts";
import type { RunTrigger } from "../record-run.ts";

export interface ExpireView {
  readonly dryRun: boolean;
  readonly repositories: readonly {
    readonly repository: string;
    readonly kept: number;
    readonly expired: readonly { readonly id: string; readonly reasons: readonly string[] }[];
    readonly held: readonly { readonly id: string; readonly heldBy: readonly string[] }[];
    readonly walSegments: number;
    readonly walKeptFrom: string | null;
    readonly removedObjects: number;
    readonly removedBytes: number;
    /** Backups that nothing wants any more and that may not be deleted yet: no recovery points, and gone at the first expiry after that moment. */
    readonly locked: readonly { readonly id: string; readonly until: string; readonly reasons: readonly string[] }[];
    /** WAL segments of which the same is true. */
    readonly walLocked: number;
    /** Locks that were made longer, or would be. */
    readonly locksExtended: readonly { readonly what: LockWork["what"]; readonly backup: string | null; readonly until: string; readonly reason: string }[];
    /** Deletions that the store refused. */
    readonly refused: readonly { readonly object: string; readonly until: string | null }[];
  }[];
  /** Repositories in which nothing was done, and why. */
  readonly notReached: readonly NotReached[];
}

export interface ExpireEnd {
  readonly view: ExpireView;
  readonly exitCode: number;
}

/** Expires what a source's policy no longer wants, in each of its repositories by itself: one that is away keeps nobody from the others. Every deletion is evidence before it happens. */
export async function runExpire(installation: Installation, request: { source: SourceConfig; dryRun: boolean } & RunTrigger, context: OperationContext): Promise<ExpireEnd> {
  const spec = runSpec(installation.clock, { source: request.source, operation: "expire", type: null }, request);
  if (request.dryRun) return expireAll(installation, request, spec.id, context);
  return recordRun(installation.journal, spec, async () => {
    const end = await expireAll(installation, request, spec.id, context);
    const reason = describeNotReached(end.view.notReached);
    return { outcome: reason === null ? "succeeded" : "failed", reason, figures: end.view, retryable: true, value: end };
  });
}

async function expireAll(installation: Installation, { source, dryRun }: { source: SourceConfig; dryRun: boolean }, runId: string, context: OperationContext): Promise<ExpireEnd> {
  const { policy } = source;
  const { results, notReached, exitCode } = await inEachCopy(installation, repositoriesOf(source), async (repository, name) => {
    // What is done is on record in the very repository before it is done there: whoever reads that alone must not take it for damage.
    const record = async (kind: "deletion" | "lock.extended", facts: Record<string, unknown>): Promise<void> => {
      await recordEntry(installation.journal, kind, facts);
      await installation.journal.evidence.copyTo(repository);
    };
    const rules = new Map([...policy.backups].filter(([, rule]) => rule.repositories.includes(name)).map(([type, rule]) => [type, rule.retention]));
    return expire(
      {
        repository,
        source: source.name,
        rules,
        logRetentionSeconds: policy.log?.retentionSeconds ?? null,
        runId,
        dryRun,
        hasEnded: (run) => hasEnded(installation, run),
        locking: lockingOf(installation, name, (facts) => record("lock.extended", facts)),
        onDeletion: (facts) => record("deletion", facts),
      },
      context,
    );
  });
  return { view: { dryRun, repositories: results.map(describe), notReached }, exitCode };
}

function lockingOf({ inventory }: Installation, name: string, onExtension: Locking["onExtension"]): Locking | null {
  const lock = inventory.repositories.get(name)?.s3?.objectLock ?? null;
  return lock === null ? null : { marginSeconds: lock.marginSeconds, onExtension };
}

function describe(result: ExpireResult): ExpireView["repositories"][number] {
  const { repository, decisions, walSegments, walKeptFrom, removedObjects, removedBytes } = result;
  return {
    repository,
    kept: decisions.filter(({ keep }) => keep).length,
    expired: decisions.filter(({ keep }) => !keep).map(({ id, reasons }) => ({ id, reasons })),
    held: decisions.filter(({ keep, recoveryPoint, lockedUntil }) => keep && !recoveryPoint && lockedUntil === null).map(({ id, heldBy }) => ({ id, heldBy })),
    walSegments,
    walKeptFrom,
    removedObjects,
    removedBytes,
    locked: decisions.flatMap(({ id, lockedUntil, reasons }) => (lockedUntil === null ? [] : [{ id, until: lockedUntil.toISOString(), reasons }])),
    walLocked: result.walLocked,
    locksExtended: result.lockWork.map(({ what, backup, until, reason }) => ({ what, backup, until: until.toISOString(), reason })),
    refused: result.refused.map(({ key, until }) => ({ object: key, until: until?.toISOString() ?? null })),
  };
}
