import { formatLsn, lsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { contiguousFrom, endOfWal } from "../../domain/wal-coverage.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { parseSegmentName, segmentStart } from "../../domain/wal-segment.ts";
import { HoldfastError } from "../../errors.ts";
import type { WritableRepository } from "../../repository/repository.ts";
import { listTimelines, listWal, readHistory, readLedger, storeHistory } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import type { OperationContext } from "../context.ts";
import { isOfOneCopy } from "../installation.ts";
import { copySegment } from "../wal/wal-store.ts";
import { WalKeys } from "../wal/wal-keys.ts";

export interface WalNeed {
  readonly place: WalPlace;
  readonly history: TimelineHistory;
  readonly from: Lsn;
  readonly to: Lsn;
}

/** How long nothing may arrive before waiting is given up. */
const NO_PROGRESS_MS = 60_000;
const LOOK_MS = { first: 50, most: 250 } as const;

/** Milliseconds to wait before looking again: what is looked for mostly comes at once. */
export function* lookingPauses(): Generator<number, never> {
  for (let ms: number = LOOK_MS.first; ; ms = Math.min(LOOK_MS.most, ms * 2)) yield ms;
}

/**
 * Waits until a repository holds all WAL of a range. What another of the copies holds is brought over from there: WAL is streamed to the first tier, and every copy of a backup
 * must hold its own.
 */
export async function waitForWal(repository: WritableRepository, others: readonly WritableRepository[], need: WalNeed, context: OperationContext): Promise<void> {
  const pauses = lookingPauses();
  let reachedBefore: Lsn | null = null;
  let since = context.clock.monotonicMs();
  for (;;) {
    const inventory = await listWal(repository, need.place, timelinesOf(need.history));
    const { end } = contiguousFrom(inventory, need.history, need.from);
    if (end >= need.to) return;
    if (end !== reachedBefore) [reachedBefore, since] = [end, context.clock.monotonicMs()];
    if (context.clock.monotonicMs() - since > NO_PROGRESS_MS)
      throw new HoldfastError("HF-WAL", `WAL does not arrive in ${repository.name}: it reaches ${formatLsn(end)}, ${formatLsn(need.to)} is needed`, {
        hint: "let the role stream (REPLICATION attribute, a 'replication' line in pg_hba.conf), or set archive_command = 'holdfast wal push SOURCE %p'",
        facts: { reached: formatLsn(end), needed: formatLsn(need.to) },
      });
    for (const other of others) await bringOverIfThere(other, repository, need, context);
    await context.clock.sleep(pauses.next().value, context.signal);
  }
}

function timelinesOf({ timeline, forks }: TimelineHistory): number[] {
  return [...forks.map((fork) => fork.timeline), timeline];
}

/** Waits until any of the repositories holds WAL that reaches `need.from`. */
export async function waitForArrival(repositories: readonly WritableRepository[], need: WalNeed, context: OperationContext): Promise<void> {
  for (const pauseMs of lookingPauses()) {
    for (const repository of repositories) if ((await reaches(repository, need)) >= need.from) return;
    await context.clock.sleep(pauseMs, context.signal);
  }
}

/** Where the WAL of a repository ends; one that is away holds nothing. */
async function reaches(repository: WritableRepository, need: WalNeed): Promise<Lsn> {
  try {
    return endOfWal(await listWal(repository, need.place), need.history);
  } catch (error) {
    if (!isOfOneCopy(error)) throw error;
    return lsn(0n);
  }
}

/** What another copy cannot give is not this copy's fault: it may come another way. */
async function bringOverIfThere(from: WritableRepository, to: WritableRepository, need: WalNeed, context: OperationContext): Promise<void> {
  try {
    await bringOver(from, to, need, context);
  } catch (error) {
    if (!isOfOneCopy(error)) throw error;
  }
}

/** Copies complete segments of the range, and history files, that one repository has and the other lacks. */
async function bringOver(from: WritableRepository, to: WritableRepository, need: WalNeed, context: OperationContext): Promise<void> {
  if (!from.keyRing.canOpenData) return;
  const [source, target] = [await listWal(from, need.place), await listWal(to, need.place)];
  const store = { place: need.place, walKeys: new WalKeys(context.clock), clock: context.clock };
  for (const timeline of await listTimelines(from, need.place)) {
    const content = await readHistory(from, need.place, timeline);
    if (content !== null && (await readHistory(to, need.place, timeline)) === null)
      await storeHistory(to, need.place, timeline, content, { dataKey: await store.walKeys.for(to), now: context.clock.now() });
  }
  for (const name of contiguousFrom(source, need.history, need.from).names) {
    const objects = source.segments.get(name)?.objects;
    const [object] = objects ?? [];
    const segment = parseSegmentName(name, need.place.segmentBytes);
    if (segment === null || segmentStart(segment, need.place.segmentBytes) >= need.to) break;
    if (objects === undefined || object === undefined || target.segments.has(name)) continue;
    await copySegment(from, to, store, name, objects, await readLedger(from, need.place, name, object));
  }
}
