import { applyEntry } from "../catalog/runs.ts";
import { inOrder, readEvidence } from "../repository/evidence-reading.ts";
import type { EvidenceEntry } from "../repository/evidence-entry.ts";
import { observeAndKeep } from "./observe.ts";
import type { Installation } from "./installation.ts";

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
  for (const source of installation.inventory.sources.values()) await observeAndKeep(installation, source);
  return { entries: ordered.length, writers: new Set(ordered.map(({ writer }) => writer)).size };
}
