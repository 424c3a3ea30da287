import { z } from "zod";
import { sizesOf, toRanges, toRuns } from "../domain/verify-ledger.ts";
import type { LedgerLine, LedgerObject, LedgerSummary, StoredObject } from "../domain/verify-ledger.ts";
import { reaches, VERIFY_TIERS } from "../domain/verify-tier.ts";
import type { VerifyTier } from "../domain/verify-tier.ts";
import type { Catalog, SqlRow } from "./catalog.ts";
import { numberOrNull, textOf, textOrNull } from "./catalog.ts";
import type { HistoryEntry } from "./history-entry.ts";

/**
 * The ledger of verification: every piece that a repository holds of a source, and when it was verified last and how deep. A job writes here at once; the evidence follows in stretches, with the next
 * entry `verify.ledger` (at most an hour later), from which the ledger is made again where the catalog is lost.
 */
export interface LedgerPlace {
  readonly source: string;
  readonly repository: string;
}

export interface LedgerResult extends StoredObject {
  readonly tier: VerifyTier;
  readonly ok: boolean;
}

/** What is there now: pieces that are new are known and not verified, those that are gone are forgotten. */
export function knowPopulation(catalog: Catalog, { source, repository }: LedgerPlace, objects: readonly StoredObject[]): void {
  catalog.transaction(() => {
    const there = new Set<string>();
    for (const { unit, kind, number, bytes } of objects) {
      there.add(`${unit} ${kind} ${number}`);
      catalog.run(
        `insert into verify_ledger (source, repository, unit, kind, number, bytes) values (:source, :repository, :unit, :kind, :number, :bytes)
         on conflict do update set bytes = max(bytes, excluded.bytes)`,
        { source, repository, unit, kind, number, bytes },
      );
    }
    for (const { unit, kind, number } of readLedger(catalog, { source, repository }))
      if (!there.has(`${unit} ${kind} ${number}`))
        catalog.run("delete from verify_ledger where source = :source and repository = :repository and unit = :unit and kind = :kind and number = :number", {
          source,
          repository,
          unit,
          kind,
          number,
        });
  });
}

/** Damage stands until somebody looked as deep again. A look at names alone verifies nothing. */
export function noteVerified(catalog: Catalog, place: LedgerPlace, results: readonly LedgerResult[], at: Date): void {
  catalog.transaction(() => {
    for (const result of results) if (reaches(result.tier, "stored")) note(catalog, place, result, { at: at.toISOString(), pending: true });
  });
}

function note(
  catalog: Catalog,
  { source, repository }: LedgerPlace,
  { unit, kind, number, bytes, tier, ok }: LedgerResult,
  { at, pending }: { at: string; pending: boolean },
): void {
  catalog.run(
    `insert into verify_ledger (source, repository, unit, kind, number, bytes, tier, ok, at, pending) values (:source, :repository, :unit, :kind, :number, :bytes, :tier, :ok, :at, :pending)
     on conflict do update set bytes = max(bytes, excluded.bytes), tier = excluded.tier, ok = excluded.ok, at = excluded.at, pending = excluded.pending
       where verify_ledger.at is null or (excluded.at >= verify_ledger.at and (verify_ledger.ok = 1 or excluded.ok = 0 or ${tierDepth("excluded.tier")} >= ${tierDepth("verify_ledger.tier")}))`,
    { source, repository, unit, kind, number, bytes, tier, ok: ok ? 1 : 0, at, pending: pending ? 1 : 0 },
  );
}

/** Depth of a verification in SQL; one that nobody knows is the shallowest. */
export function tierDepth(column: string): string {
  return `case ${column} ${VERIFY_TIERS.map((tier, depth) => `when '${tier}' then ${depth}`).join(" ")} else -1 end`;
}

/** In the order of units and numbers. */
export function readLedger(catalog: Catalog, { source, repository }: LedgerPlace): LedgerLine[] {
  return catalog.all("select * from verify_ledger where source = :source and repository = :repository order by unit, kind, number", { source, repository }).map(lineOf);
}

function lineOf(row: SqlRow): LedgerLine {
  const object = { ...objectOf(row), bytes: numberOrNull(row, "bytes") ?? 0 };
  const at = textOrNull(row, "at");
  const tier = VERIFY_TIERS.find((known) => known === row["tier"]);
  return at === null || tier === undefined ? { ...object, tier: null, ok: null, at: null } : { ...object, tier, ok: row["ok"] === 1, at };
}

