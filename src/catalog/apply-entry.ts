import { applyAccessEntry } from "./access-events.ts";
import { applyAlertEntry } from "./alerts.ts";
import type { Catalog } from "./catalog.ts";
import { textOf, textOrNull, timeOf, timeValue, timeValueOrNull } from "./catalog.ts";
import { commandBegan, commandEnded } from "./commands.ts";
import type { CommandState } from "./commands.ts";
import { applyCommitment } from "./commitments.ts";
import { applyRecordedEntry } from "./entries.ts";
import { appendEntryEvent } from "./events.ts";
import { stringOr, stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";
import { applyPauseEntry } from "./pauses.ts";
import { applyPolicyEntry } from "./policies.ts";
import { forgetProgress } from "./run-progress.ts";
import { addToTotals } from "./run-totals.ts";
import type { RunOutcome } from "./runs.ts";
import { scheduleNumber } from "./schedules.ts";
import { applySlots } from "./slot-intervals.ts";
import { applyTokenEntry } from "./tokens.ts";
import { recordAllVerified } from "./verified.ts";
import { applyLedger } from "./verify-ledger.ts";

/** Outcomes of slots that nothing ran for. */
const PASSED_OVER = ["missed", "superseded", "skipped"] as const;

/** Brings one entry into the history. Doing it twice changes nothing. */
export function applyEntry(catalog: Catalog, entry: HistoryEntry): void {
  catalog.transaction(() => {
    const { facts } = entry;
    if (entry.sequence > lastApplied(catalog, entry.writer)) appendEntryEvent(catalog, entry);
    if (entry.kind === "run.started") beginRun(catalog, entry);
    else if (entry.kind === "run.missed") insertRun(catalog, entry, PASSED_OVER.find((known) => known === facts["outcome"]) ?? "missed");
    else if (entry.kind === "run.finished") finishRun(catalog, entry);
    else if (entry.kind === "run.slots") applySlots(catalog, entry);
    else if (entry.kind === "verify.ledger") applyVerifyLedger(catalog, entry);
    else if (entry.kind === "source.paused" || entry.kind === "source.resumed") applyPauseEntry(catalog, entry);
    else if (entry.kind === "schedule.committed") applyCommitment(catalog, entry);
    else {
      applyRecordedEntry(catalog, entry);
      applyTokenEntry(catalog, entry);
      applyAlertEntry(catalog, entry);
      applyAccessEntry(catalog, entry);
      applyPolicyEntry(catalog, entry);
    }
    catalog.run("insert into applied (writer, sequence) values (:writer, :sequence) on conflict (writer) do update set sequence = max(sequence, excluded.sequence)", {
      writer: entry.writer,
      sequence: entry.sequence,
    });
  });
}

/** Sequence of the last entry of a writer that is in the history. */
export function lastApplied(catalog: Catalog, writer: string): number {
  return Number(catalog.all("select sequence from applied where writer = :writer", { writer })[0]?.["sequence"] ?? 0);
}

/** Hosts of whose evidence anything is in the history. */
export function writersApplied(catalog: Catalog): string[] {
  return catalog.all("select writer from applied").map((row) => textOf(row, "writer"));
}

function beginRun(catalog: Catalog, entry: HistoryEntry): void {
  insertRun(catalog, entry, "running");
  commandBegan(catalog, stringOr(entry.facts["run"], ""));
}

function insertRun(catalog: Catalog, entry: HistoryEntry, outcome: RunOutcome): void {
  const { facts } = entry;
  const id = stringOr(facts["run"], `${entry.writer.slice(0, 8)}-${entry.sequence}`);
  const kind = { source: stringOr(facts["source"], ""), operation: stringOr(facts["operation"], ""), type: stringOrNull(facts["type"]) };
  const slots = numberOr(facts["slots"], 1);
  const schedule = facts["schedule"] === undefined || facts["schedule"] === null ? null : JSON.stringify(facts["schedule"]);
  const inserted = catalog.run(
    `insert into runs (id, source, operation, type, trigger, scheduled_for, started_at, finished_at, outcome, reason, slots, until, holder, facts, sequence, schedule, attempt)
     values (:id, :source, :operation, :type, :trigger, :scheduledFor, :startedAt, :finishedAt, :outcome, :reason, :slots, :until, :holder, '{}', :sequence, :schedule, :attempt)
     on conflict (id) do nothing`,
    {
      id,
      ...kind,
      trigger: stringOr(facts["trigger"], "manual"),
      scheduledFor: timeValueOrNull(stringOrNull(facts["scheduledFor"])),
      startedAt: timeValue(entry.at),
      finishedAt: outcome === "running" ? null : timeValue(entry.at),
      outcome,
      reason: stringOrNull(facts["reason"]),
      slots,
      until: timeValueOrNull(stringOrNull(facts["until"])),
      holder: facts["holder"] === undefined ? null : JSON.stringify(facts["holder"]),
      sequence: entry.sequence,
      schedule: schedule === null ? null : scheduleNumber(catalog, schedule),
      attempt: numberOr(facts["attempt"], 1),
    },
  );
  if (inserted > 0 && outcome !== "running") addToTotals(catalog, { ...kind, outcome, at: entry.at, id }, slots);
}

function finishRun(catalog: Catalog, entry: HistoryEntry): void {
  const { facts } = entry;
  // Frequent work that came to nothing is one entry, which says when it began.
  if (typeof facts["startedAt"] === "string") insertRun(catalog, { ...entry, at: facts["startedAt"] }, "running");
  const id = stringOr(facts["run"], "");
  const outcome = stringOr(facts["outcome"], "failed");
  // A run that came late says so from its beginning on.
  const [finished] = catalog.all(
    "update runs set finished_at = :at, outcome = :outcome, reason = coalesce(:reason, reason), holder = null, facts = :facts, retryable = :retryable where id = :id and outcome = 'running' returning source, operation, type, started_at",
    { at: timeValue(entry.at), outcome, reason: stringOrNull(facts["reason"]), facts: JSON.stringify(facts["figures"] ?? {}), retryable: facts["retryable"] === true ? 1 : 0, id },
  );
  forgetProgress(catalog, id);
  if (finished !== undefined) {
    const kind = { source: textOf(finished, "source"), operation: textOf(finished, "operation"), type: textOrNull(finished, "type") };
    addToTotals(catalog, { ...kind, outcome, at: timeOf(finished, "started_at"), id }, 1);
  }
  commandEnded(catalog, stringOr(facts["run"], ""), { state: commandStateOf(facts["outcome"]), reason: stringOrNull(facts["reason"]), at: entry.at });
  recordAllVerified(catalog, entry);
}

function applyVerifyLedger(catalog: Catalog, entry: HistoryEntry): void {
  applyLedger(catalog, entry);
  recordAllVerified(catalog, entry);
}

function commandStateOf(outcome: unknown): Exclude<CommandState, "queued" | "running"> {
  return outcome === "succeeded" || outcome === "cancelled" || outcome === "interrupted" ? outcome : "failed";
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}
