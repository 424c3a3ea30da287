import { z } from "zod";
import { parseSegmentName, segmentName, timelineHex } from "../domain/wal-segment.ts";
import { readNewest, writeDocument } from "./document.ts";
import { baseName, keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";
import type { WalPlace } from "./wal-archive.ts";

/** Segments removed on purpose, so that they are not taken for a gap: ranges of segment numbers on one timeline, ascending, not touching. */
export interface ExpiredRange {
  readonly first: bigint;
  readonly last: bigint;
}

const expiredSchema = z.object({ ranges: z.array(z.tuple([z.string(), z.string()])) });

export async function readExpired(repository: Repository, place: WalPlace, timeline: number): Promise<ExpiredRange[]> {
  const document = await readNewest(repository, keys.walExpired(place.source, place.systemIdentifier, timelineHex(timeline)), "wal-expired", expiredSchema);
  return (document?.payload.ranges ?? []).map(([first, last]) => ({
    first: parseSegmentName(first, place.segmentBytes)?.number ?? 0n,
    last: parseSegmentName(last, place.segmentBytes)?.number ?? -1n,
  }));
}

/** Writes down what is about to be removed, together with all that was removed before; then the older documents go. */
export async function recordExpired(repository: WritableRepository, place: WalPlace, timeline: number, numbers: readonly bigint[]): Promise<void> {
  await recordExpiredRanges(
    repository,
    place,
    timeline,
    numbers.map((number) => ({ first: number, last: number })),
  );
}

/** As above, of ranges: also of those that were removed elsewhere, and so never came here. */
export async function recordExpiredRanges(repository: WritableRepository, place: WalPlace, timeline: number, more: readonly ExpiredRange[]): Promise<void> {
  const folder = keys.walExpired(place.source, place.systemIdentifier, timelineHex(timeline));
  const before = await repository.store.listNames(folder);
  const ranges = mergeRanges([...(await readExpired(repository, place, timeline)), ...more]);
  const name = (number: bigint): string => segmentName({ timeline, number }, place.segmentBytes);
  const next = Number(baseName(before.at(-1) ?? "0")) + 1;
  await writeDocument(
    repository,
    keys.walExpiry(place.source, place.systemIdentifier, timelineHex(timeline), next),
    "wal-expired",
    { ranges: ranges.map(({ first, last }) => [name(first), name(last)]) },
    repository.signer,
  );
  await repository.store.remove(before.map((old) => folder + old));
}

/** Sorted, and joined where they touch or overlap. */
function mergeRanges(ranges: readonly ExpiredRange[]): ExpiredRange[] {
  const merged: { first: bigint; last: bigint }[] = [];
  for (const range of ranges.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    const last = merged.at(-1);
    if (last !== undefined && range.first <= last.last + 1n) last.last = range.last > last.last ? range.last : last.last;
    else merged.push({ ...range });
  }
  return merged;
}
