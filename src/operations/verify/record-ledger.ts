import type { Catalog } from "../../catalog/catalog.ts";
import { listVerified } from "../../catalog/verified.ts";
import { oldestPendingResult, pendingResults, readLedger } from "../../catalog/verify-ledger.ts";
import type { LedgerStretch } from "../../catalog/verify-ledger.ts";
import { wholeUnit } from "../../domain/verify-ledger.ts";
import type { Journal } from "../record-run.ts";
import { recordEntry } from "../record-run.ts";

/** So old may results become before they are evidence. */
const RECORD_AFTER_MS = 3_600_000;

/** Pieces in one entry: in stretches they are some kilobytes, and a megabyte where every other one is a stretch of its own. */
const PIECES_PER_ENTRY = 20_000;

/** Puts into the evidence what was verified piece by piece since the last entry about it: of one source, or of all. Done twice, or after a crash in between, it says the same. */
export async function recordLedger(journal: Journal, source: string | null): Promise<void> {
  for (;;) {
    const { pieces, stretches } = pendingResults(journal.catalog, source, PIECES_PER_ENTRY);
    if (pieces === 0) return;
    await recordEntry(journal, "verify.ledger", { source, ledger: stretches, verified: wholeBackups(journal.catalog, stretches) });
    if (pieces < PIECES_PER_ENTRY) return;
  }
}

/** As above, for all sources, once the oldest result is an hour old. Whether it did. */
export async function recordOldLedger(journal: Journal): Promise<boolean> {
  const oldest = oldestPendingResult(journal.catalog);
  if (oldest === null || journal.clock.now().getTime() - Date.parse(oldest) < RECORD_AFTER_MS) return false;
  await recordLedger(journal, null);
  return true;
}

/** Backups of which a piece was verified, and with it all of them: such a backup is verified, as of its oldest piece. */
function wholeBackups(catalog: Catalog, stretches: readonly LedgerStretch[]): object[] {
  const places = Map.groupBy(
    stretches.filter(({ kind }) => kind !== "wal"),
    ({ source, repository }) => JSON.stringify([source, repository]),
  );
  return [...places.values()].flatMap((touched) => {
    const [first] = touched;
    if (first === undefined) return [];
    const { source, repository } = first;
    const units = new Set(touched.map(({ unit }) => unit));
    // Damage may lie in what a backup was made from, and then all its own pieces are good: only a look at the whole says that it is over.
    for (const known of listVerified(catalog, source)) if (known.repository === repository && !known.ok) units.delete(known.backup);
    const lines = readLedger(catalog, { source, repository }).filter(({ unit }) => units.has(unit));
    return [...Map.groupBy(lines, ({ unit }) => unit)].flatMap(([backup, own]) => {
      const whole = wholeUnit(own);
      return whole === null ? [] : [{ source, repository, backup, ok: true, ...whole }];
    });
  });
}
