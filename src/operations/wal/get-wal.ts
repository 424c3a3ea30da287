import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { addBytes } from "../../domain/lsn.ts";
import { heldSegments } from "../../domain/wal-coverage.ts";
import { parseSegmentName, segmentStart, walFileKind } from "../../domain/wal-segment.ts";
import type { WalSegment } from "../../domain/wal-segment.ts";
import { HoldfastError } from "../../errors.ts";
import { readHistory } from "../../repository/wal-archive.ts";
import { CopyView } from "../copy-view.ts";
import type { Repository } from "../../repository/repository.ts";

/** Whether a file was delivered, or is proven not to exist in this history. Anything else is an error, which PostgreSQL must see as one. */
export type GetOutcome = "delivered" | "does-not-exist";

/** Whose WAL is asked for. `cluster`: a system identifier; left out or null: of the cluster that the source is bound to. */
export interface WalOwner {
  readonly source: string;
  readonly cluster?: string | null;
}

export async function openCluster(repository: Repository, { source, cluster = null }: WalOwner): Promise<CopyView | null> {
  const view = await CopyView.open(repository, source);
  if (view === null || cluster === null || view.systemIdentifier === cluster) return view;
  return (await view.former()).find(({ systemIdentifier }) => systemIdentifier === cluster) ?? null;
}

/**
 * Fetches one file for PostgreSQL's `restore_command`. PostgreSQL takes any exit code up to 125 for "the WAL ends here", promotes, and loses what follows without a word: so "does not exist" is said only
 * after a complete listing that shows nothing behind it.
 */
export async function getWal(repository: Repository, { source, cluster = null }: WalOwner, file: string, destination: string): Promise<GetOutcome> {
  const kind = walFileKind(file);
  // Nothing is ever stored under these names; and PostgreSQL asks for them only to find that out.
  if (kind === "partial" || kind === "backup" || kind === "other") return "does-not-exist";
  const view = await openCluster(repository, { source, cluster });
  if (view === null)
    throw new HoldfastError("HF-NO-BACKUP", `${repository.name} holds nothing of ${source}${cluster === null ? "" : `, cluster ${cluster}`}`, {
      hint: "'holdfast info --repository' shows what it holds",
    });
  if (kind === "history") {
    const timeline = Number.parseInt(file.slice(0, 8), 16);
    const content = await readHistory(repository, view.place, timeline);
    if (content === null) {
      // PostgreSQL would take the timeline for free, end on the one before, and begin it a second time. The first has no history, and PostgreSQL asks for it all the same.
      if (timeline > 1 && holdsWalOf(view, timeline))
        throw new HoldfastError("HF-WAL", `${file} is missing and WAL of its timeline is there`, { hint: "run 'holdfast verify'; restore from another copy" });
      return "does-not-exist";
    }
    await deliver(content, destination);
    return "delivered";
  }
  const segment = parseSegmentName(file, view.place.segmentBytes);
  if (segment === null) return "does-not-exist";
  const unfinished = view.inventory.parts.get(file);
  // Of an unfinished segment PostgreSQL sees the end where our bytes end: it must be the end.
  if (!view.inventory.segments.has(file) && unfinished !== undefined) refuseGap(view, file, segment, unfinished.furthestBytes, unfinished.contiguousBytes);
  if (view.inventory.segments.has(file) || unfinished !== undefined) {
    const bytes = await view.read(file);
    await deliver(Buffer.concat([bytes, Buffer.alloc(view.place.segmentBytes - bytes.length)]), destination);
    return "delivered";
  }
  refuseGap(view, file, segment, 0, 0);
  return "does-not-exist";
}

function holdsWalOf(view: CopyView, timeline: number): boolean {
  return [...heldSegments(view.inventory)].some((name) => parseSegmentName(name, view.place.segmentBytes)?.timeline === timeline);
}

/** WAL that ends within or before a segment while there is more of its timeline, or more was reported durable, has a hole there and not its end. */
function refuseGap(view: CopyView, file: string, segment: WalSegment, listedBytes: number, heldBytes: number): void {
  const { timeline, number } = segment;
  const later = [...heldSegments(view.inventory)].some((name) => {
    const other = parseSegmentName(name, view.place.segmentBytes);
    return other?.timeline === timeline && other.number > number;
  });
  const reported = view.reportedOn(timeline);
  const isLost = reported !== null && reported > addBytes(segmentStart(segment, view.place.segmentBytes), heldBytes);
  if (later || isLost || listedBytes > heldBytes)
    throw new HoldfastError("HF-WAL", `${file} is missing${heldBytes === 0 ? "" : " in part"} and WAL after it is there: a gap, not the end`, {
      hint: "restore to a point before it with 'holdfast restore --to', or from another copy",
    });
}

/** Whole or not at all, also if the machine stops: PostgreSQL would take a short file for damage, or worse. */
async function deliver(bytes: Buffer, destination: string): Promise<void> {
  const temporary = `${destination}.${randomBytes(6).toString("hex")}`;
  const handle = await open(temporary, "wx", 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await rename(temporary, path.resolve(destination));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
