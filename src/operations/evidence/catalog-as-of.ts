import { rm } from "node:fs/promises";
import { Catalog } from "../../catalog/catalog.ts";
import { applyEntry, writersApplied } from "../../catalog/apply-entry.ts";
import { inOrder, readEvidence } from "../../repository/evidence-reading.ts";
import type { EvidenceEntry } from "../../repository/evidence-entry.ts";
import type { Installation } from "../installation.ts";

/** The history as it was known at a moment: a catalog made from what was on record by then, in a file of its own that goes with it. */
export interface CatalogAsOf extends AsyncDisposable {
  readonly catalog: Catalog;
  /** The newest entry of this host at the time; null: there was none. */
  readonly head: { readonly writer: string; readonly sequence: number; readonly sha256: string } | null;
}

/** `file`: where there is none yet. Entries of other hosts are read from the repositories, if the history knows any. */
export async function openCatalogAsOf(installation: Installation, at: Date, file: string): Promise<CatalogAsOf> {
  const { evidence } = installation.journal;
  await using made = new AsyncDisposableStack();
  made.defer(async () => {
    for (const suffix of ["", "-wal", "-shm"]) await rm(file + suffix, { force: true });
  });
  const catalog = made.adopt(Catalog.open(file), (open) => open[Symbol.dispose]());
  let head: CatalogAsOf["head"] = null;
  const others = await entriesOfOthers(installation);
  if (others.length === 0) {
    // One log is gone through without being held.
    for await (const entry of evidence.entriesFrom(1)) if (isKnown(entry, at)) head = take(catalog, entry);
  } else {
    const own: EvidenceEntry[] = [];
    for await (const entry of evidence.entriesFrom(1)) own.push(entry);
    for (const entry of inOrder([...own, ...others])) {
      if (!isKnown(entry, at)) continue;
      const taken = take(catalog, entry);
      if (entry.writer === evidence.writer) head = taken;
    }
  }
  const held = made.move();
  return { catalog, head, [Symbol.asyncDispose]: async () => held.disposeAsync() };
}

function isKnown(entry: EvidenceEntry, at: Date): boolean {
  return Date.parse(entry.at) <= at.getTime();
}

function take(catalog: Catalog, entry: EvidenceEntry): NonNullable<CatalogAsOf["head"]> {
  applyEntry(catalog, entry);
  return { writer: entry.writer, sequence: entry.sequence, sha256: entry.sha256 };
}

async function entriesOfOthers(installation: Installation): Promise<EvidenceEntry[]> {
  const { catalog, inventory, journal } = installation;
  const own = journal.evidence.writer;
  if (writersApplied(catalog).every((writer) => writer === own)) return [];
  const entries = new Map<string, EvidenceEntry>();
  for (const name of inventory.repositories.keys())
    for (const entry of (await readEvidence(await installation.repository(name))).entries) if (entry.writer !== own) entries.set(`${entry.writer}/${entry.sequence}`, entry);
  return [...entries.values()].toSorted((a, b) => (a.writer === b.writer ? a.sequence - b.sequence : a.writer < b.writer ? -1 : 1));
}