function objectOf(row: SqlRow): LedgerObject {
  return { unit: textOf(row, "unit"), kind: textOf(row, "kind") as LedgerObject["kind"], number: numberOrNull(row, "number") ?? 0 };
}

/** Of each repository that was looked at piece by piece. */
export function summariseLedger(catalog: Catalog, source: string): (LedgerSummary & { readonly repository: string })[] {
  return catalog
    .all(
      `select repository, count(*) as objects, sum(bytes) as bytes, count(at) as verified, sum(case when at is null then 0 else bytes end) as verified_bytes, sum(ok = 0) as damaged,
         case when count(at) = count(*) then min(at) end as oldest, sum(kind = 'wal') as wal, sum(kind = 'wal' and at is not null) as verified_wal
       from verify_ledger where source = :source group by repository order by repository`,
      { source },
    )
    .map((row) => ({
      repository: textOf(row, "repository"),
      objects: numberOrNull(row, "objects") ?? 0,
      bytes: numberOrNull(row, "bytes") ?? 0,
      verifiedObjects: numberOrNull(row, "verified") ?? 0,
      verifiedBytes: numberOrNull(row, "verified_bytes") ?? 0,
      damagedObjects: numberOrNull(row, "damaged") ?? 0,
      oldestVerifiedAt: textOrNull(row, "oldest"),
      walSegments: numberOrNull(row, "wal") ?? 0,
      verifiedWalSegments: numberOrNull(row, "verified_wal") ?? 0,
    }));
}

const stretchSchema = z.object({
  source: z.string(),
  repository: z.string(),
  unit: z.string(),
  kind: z.enum(["data", "map", "wal"]),
  tier: z.enum(VERIFY_TIERS),
  ok: z.boolean(),
  at: z.string(),
  ranges: z.array(z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()])),
  /** Bytes of the pieces in the order of their numbers, each size with how many have it one after the other. */
  sizes: z.array(z.tuple([z.number().int().nonnegative(), z.number().int().positive()])).default([]),
});
/** Pieces that were verified together, as they stand in an entry. */
export type LedgerStretch = z.infer<typeof stretchSchema>;

/** When the oldest result that is not in the evidence yet was found; null: all are. */
export function oldestPendingResult(catalog: Catalog): string | null {
  const [row] = catalog.all("select min(at) as at from verify_ledger where pending = 1");
  return row === undefined ? null : textOrNull(row, "at");
}

/** What is not in the evidence yet, at most `limit` pieces; of one source, or of all. */
export function pendingResults(catalog: Catalog, source: string | null, limit: number): { readonly pieces: number; readonly stretches: LedgerStretch[] } {
  const where = source === null ? "" : "and source = :source";
  const rows = catalog.all(`select * from verify_ledger where pending = 1 ${where} order by source, repository, unit, kind, number limit :limit`, {
    limit,
    ...(source === null ? {} : { source }),
  });
  const groups = Map.groupBy(rows, (row) => JSON.stringify(["source", "repository", "unit", "kind", "tier", "ok", "at"].map((column) => row[column])));
  const stretches = [...groups.values()].map((members) => {
    const [first = {}] = members;
    return stretchSchema.parse({
      ...first,
      ok: first["ok"] === 1,
      ranges: toRanges(members.map((row) => Number(row["number"]))),
      sizes: toRuns(members.map((row) => Number(row["bytes"]))),
    });
  });
  return { pieces: rows.length, stretches };
}

/** As many numbers as one stretch may name: what somebody wrote into an entry does not fill the disk. */
const MOST_NUMBERS = 1_000_000;

/** Brings an entry `verify.ledger` into the ledger: what was pending is no longer. Doing it twice changes nothing. */
export function applyLedger(catalog: Catalog, { facts }: HistoryEntry): void {
  for (const written of Array.isArray(facts["ledger"]) ? (facts["ledger"] as unknown[]) : []) {
    const parsed = stretchSchema.safeParse(written);
    if (!parsed.success) continue;
    const { ranges, sizes, at, ...stretch } = parsed.data;
    const size = sizesOf(sizes);
    for (const [first, last] of ranges)
      for (let number = first; number <= last && number - first < MOST_NUMBERS; number++)
        note(catalog, stretch, { ...stretch, number, bytes: size.next().value ?? 0 }, { at, pending: false });
  }
}
