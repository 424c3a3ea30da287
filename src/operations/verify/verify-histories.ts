import { z } from "zod";
import { timelineHex } from "../../domain/wal-segment.ts";
import { DamageError } from "../../errors.ts";
import { readDocument } from "../../repository/document.ts";
import type { EvidenceEntry } from "../../repository/evidence-entry.ts";
import { keys } from "../../repository/layout.ts";
import { isCluster } from "../../repository/manifest.ts";
import type { CopyView } from "../copy-view.ts";
import type { DamageReport } from "./verify-report.ts";

const factsSchema = z.object({ timeline: z.number().int().positive(), objects: z.array(z.string()) });

/**
 * Histories, and marks that tell of them, that the evidence log says are here, and are not. A copy may hold nothing else of their timeline. None is ever removed. `evidence`: in order; of
 * each timeline the last entry counts, whoever wrote it: what it does not name was replaced.
 */
export async function reportMissingHistories(view: CopyView, evidence: readonly EvidenceEntry[], report: DamageReport): Promise<void> {
  const { repository, source, place, listing } = view;
  const expected = new Map<number, readonly string[]>();
  for (const { kind, facts } of evidence) {
    if (kind !== "wal.history" || facts["source"] !== source || facts["repositoryId"] !== repository.repositoryId || facts["systemIdentifier"] !== place.systemIdentifier) continue;
    const known = factsSchema.safeParse(facts);
    if (known.success) expected.set(known.data.timeline, known.data.objects);
  }
  const folder = keys.histories(source, place.systemIdentifier);
  const there = new Set([...(await repository.store.listNames(folder)).map((name) => folder + name), ...(await verifyMarks(view, report))]);
  for (const [timeline, objects] of expected) {
    const backups = listing.backups.filter(isCluster).flatMap(({ manifest }) => (manifest.postgres.timeline >= timeline ? [manifest.id] : []));
    // Where something else here is of its timeline, its history was missed already.
    const isMissed = report.has(keys.history(source, place.systemIdentifier, timelineHex(timeline)));
    for (const object of objects.filter((one) => !there.has(one) && !(isMissed && one.startsWith(folder))))
      report.add(new DamageError(object, "the object is not there; the evidence log says that it was stored", "missing"), { backups });
  }
}

/** Those that are there. What an earlier version wrote has none. */
async function verifyMarks({ repository, source, place, histories, damage }: CopyView, report: DamageReport): Promise<string[]> {
  const marks: string[] = [];
  for (const timeline of new Set([...histories.keys(), ...damage.keys()])) {
    if (timeline === 1) continue;
    const mark = keys.walHistoryMark(source, place.systemIdentifier, timelineHex(timeline));
    try {
      await readDocument(repository, mark, "wal-history", z.object({ timeline: z.literal(timeline), systemIdentifier: z.literal(place.systemIdentifier) }));
      marks.push(mark);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      if (error.kind === "missing") continue;
      report.add(error);
      marks.push(mark);
    }
  }
  return marks;
}
