import type { Catalog } from "./catalog.ts";
import { numberOrNull, textOf } from "./catalog.ts";
import { stringOr } from "./history-entry.ts";
import type { HistoryEntry } from "./history-entry.ts";
import { tierDepth } from "./verify-ledger.ts";

/** What of each backup was verified last, in each of its copies. */
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

/** Each as of the entry, unless it says itself since when: what was verified piece by piece is as old as its oldest piece. */
export function recordAllVerified(catalog: Catalog, { facts, at }: HistoryEntry): void {
  for (const verified of Array.isArray(facts["verified"]) ? (facts["verified"] as Record<string, unknown>[]) : []) recordVerified(catalog, verified, stringOr(verified["at"], at));
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
