import type { RunFacts } from "../domain/control-population.ts";
import { applyAccessEntry } from "./access-events.ts";
import { applyAlertEntry } from "./alerts.ts";
import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import { commandBegan, commandEnded } from "./commands.ts";
import type { CommandState } from "./commands.ts";
import { applyRecordedEntry } from "./entries.ts";
import { appendEntryEvent } from "./events.ts";
import { stringOr, stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";
import { applyTokenEntry } from "./tokens.ts";

/** History of runs, projected from evidence entries: `run.started`, `run.finished`, `run.missed`. */
export const OUTCOMES = ["running", "succeeded", "failed", "cancelled", "interrupted", "missed", "superseded"] as const;
export type RunOutcome = (typeof OUTCOMES)[number];

export interface Run extends RunFacts {
  readonly outcome: RunOutcome;
  /** Who runs it, as JSON; null once it ended. */
  readonly holder: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Brings one entry into the history. Doing it twice changes nothing. */
export function applyEntry(catalog: Catalog, entry: HistoryEntry): void {
  catalog.transaction(() => {
    const { facts } = entry;
    if (entry.sequence > lastApplied(catalog, entry.writer)) appendEntryEvent(catalog, entry);
    if (entry.kind === "run.started") beginRun(catalog, entry);
    else if (entry.kind === "run.missed") insertRun(catalog, entry, facts["outcome"] === "superseded" ? "superseded" : "missed");
    else if (entry.kind === "run.finished") finishRun(catalog, entry);
    else {
      applyRecordedEntry(catalog, entry);
      applyTokenEntry(catalog, entry);
      applyAlertEntry(catalog, entry);
      applyAccessEntry(catalog, entry);
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

function beginRun(catalog: Catalog, entry: HistoryEntry): void {
  insertRun(catalog, entry, "running");
  commandBegan(catalog, stringOr(entry.facts["run"], ""));
}

function insertRun(catalog: Catalog, entry: HistoryEntry, outcome: RunOutcome): void {
  const { facts } = entry;
  catalog.run(
    `insert into runs (id, source, operation, type, trigger, scheduled_for, started_at, finished_at, outcome, reason, slots, until, holder, facts, writer, sequence)
     values (:id, :source, :operation, :type, :trigger, :scheduledFor, :startedAt, :finishedAt, :outcome, :reason, :slots, :until, :holder, '{}', :writer, :sequence)
     on conflict (id) do nothing`,
    {
      id: stringOr(facts["run"], `${entry.writer.slice(0, 8)}-${entry.sequence}`),
      source: stringOr(facts["source"], ""),
      operation: stringOr(facts["operation"], ""),
      type: stringOrNull(facts["type"]),
      trigger: stringOr(facts["trigger"], "manual"),
      scheduledFor: stringOrNull(facts["scheduledFor"]),
      startedAt: entry.at,
      finishedAt: outcome === "running" ? null : entry.at,
      outcome,
      reason: stringOrNull(facts["reason"]),
      slots: typeof facts["slots"] === "number" ? facts["slots"] : 1,
      until: stringOrNull(facts["until"]),
      holder: facts["holder"] === undefined ? null : JSON.stringify(facts["holder"]),
      writer: entry.writer,
      sequence: entry.sequence,
    },
  );
}

function finishRun(catalog: Catalog, entry: HistoryEntry): void {
  const { facts } = entry;
  catalog.run("update runs set finished_at = :at, outcome = :outcome, reason = :reason, holder = null, facts = :facts where id = :id and outcome = 'running'", {
    at: entry.at,
    outcome: stringOr(facts["outcome"], "failed"),
    reason: stringOrNull(facts["reason"]),
    facts: JSON.stringify(facts["figures"] ?? {}),
    id: stringOr(facts["run"], ""),
  });
  commandEnded(catalog, stringOr(facts["run"], ""), { state: commandStateOf(facts["outcome"]), reason: stringOrNull(facts["reason"]), at: entry.at });
  for (const verified of Array.isArray(facts["verified"]) ? (facts["verified"] as Record<string, unknown>[]) : []) recordVerified(catalog, verified, entry.at);
}

function commandStateOf(outcome: unknown): Exclude<CommandState, "queued" | "running"> {
  return outcome === "succeeded" || outcome === "cancelled" || outcome === "interrupted" ? outcome : "failed";
}

function recordVerified(catalog: Catalog, verified: Record<string, unknown>, at: string): void {
  catalog.run(
    `insert into verified (repository, source, backup, tier, ok, at) values (:repository, :source, :backup, :tier, :ok, :at)
     on conflict (repository, source, backup) do update set tier = excluded.tier, ok = excluded.ok, at = excluded.at where excluded.at >= at`,
    {
      repository: stringOr(verified["repository"], ""),
      source: stringOr(verified["source"], ""),
      backup: stringOr(verified["backup"], ""),
      tier: stringOr(verified["tier"], ""),
      ok: verified["ok"] === true ? 1 : 0,
      at,
    },
  );
}

export interface RunFilter {
  readonly source?: string;
  readonly operation?: string;
  readonly outcome?: RunOutcome;
  /** Started at or after, and before. */
  readonly from?: string;
  readonly to?: string;
  readonly limit?: number;
  readonly offset?: number;
}

/** Runs that match, newest first. */
export function listRuns(catalog: Catalog, filter: RunFilter = {}): Run[] {
  const rows = catalog.all(
    `select * from runs
     where (:source is null or source = :source) and (:operation is null or operation = :operation) and (:outcome is null or outcome = :outcome)
       and (:from is null or started_at >= :from) and (:to is null or started_at < :to)
     order by started_at desc, sequence desc limit :limit offset :offset`,
    {
      source: filter.source ?? null,
      operation: filter.operation ?? null,
      outcome: filter.outcome ?? null,
      from: filter.from ?? null,
      to: filter.to ?? null,
      limit: filter.limit ?? 1000,
      offset: filter.offset ?? 0,
    },
  );
  return rows.map(runOf);
}

export function findRun(catalog: Catalog, id: string): Run | null {
  const [row] = catalog.all("select * from runs where id = :id", { id });
  return row === undefined ? null : runOf(row);
}

/** The newest slot of a kind of work that was dealt with in some way, or null. */
export function lastHandledSlot(catalog: Catalog, source: string, operation: string, type: string | null): Date | null {
  const [row] = catalog.all(
    `select max(coalesce(until, scheduled_for)) as slot from runs
     where source = :source and operation = :operation and (:type is null or type = :type) and scheduled_for is not null`,
    { source, operation, type },
  );
  const slot = row === undefined ? null : textOrNull(row, "slot");
  return slot === null ? null : new Date(slot);
}

/** When the first run of a kind that succeeded began, or null. */
export function firstSuccess(catalog: Catalog, source: string, operation: string): Date | null {
  const [row] = catalog.all("select min(started_at) as at from runs where source = :source and operation = :operation and outcome = 'succeeded'", { source, operation });
  const at = row === undefined ? null : textOrNull(row, "at");
  return at === null ? null : new Date(at);
}

export interface Verified {
  readonly repository: string;
  readonly backup: string;
  readonly tier: string;
  readonly ok: boolean;
  readonly at: string;
}

export function listVerified(catalog: Catalog, source: string): Verified[] {
  return catalog.all("select * from verified where source = :source", { source }).map((row) => ({
    repository: textOf(row, "repository"),
    backup: textOf(row, "backup"),
    tier: textOf(row, "tier"),
    ok: numberOrNull(row, "ok") === 1,
    at: textOf(row, "at"),
  }));
}

function runOf(row: SqlRow): Run {
  return {
    id: textOf(row, "id"),
    source: textOf(row, "source"),
    operation: textOf(row, "operation"),
    type: textOrNull(row, "type"),
    trigger: textOf(row, "trigger"),
    scheduledFor: textOrNull(row, "scheduled_for"),
    startedAt: textOf(row, "started_at"),
    finishedAt: textOrNull(row, "finished_at"),
    outcome: textOf(row, "outcome") as RunOutcome,
    reason: textOrNull(row, "reason"),
    slots: numberOrNull(row, "slots") ?? 1,
    until: textOrNull(row, "until"),
    holder: textOrNull(row, "holder"),
    facts: JSON.parse(textOf(row, "facts")) as Record<string, unknown>,
  };
}
