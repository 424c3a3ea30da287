import { existsSync } from "node:fs";
import path from "node:path";
import { parseSegmentName, segmentName } from "../../domain/wal-segment.ts";
import type { Repository } from "../../repository/repository.ts";
import { getWal, openCluster } from "./get-wal.ts";
import type { WalOwner } from "./get-wal.ts";

const MOST_AHEAD = 64;

/** Fetches whole segments that follow one, into the folder that it was put into, from the first copy that has them. What cannot be had now is asked for again when it is needed: nothing fails here. */
export async function readAhead(
  repositories: readonly Repository[],
  owner: WalOwner,
  { file, destination, count }: { file: string; destination: string; count: number },
): Promise<void> {
  if (!(count > 0)) return;
  for (const repository of repositories) {
    const view = await openCluster(repository, owner).catch(() => null);
    const segment = view === null ? null : parseSegmentName(file, view.place.segmentBytes);
    if (view === null || segment === null) continue;
    for (let ahead = 1n; ahead <= BigInt(Math.min(count, MOST_AHEAD)); ahead++) {
      const next = segmentName({ timeline: segment.timeline, number: segment.number + ahead }, view.place.segmentBytes);
      const place = path.join(path.dirname(destination), next);
      if (existsSync(place)) continue;
      if (!view.inventory.segments.has(next)) break;
      const outcome = await getWal(repository, owner, next, place).catch(() => null);
      if (outcome !== "delivered") break;
    }
  }
}
