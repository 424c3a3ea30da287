import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import { stringOr, stringOrNull } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";

/** Versions of policies, projected from evidence: `policy.changed`, `policy.approved`. Kept whole, so that the one in force can be loaded from here; by writer, since each host has its own files. */
export interface PolicyVersion {
  /** Of its entry: with the writer it names the version. */
  readonly sequence: number;
  readonly name: string;
  readonly at: string;
  readonly by: string;
  readonly reason: string | null;
  readonly category: string;
  /** The policy as it is written, with all that it extends, as JSON. */
  readonly written: string;
  /** What it made weaker and stronger, as JSON. */
  readonly difference: string;
  /** Of the entry by which it came into force; null: it never did, or not yet. */
  readonly acceptedBy: number | null;
  readonly approvedBy: string | null;
  readonly approvedAt: string | null;
}

export function applyPolicyEntry(catalog: Catalog, { writer, sequence, at, kind, facts }: HistoryEntry): void {
  const name = facts["name"];
  if (typeof name !== "string") return;
  if (kind === "policy.approved" && typeof facts["change"] === "number")
    catalog.run("update policy_versions set accepted_by = :sequence, approved_by = :by, approved_at = :at where writer = :writer and sequence = :change and accepted_by is null", {
      writer,
      sequence,
      at,
      change: facts["change"],
      by: stringOr(facts["by"], "unknown"),
    });
  if (kind !== "policy.changed" || facts["written"] === undefined) return;
  catalog.run(
    `insert into policy_versions (writer, sequence, name, at, by, reason, category, written, difference, accepted_by) values (:writer, :sequence, :name, :at, :by, :reason, :category, :written, :difference, :acceptedBy)
     on conflict (writer, sequence) do nothing`,
    {
      writer,
      sequence,
      name,
      at,
      by: stringOr(facts["by"], "unknown"),
      reason: stringOrNull(facts["reason"]),
      category: stringOr(facts["category"], "normal"),
      written: JSON.stringify(facts["written"]),
      difference: JSON.stringify(facts["difference"] ?? []),
      acceptedBy: facts["inForce"] === true ? sequence : null,
    },
  );
}

/** The version that came into force last; null: none ever did. */
export function acceptedVersion(catalog: Catalog, writer: string, name: string): PolicyVersion | null {
  const [row] = catalog.all("select * from policy_versions where writer = :writer and name = :name and accepted_by is not null order by accepted_by desc limit 1", {
    writer,
    name,
  });
  return row === undefined ? null : versionOf(row);
}

/** The entry by which anything last came into force on a host; 0: nothing ever did. */
export function newestAcceptance(catalog: Catalog, writer: string): number {
  const [row] = catalog.all("select max(accepted_by) as newest from policy_versions where writer = :writer", { writer });
  return row === undefined ? 0 : (numberOrNull(row, "newest") ?? 0);
}

/** Of every source that is on record as given to a policy (`source:NAME`), the version that came into force last. */
export function acceptedSources(catalog: Catalog, writer: string): PolicyVersion[] {
  return catalog
    .all(`select *, max(accepted_by) from policy_versions where writer = :writer and name glob 'source:*' and accepted_by is not null group by name order by name`, { writer })
    .map(versionOf);
}

/** Names of all that is waiting for approval or ever came into force for sources. */
export function sourceVersionNames(catalog: Catalog, writer: string): string[] {
  return catalog.all(`select distinct name from policy_versions where writer = :writer and name glob 'source:*' order by name`, { writer }).map((row) => textOf(row, "name"));
}

/** The newest version; null: there is none. */
export function newestVersion(catalog: Catalog, writer: string, name: string): PolicyVersion | null {
  const [row] = catalog.all("select * from policy_versions where writer = :writer and name = :name order by sequence desc limit 1", { writer, name });
  return row === undefined ? null : versionOf(row);
}

function versionOf(row: SqlRow): PolicyVersion {
  return {
    sequence: numberOrNull(row, "sequence") ?? 0,
    name: textOf(row, "name"),
    at: textOf(row, "at"),
    by: textOf(row, "by"),
    reason: textOrNull(row, "reason"),
    category: textOf(row, "category"),
    written: textOf(row, "written"),
    difference: textOf(row, "difference"),
    acceptedBy: numberOrNull(row, "accepted_by"),
    approvedBy: textOrNull(row, "approved_by"),
    approvedAt: textOrNull(row, "approved_at"),
  };
}
