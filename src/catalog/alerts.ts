import { isAlertKind, SEVERITIES } from "../domain/alert-kinds.ts";
import type { Severity } from "../domain/alert-kinds.ts";
import type { AlertCondition } from "../domain/alert-facts.ts";
import type { StandingAlert } from "../domain/alert-changes.ts";
import type { Catalog, SqlRow, SqlValue } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import { stringOr, stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";

/** Alerts, projected from evidence entries: `alert.raised`, `alert.acknowledged`, `alert.resolved`. */
export interface Alert extends Omit<AlertCondition, "kind" | "since"> {
  readonly id: string;
  /** One of ALERT_KINDS, or what a newer version calls it. */
  readonly kind: string;
  readonly since: string;
  readonly state: "open" | "acknowledged" | "resolved";
  readonly raisedAt: string;
  readonly acknowledgedAt: string | null;
  readonly acknowledgedBy: string | null;
  readonly acknowledgeReason: string | null;
  readonly resolvedAt: string | null;
}

export function applyAlertEntry(catalog: Catalog, { kind, at, facts }: HistoryEntry): void {
  const id = stringOr(facts["alert"], "");
  if (kind === "alert.raised") insertAlert(catalog, id, at, facts);
  else if (kind === "alert.acknowledged")
    catalog.run("update alerts set acknowledged_at = :at, acknowledged_by = :by, acknowledge_reason = :reason where id = :id and acknowledged_at is null and resolved_at is null", {
      id,
      at,
      by: stringOrNull(facts["by"]),
      reason: stringOrNull(facts["reason"]),
    });
  else if (kind === "alert.resolved") catalog.run("update alerts set resolved_at = :at where id = :id and resolved_at is null", { id, at });
  else if (kind === "wal.gap")
    catalog.run("insert into wal_losses (source, at) values (:source, :at) on conflict (source) do update set at = max(at, excluded.at)", {
      source: stringOr(facts["source"], ""),
      at,
    });
}

function insertAlert(catalog: Catalog, id: string, at: string, facts: HistoryEntry["facts"]): void {
  const severity = SEVERITIES.find((known) => known === facts["severity"]) ?? "P2";
  catalog.run(
    `insert into alerts (id, key, kind, severity, source, repository, title, detail, what_to_do, since, raised_at)
     values (:id, :key, :kind, :severity, :source, :repository, :title, :detail, :whatToDo, :since, :at) on conflict (id) do nothing`,
    {
      id,
      key: stringOr(facts["key"], id),
      kind: stringOr(facts["kind"], ""),
      severity,
      source: stringOrNull(facts["source"]),
      repository: stringOrNull(facts["repository"]),
      title: stringOr(facts["title"], ""),
      detail: stringOrNull(facts["detail"]),
      whatToDo: stringOr(facts["whatToDo"], ""),
      since: stringOr(facts["since"], at),
      at,
    },
  );
}

/** How an alert stands at the moment: an observation, not evidence. */
export function updateAlertDetail(catalog: Catalog, id: string, detail: string | null): void {
  catalog.run("update alerts set detail = :detail where id = :id and resolved_at is null", { id, detail });
}

/** Alerts that are not over, the worst first, then the oldest. */
export function listOpenAlerts(catalog: Catalog, source: string | null = null): Alert[] {
  return catalog
    .all(`select * from alerts where resolved_at is null ${source === null ? "" : "and source = :source"} order by severity, raised_at, id`, source === null ? {} : { source })
    .map(alertOf);
}

export interface AlertPage {
  /** Of these sources only, and then nothing that is of no source; left out or null: all. */
  readonly sources?: readonly string[] | null;
  readonly source: string | null;
  readonly severity: Severity | null;
  readonly state: Alert["state"] | null;
  readonly limit: number;
  readonly offset: number;
  /** `worst-open`: what is not over first, by severity. */
  readonly order?: "newest" | "worst-open";
}

const STATE_CONDITIONS: Readonly<Record<Alert["state"], string>> = {
  open: "resolved_at is null and acknowledged_at is null",
  acknowledged: "resolved_at is null and acknowledged_at is not null",
  resolved: "resolved_at is not null",
};

const ORDERS: Readonly<Record<NonNullable<AlertPage["order"]>, string>> = {
  newest: "",
  "worst-open": "resolved_at is not null, case when resolved_at is null then severity end,",
};

/** One page of all alerts there ever were. */
export function pageOfAlerts(catalog: Catalog, { sources = null, source, severity, state, limit, offset, order = "newest" }: AlertPage): Alert[] {
  const conditions = [
    sources === null ? "" : "source in (select value from json_each(:sources))",
    source === null ? "" : "source = :source",
    severity === null ? "" : "severity = :severity",
    state === null ? "" : STATE_CONDITIONS[state],
  ].filter((text) => text !== "");
  const values: Record<string, SqlValue> = {
    ...(sources === null ? {} : { sources: JSON.stringify(sources) }),
    ...(source === null ? {} : { source }),
    ...(severity === null ? {} : { severity }),
    limit,
    offset,
  };
  const where = conditions.length === 0 ? "" : `where ${conditions.join(" and ")}`;
  return catalog.all(`select * from alerts ${where} order by ${ORDERS[order]} raised_at desc, id desc limit :limit offset :offset`, values).map(alertOf);
}

export function findAlert(catalog: Catalog, id: string): Alert | null {
  const [row] = catalog.all("select * from alerts where id = :id", { id });
  return row === undefined ? null : alertOf(row);
}

/** How many are not over, of each severity: what is at none is 0. */
export function countOpenAlerts(catalog: Catalog): Readonly<Record<Severity, number>> {
  const counts: Record<Severity, number> = { P1: 0, P2: 0, P3: 0, P4: 0 };
  for (const row of catalog.all("select severity, count(*) as count from alerts where resolved_at is null group by severity")) {
    const severity = SEVERITIES.find((known) => known === row["severity"]);
    if (severity !== undefined) counts[severity] = numberOrNull(row, "count") ?? 0;
  }
  return counts;
}

/** How many are not over, by source; those of no source under an empty name. */
export function countOpenAlertsBySource(catalog: Catalog): ReadonlyMap<string, number> {
  const rows = catalog.all("select coalesce(source, '') as source, count(*) as count from alerts where resolved_at is null group by 1");
  return new Map(rows.map((row) => [textOf(row, "source"), numberOrNull(row, "count") ?? 0]));
}

/** What of an open alert decides whether it goes on. */
export function standingOf({ id, key, kind, detail }: Alert): StandingAlert {
  return { id, key, kind: isAlertKind(kind) ? kind : null, detail };
}

function alertOf(row: SqlRow): Alert {
  const [acknowledgedAt, resolvedAt] = [textOrNull(row, "acknowledged_at"), textOrNull(row, "resolved_at")];
  return {
    id: textOf(row, "id"),
    key: textOf(row, "key"),
    kind: textOf(row, "kind"),
    severity: SEVERITIES.find((known) => known === row["severity"]) ?? "P2",
    source: textOrNull(row, "source"),
    repository: textOrNull(row, "repository"),
    title: textOf(row, "title"),
    detail: textOrNull(row, "detail"),
    whatToDo: textOf(row, "what_to_do"),
    since: textOf(row, "since"),
    state: resolvedAt !== null ? "resolved" : acknowledgedAt !== null ? "acknowledged" : "open",
    raisedAt: textOf(row, "raised_at"),
    acknowledgedAt,
    acknowledgedBy: textOrNull(row, "acknowledged_by"),
    acknowledgeReason: textOrNull(row, "acknowledge_reason"),
    resolvedAt,
  };
}
