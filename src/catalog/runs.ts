import type { RunFacts } from "../domain/control-population.ts";
import { applyAccessEntry } from "./access-events.ts";
import type { Schedule } from "../domain/schedule.ts";
import { applyAlertEntry } from "./alerts.ts";
import type { Catalog, SqlRow, SqlValue } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull, timeOf, timeOrNull, timeValue, timeValueOrNull } from "./catalog.ts";
import { commandBegan, commandEnded } from "./commands.ts";
import type { CommandState } from "./commands.ts";
import { applyRecordedEntry } from "./entries.ts";
import { appendEntryEvent } from "./events.ts";
import { applyCommitment } from "./commitments.ts";
import { stringOr, stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";
import { applyPauseEntry } from "./pauses.ts";
import { forgetProgress } from "./run-progress.ts";
import { addToTotals, readTotals } from "./run-totals.ts";
import { parseSchedule, SCHEDULE_TEXT, scheduleNumber } from "./schedules.ts";
import { applySlots } from "./slot-intervals.ts";
import { applyPolicyEntry } from "./policies.ts";
import { applyTokenEntry } from "./tokens.ts";
import { applyLedger, tierDepth } from "./verify-ledger.ts";

/** History of runs, projected from evidence entries: `run.started`, `run.finished`, `run.missed`, and `run.slots` (slot-intervals.ts). */
export const OUTCOMES = ["running", "succeeded", "failed", "cancelled", "interrupted", "missed", "superseded", "skipped"] as const;
/** Outcomes of slots that nothing ran for. */
const PASSED_OVER = ["missed", "superseded", "skipped"] as const;
export type RunOutcome = (typeof OUTCOMES)[number];

/** In SQL about runs. */
export const IS_PASSED_OVER = "outcome in ('missed', 'superseded', 'skipped')";

export interface Run extends RunFacts {
  readonly outcome: RunOutcome;
  /** 1, and more where it failed for its slot before. */
  readonly attempt: number;
  /** Of its slot, where it is known. */
  readonly schedule: Schedule | null;
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

/** Each as of the entry, unless it says itself since when: what was verified piece by piece is as old as its oldest piece. */
function recordAllVerified(catalog: Catalog, { facts, at }: HistoryEntry): void {
  for (const verified of Array.isArray(facts["verified"]) ? (facts["verified"] as Record<string, unknown>[]) : []) recordVerified(catalog, verified, stringOr(verified["at"], at));
}

function commandStateOf(outcome: unknown): Exclude<CommandState, "queued" | "running"> {
  return outcome === "succeeded" || outcome === "cancelled" || outcome === "interrupted" ? outcome : "failed";
}

/** The newest result of a copy. Damage that was found stands until somebody looked as deep again: a shallower look would not have seen it. */
function recordVerified(catalog: Catalog, verified: Record<string, unknown>, at: string): void {
  catalog.run(
    `insert into verified (repository, source, backup, tier, ok, at) values (:repository, :source, :backup, :tier, :ok, :at)
     on conflict (repository, source, backup) do update set tier = excluded.tier, ok = excluded.ok, at = excluded.at
       where excluded.at >= at and (ok = 1 or excluded.ok = 0 or ${tierDepth("excluded.tier")} >= ${tierDepth("verified.tier")})`,
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

/** Null, and what is left out: any. */
export interface RunFilter {
  readonly sources?: readonly string[] | null;
  readonly source?: string | null;
  readonly operation?: string | null;
  readonly outcome?: RunOutcome | null;
  /** Started at or after, and before. */
  readonly from?: string | null;
  readonly to?: string | null;
  readonly limit?: number;
  readonly offset?: number;
}

const CONDITIONS = {
  sources: "source in (select value from json_each(:sources))",
  source: "source = :source",
  operation: "operation = :operation",
  outcome: "outcome = :outcome",
  from: "started_at >= :from",
  to: "started_at < :to",
} as const;
const FILTERS = ["sources", "source", "operation", "outcome", "from", "to"] as const;

/** Of a schedule a run has the number. */
const RUN_COLUMNS = `runs.*, ${SCHEDULE_TEXT} as schedule_text`;

/** Runs that match, newest first. Only the conditions that are asked for are in the query, so that an index can serve them. */
export function listRuns(catalog: Catalog, filter: RunFilter = {}): Run[] {
  const asked = FILTERS.flatMap((name): { name: (typeof FILTERS)[number]; value: SqlValue }[] => {
    const value = filter[name];
    if (value === undefined || value === null) return [];
    if (name === "from" || name === "to") return [{ name, value: timeValue(filter[name] ?? "") }];
    return [{ name, value: typeof value === "string" ? value : JSON.stringify(value) }];
  });
  const where = asked.length === 0 ? "" : `where ${asked.map(({ name }) => CONDITIONS[name]).join(" and ")}`;
  const rows = catalog.all(`select ${RUN_COLUMNS} from runs ${where} order by started_at desc, sequence desc limit :limit offset :offset`, {
    ...Object.fromEntries(asked.map(({ name, value }) => [name, value])),
    limit: filter.limit ?? 1000,
    offset: filter.offset ?? 0,
  });
  return rows.map(runOf);
}

export function findRun(catalog: Catalog, id: string): Run | null {
  const [row] = catalog.all(FIND, { id });
  return row === undefined ? null : runOf(row);
}

/** Made once: a text that is put together at each call is hashed and compared at each call, to find its statement. */
const FIND = `select ${RUN_COLUMNS} from runs where id = :id`;

/** The newest slot of a kind of work that was dealt with in some way, and the newest record about it. */
export interface NewestSlot {
  readonly slot: Date;
  readonly outcome: RunOutcome;
  readonly attempt: number;
  /** Whether what made it fail may pass. */
  readonly retryable: boolean;
  readonly endedAt: Date | null;
}

/** `before`: slots from then on are left out (a clock that was wrong may have left some in the future). Null: none was dealt with. */
export function newestSlot(catalog: Catalog, kind: { source: string; operation: string; type: string | null }, before: Date): NewestSlot | null {
  // Along the index of slots, from its end; a few, as an interval may reach beyond what begins after it.
  const rows = catalog.all(
    `select scheduled_for, until, outcome, attempt, retryable, finished_at from runs
     where source = :source and operation = :operation and type is :type and scheduled_for < :before order by scheduled_for desc, started_at desc, sequence desc limit 4`,
    { source: kind.source, operation: kind.operation, type: kind.type, before: before.getTime() },
  );
  const [newest] = rows.toSorted((a, b) => endOf(b) - endOf(a));
  if (newest === undefined) return null;
  const endedAt = numberOrNull(newest, "finished_at");
  return {
    slot: new Date(endOf(newest)),
    outcome: textOf(newest, "outcome") as RunOutcome,
    attempt: numberOrNull(newest, "attempt") ?? 1,
    retryable: numberOrNull(newest, "retryable") === 1,
    endedAt: endedAt === null ? null : new Date(endedAt),
  };
}

function endOf(row: SqlRow): number {
  return numberOrNull(row, "until") ?? numberOrNull(row, "scheduled_for") ?? 0;
}

const EVER = new Date("9999-01-01T00:00:00Z");

/** As above, only when it was. */
export function lastHandledSlot(catalog: Catalog, source: string, operation: string, type: string | null): Date | null {
  return newestSlot(catalog, { source, operation, type }, EVER)?.slot ?? null;
}

/** When the first run of a kind that succeeded began, or null. */
export function firstSuccess(catalog: Catalog, source: string, operation: string): Date | null {
  const times = readTotals(catalog, source).filter((total) => total.operation === operation && total.outcome === "succeeded");
  const [first] = times.map(({ oldestAt }) => oldestAt).toSorted();
  return first === undefined ? null : new Date(first);
}

/** Runs that began and are not on record as ended. */
export function openRuns(catalog: Catalog): Run[] {
  return catalog.all(`select ${RUN_COLUMNS} from runs where outcome = 'running' order by started_at desc, sequence desc`).map(runOf);
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

/** A row of the table as a run. */
function runOf(row: SqlRow): Run {
  return {
    id: textOf(row, "id"),
    source: textOf(row, "source"),
    operation: textOf(row, "operation"),
    type: textOrNull(row, "type"),
    trigger: textOf(row, "trigger"),
    scheduledFor: timeOrNull(row, "scheduled_for"),
    startedAt: timeOf(row, "started_at"),
    finishedAt: timeOrNull(row, "finished_at"),
    outcome: textOf(row, "outcome") as RunOutcome,
    reason: textOrNull(row, "reason"),
    slots: numberOrNull(row, "slots") ?? 1,
    until: timeOrNull(row, "until"),
    holder: textOrNull(row, "holder"),
    attempt: numberOrNull(row, "attempt") ?? 1,
    schedule: scheduleOrNull(textOrNull(row, "schedule_text")),
    facts: JSON.parse(textOf(row, "facts")) as Record<string, unknown>,
  };
}

function scheduleOrNull(text: string | null): Schedule | null {
  return text === null ? null : parseSchedule(text);
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}
