import { z } from "zod";
import { parseSegmentName, segmentName } from "../domain/wal-segment.ts";
import { DamageError } from "../errors.ts";
import { readDocument, writeDocument } from "./document.ts";
import { keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";
import { ledgerSchema, readLedger } from "./wal-archive.ts";
import type { SegmentLedger, WalPlace } from "./wal-archive.ts";

/** The index over 256 aligned segments: their ledgers and objects in one signed document, so that a day of WAL is not thousands of reads. */
const GROUP = 256n;

const indexSchema = z.object({ segments: z.array(z.object({ object: z.string(), ledger: ledgerSchema })).max(Number(GROUP)) });

/** Writes the index of a group when its last segment is stored, or the first of the next (if a process died in between). Returns whether it did. */
export async function writeIndexAfter(repository: WritableRepository, place: WalPlace, segment: string): Promise<boolean> {
  const stored = parseSegmentName(segment, place.segmentBytes);
  if (stored === null || stored.number === 0n) return false;
  const last = stored.number % GROUP === 0n ? { ...stored, number: stored.number - 1n } : stored;
  if (last.number % GROUP !== GROUP - 1n) return false;
  const [first, end] = [last.number - GROUP + 1n, last.number].map((number) => segmentName({ timeline: last.timeline, number }, place.segmentBytes)) as [string, string];
  const key = keys.walIndex(place.source, place.systemIdentifier, first, end);
  if ((await repository.store.size(key)) !== null) return false;
  const names = Array.from({ length: Number(GROUP) }, (_, i) => segmentName({ timeline: last.timeline, number: last.number - GROUP + 1n + BigInt(i) }, place.segmentBytes));
  const segments: { object: string; ledger: SegmentLedger }[] = [];
  let [folder, listed]: [string, string[]] = ["", []];
  for (const name of names) {
    const at = keys.walFolder(place.source, place.systemIdentifier, name);
    if (at !== folder) [folder, listed] = [at, await repository.store.listNames(at)];
    const object = listed.find((entry) => entry.startsWith(`${name}-`));
    // The first group of a source begins in the middle, and a gap leaves a hole: no index then.
    if (object === undefined) return false;
    segments.push({ object: folder + object, ledger: await readLedger(repository, place, name, folder + object) });
  }
  return (await writeDocument(repository, key, "wal-index", { segments }, repository.signer)) === "created";
}

/** Ledgers by segment name from all indexes of a timeline. Damaged ones are left out and returned: the segments themselves still tell. */
export async function readIndexes(repository: Repository, place: WalPlace, timeline: string): Promise<{ ledgers: Map<string, SegmentLedger>; damage: DamageError[] }> {
  const ledgers = new Map<string, SegmentLedger>();
  const damage: DamageError[] = [];
  const folder = keys.walIndexes(place.source, place.systemIdentifier, timeline);
  for (const name of await repository.store.listNames(folder)) {
    try {
      const { payload } = await readDocument(repository, folder + name, "wal-index", indexSchema);
      for (const { ledger } of payload.segments) ledgers.set(ledger.segment, ledger);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      damage.push(error);
    }
  }
  return { ledgers, damage };
}
