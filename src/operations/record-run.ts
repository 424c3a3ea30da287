import type { Clock } from "../clock.ts";
import { applyEntry } from "../catalog/apply-entry.ts";
import { openRuns } from "../catalog/runs.ts";
import type { Run } from "../catalog/runs.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { pendingIntervals, recordSlotDone, slotFacts } from "../catalog/slot-intervals.ts";
import { briefFigures } from "../domain/brief-figures.ts";
import type { Schedule } from "../domain/schedule.ts";
import { HoldfastError, messageOf } from "../errors.ts";
import type { EvidenceEntry, EvidenceKind, Subject } from "../repository/evidence-entry.ts";
import type { EvidenceLog } from "../repository/evidence-log.ts";
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
  /** 1, and more where it failed for its slot before. */
  readonly attempt?: number;
  /** Of its slot; frequent work that succeeds is then recorded by the interval (record-slots.ts). */
  readonly schedule?: Schedule | null;
  /** Why it began later than its slot. */
  readonly reason?: string | null;
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
  readonly attempt?: number;
  readonly schedule?: Schedule | null;
  readonly reason?: string | null;
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
  /** Of one that failed: what it failed for may pass, so that its slot is tried again. */
  readonly retryable?: boolean;
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
  if (isFrequent(spec)) return recordFrequentRun(journal, spec, act);
  const { id: run, ...what } = spec;
  await closeInterrupted(journal);
  await recordEntry(journal, "run.started", { run, ...what, holder: thisProcess(journal.hostName) });
  let kept: object = {};
  try {
    const conclusion = await act((figures) => {
      kept = figures;
    });
    const { outcome, reason, figures, verified = [], made = [], retryable = false } = conclusion;
    await recordEntry(
      journal,
      "run.finished",
      { run, source: spec.source, operation: spec.operation, type: spec.type, outcome, reason, figures, verified, made, retryable },
      conclusion.subject,
    );
    await journal.copyToRepositories();
    return conclusion.value;
  } catch (error) {
    await recordEntry(journal, "run.finished", { run, source: spec.source, operation: spec.operation, type: spec.type, ...failureOf(error), figures: kept, retryable: true });
    await journal.copyToRepositories();
    throw error;
  }
}

/** How a run that threw is put on record. */
function failureOf(error: unknown): { outcome: "cancelled" | "failed"; reason: string } {
  const cancelled = error instanceof HoldfastError && error.code === "HF-INTERRUPTED";
  return { outcome: cancelled ? "cancelled" : "failed", reason: error instanceof HoldfastError ? `${error.code}: ${error.message}` : messageOf(error) };
}

/** Work that comes so often that its successes are recorded by the interval: 35 million log backups a year for a thousand sources. What it deletes is on record by itself. */
const FREQUENT = ["log", "expire"];

type FrequentSpec = RunSpec & { readonly schedule: Schedule; readonly scheduledFor: string };

function isFrequent(spec: RunSpec): spec is FrequentSpec {
  return spec.trigger === "schedule" && FREQUENT.includes(spec.operation) && spec.schedule !== undefined && spec.schedule !== null && spec.scheduledFor !== null;
}

/** As `recordRun`, for the sake of one slot among many: one that succeeded is in the catalog at once and in the evidence with the next entry about its interval. Anything else is an entry of its own, behind it. */
async function recordFrequentRun<T>(journal: Journal, spec: FrequentSpec, act: (keep: (figures: object) => void) => Promise<RunConclusion<T>>): Promise<T> {
  const startedAt = journal.clock.now();
  const { id: run, source, operation, type, schedule, scheduledFor, attempt = 1, reason: late = null } = spec;
  const fail = async (end: Record<string, unknown>): Promise<void> => {
    await recordPending(journal, source);
    const what = { run, source, operation, type, trigger: "schedule", scheduledFor, schedule, attempt, startedAt: startedAt.toISOString() };
    await recordEntry(journal, "run.finished", { ...what, retryable: true, ...end });
    await journal.copyToRepositories();
  };
  let conclusion: RunConclusion<T>;
  let kept: object = {};
  try {
    conclusion = await act((figures) => {
      kept = figures;
    });
  } catch (error) {
    await fail({ ...failureOf(error), figures: kept });
    throw error;
  }
  const { outcome, reason, figures, value } = conclusion;
  const done = { source, operation, type, slot: new Date(scheduledFor), schedule, startedAt, finishedAt: journal.clock.now(), figures: briefFigures(operation, figures) };
  if (outcome === "succeeded") recordSlotDone(journal.catalog, { ...done, reason: reason ?? (attempt > 1 ? `succeeded at attempt ${attempt}` : late) });
  else await fail({ outcome, reason, figures, retryable: conclusion.retryable === true });
  return value;
}

/** How many intervals one entry holds: a thousand sources with two kinds of frequent work are a few hundred kilobytes. */
const INTERVALS_PER_ENTRY = 2000;

/** Puts into the evidence what frequent work did since the last entry about it: of one source, or of all. Done twice, or after a crash in between, it says the same. */
export async function recordPending(journal: Journal, source: string | null): Promise<number> {
  let recorded = 0;
  for (;;) {
    const intervals = pendingIntervals(journal.catalog, source, INTERVALS_PER_ENTRY);
    if (intervals.length === 0) return recorded;
    await recordEntry(journal, "run.slots", slotFacts(intervals));
    recorded += intervals.length;
    if (intervals.length < INTERVALS_PER_ENTRY) return recorded;
  }
}

/** Runs that began here and whose process is certainly gone are put on record as interrupted. */
export async function closeInterrupted(journal: Journal): Promise<void> {
  for (const run of openRuns(journal.catalog)) {
    const holder = run.holder === null ? null : holderSchema.safeParse(JSON.parse(run.holder));
    if (holder === null || !holder.success || !isCertainlyDead(holder.data)) continue;
    await recordInterrupted(journal, run, "its process ended before it did");
  }
}

/** A run of this process whose thread is gone: its process lives on, so that nobody else would ever see it. */
export async function closeLost(journal: Journal, lost: { source: string; operation: string; scheduledFor: string | null; run: string | null }): Promise<void> {
  const me = JSON.stringify(thisProcess(journal.hostName));
  for (const run of openRuns(journal.catalog)) {
    const isIt = lost.run === null ? run.source === lost.source && run.operation === lost.operation && run.scheduledFor === lost.scheduledFor : run.id === lost.run;
    if (isIt && run.holder === me) await recordInterrupted(journal, run, "its thread ended before it did");
  }
}

async function recordInterrupted(journal: Journal, { id, source, operation, type }: Run, reason: string): Promise<void> {
  await recordEntry(journal, "run.finished", { run: id, source, operation, type, outcome: "interrupted", reason, figures: {}, retryable: true });
}

export async function recordEntry(journal: Journal, kind: EvidenceKind, facts: Record<string, unknown>, subject: readonly Subject[] = []): Promise<EvidenceEntry> {
  const entry = await journal.evidence.append(kind, journal.clock.now(), facts, subject);
  applyEntry(journal.catalog, entry);
  return entry;
}
