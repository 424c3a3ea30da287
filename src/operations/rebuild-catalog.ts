import { applyEntry } from "../catalog/apply-entry.ts";
import { knowPopulation, readLedger } from "../catalog/verify-ledger.ts";
import type { LedgerPlace } from "../catalog/verify-ledger.ts";
import { inOrder, readEvidence } from "../repository/evidence-reading.ts";
import type { EvidenceEntry } from "../repository/evidence-entry.ts";
import { CopyView } from "./copy-view.ts";
import { observeAndKeep } from "./observe.ts";
import { repositoriesOf } from "./installation.ts";
import type { Installation } from "./installation.ts";
import { listPieces } from "./verify/verify-pieces.ts";

/** Fills an empty catalog from the evidence of every writer in every repository. Entries are the same everywhere, so that reading one twice changes nothing. */
export async function rebuildCatalog(installation: Installation): Promise<{ entries: number; writers: number }> {
  const entries = new Map<string, EvidenceEntry>();
  for (const name of installation.inventory.repositories.keys()) {
    const repository = await installation.repository(name);
    for (const entry of (await readEvidence(repository)).entries) entries.set(`${entry.writer}/${entry.sequence}`, entry);
  }
  const byWriter = [...entries.values()].toSorted((a, b) => (a.writer === b.writer ? a.sequence - b.sequence : a.writer.localeCompare(b.writer)));
  // What one host raised another may have taken care of.
  const ordered = inOrder(byWriter);
  for (const entry of ordered) applyEntry(installation.catalog, entry);
  for (const source of installation.inventory.sources.values()) {
    await observeAndKeep(installation, source);
    for (const name of repositoriesOf(source)) await knowPieces(installation, { source: source.name, repository: name });
  }
  return { entries: ordered.length, writers: new Set(ordered.map(({ writer }) => writer)).size };
}

/** Evidence tells of pieces that were verified: also of those that are gone by now, and of none that nobody has verified yet. What was never looked at piece by piece stays so. */
async function knowPieces(installation: Installation, place: LedgerPlace): Promise<void> {
  if (readLedger(installation.catalog, place).length === 0) return;
  const view = await CopyView.open(await installation.repository(place.repository), place.source);
  if (view !== null) knowPopulation(installation.catalog, place, await listPieces(view));
}
