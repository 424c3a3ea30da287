import type { Clock } from "../clock.ts";
import { applyEntry, listRuns } from "../catalog/runs.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { HoldfastError, messageOf } from "../errors.ts";
import type { EvidenceEntry, EvidenceKind, EvidenceLog, Subject } from "../repository/evidence-log.ts";
import { holderSchema, isCertainlyDead, thisProcess } from "../repository/process-holder.ts";

/** Where runs are put on record: first the evidence log of this host, from which the catalog follows; then a copy in every repository. */
export interface Journal {
  readonly evidence: EvidenceLog;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly hostName: string;
  /** Copies new entries to every repository that can be reached. */
  copyToRepositories(): Promise<void>;
}

export interface RunSpec {
  readonly id: string;
  readonly source: string;
  readonly operation: string;
  readonly type: string | null;
  readonly trigger: "manual" | "schedule" | "api";
  readonly scheduledFor: string | null;
  /** Who asked for it through the API: the name of a token. */
  readonly requestedBy?: string;
  /** What is decided before the run and must not be chosen afterwards: the seed of a drill. */
  readonly commitment?: object;
}

/** What sets a run off. */
export interface RunTrigger {
  readonly trigger: RunSpec["trigger"];
  readonly scheduledFor: string | null;
  /** Of a command, whose run has its id. */
  readonly runId?: string;
  readonly requestedBy?: string;
}

export const BY_HAND: RunTrigger = { trigger: "manual", scheduledFor: null };

export interface RunConclusion<T> {
  readonly outcome: "succeeded" | "failed";
  readonly reason: string | null;
  /** What is on record about it for ever: the same figures its command prints. */
  readonly figures: object;
  readonly verified?: readonly VerifiedFact[];
  /** Backups that came to be, by repository. */
  readonly made?: readonly { readonly repositoryId: string; readonly repository: string; readonly backup: string; readonly sha256: string }[];
  readonly subject?: readonly Subject[];
  readonly value: T;
}

interface VerifiedFact {
  readonly repository: string;
  readonly source: string;
  readonly backup: string;
  readonly tier: string;
  readonly ok: boolean;
}

/** Runs an operation on record: that it began (before it does anything), and how it ended. What it told to keep is on record also if it throws. */
export async function recordRun<T>(journal: Journal, spec: RunSpec, act: (keep: (figures: object) => void) => Promise<RunConclusion<T>>): Promise<T> {
  const { id: run, ...what } = spec;
  await closeInterrupted(journal);
  await recordEntry(journal, "run.started", { run, ...what, holder: thisProcess(journal.hostName) });
  let kept: object = {};
  try {
    const conclusion = await act((figures) => {
      kept = figures;
    });
    const { outcome, reason, figures, verified = [], made = [] } = conclusion;
    await recordEntry(
      journal,
      "run.finished",
      { run, source: spec.source, operation: spec.operation, type: spec.type, outcome, reason, figures, verified, made },
      conclusion.subject,
    );
    await journal.copyToRepositories();
    return conclusion.value;
  } catch (error) {
    const cancelled = error instanceof HoldfastError && error.code === "HF-INTERRUPTED";
    const reason = error instanceof HoldfastError ? `${error.code}: ${error.message}` : messageOf(error);
    await recordEntry(journal, "run.finished", {
      run,
      source: spec.source,
      operation: spec.operation,
      type: spec.type,
      outcome: cancelled ? "cancelled" : "failed",
      reason,
      figures: kept,
    });
    await journal.copyToRepositories();
    throw error;
  }
}

/** Runs that began here and whose process is certainly gone are put on record as interrupted. */
export async function closeInterrupted(journal: Journal): Promise<void> {
  for (const run of listRuns(journal.catalog, { outcome: "running" })) {
    const holder = run.holder === null ? null : holderSchema.safeParse(JSON.parse(run.holder));
    if (holder === null || !holder.success || !isCertainlyDead(holder.data)) continue;
    await recordEntry(journal, "run.finished", {
      run: run.id,
      source: run.source,
      operation: run.operation,
      type: run.type,
      outcome: "interrupted",
      reason: "its process ended before it did",
      figures: {},
    });
  }
}

export async function recordEntry(journal: Journal, kind: EvidenceKind, facts: Record<string, unknown>, subject: readonly Subject[] = []): Promise<EvidenceEntry> {
  const entry = await journal.evidence.append(kind, journal.clock.now(), facts, subject);
  applyEntry(journal.catalog, entry);
  return entry;
}
