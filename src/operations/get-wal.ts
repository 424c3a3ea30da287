import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { parseLsn } from "../domain/lsn.ts";
import { parseSegmentName, segmentStart, walFileKind } from "../domain/wal-segment.ts";
import { readHistory } from "../repository/wal-archive.ts";
import { CopyView } from "./copy-view.ts";
import type { Repository } from "../repository/repository.ts";

/** Whether a file was delivered, or is proven not to exist in this history. Anything else is an error, which PostgreSQL must see as one. */
export type GetOutcome = "delivered" | "does-not-exist";

/**
 * Fetches one file for PostgreSQL's `restore_command`. PostgreSQL takes any exit code up to 125 for "the WAL ends here", promotes, and loses what follows without a word: so "does not exist" is said only
 * after a complete listing that shows nothing behind it.
 */
export async function getWal(repository: Repository, source: string, file: string, destination: string): Promise<GetOutcome> {
  const kind = walFileKind(file);
  // Nothing is ever stored under these names; and PostgreSQL asks for them only to find that out.
  if (kind === "partial" || kind === "backup" || kind === "other") return "does-not-exist";
  const view = await CopyView.open(repository, source);
  if (view === null) throw new Error(`${repository.name} holds nothing of ${source}`);
  if (kind === "history") {
    const content = await readHistory(repository, view.place, Number.parseInt(file.slice(0, 8), 16));
    if (content === null) return "does-not-exist";
    await deliver(content, destination);
    return "delivered";
  }
  const segment = parseSegmentName(file, view.place.segmentBytes);
  if (segment === null) return "does-not-exist";
  if (view.inventory.segments.has(file) || view.inventory.parts.has(file)) {
    const bytes = await view.read(file);
    await deliver(Buffer.concat([bytes, Buffer.alloc(view.place.segmentBytes - bytes.length)]), destination);
    return "delivered";
  }
  refuseGap(view, file, segment.timeline, segment.number);
  return "does-not-exist";
}

/** A segment that is missing while later ones of its timeline are there, or that was reported durable, is a hole and not the end. */
function refuseGap(view: CopyView, file: string, timeline: number, number: bigint): void {
  const later = [...view.inventory.segments.keys(), ...view.inventory.parts.keys()].some((name) => {
    const other = parseSegmentName(name, view.place.segmentBytes);
    return other?.timeline === timeline && other.number > number;
  });
  const position = view.stream?.position ?? null;
  const reported = position?.timeline === timeline && parseLsn(position.lsn) > segmentStart({ timeline, number }, view.place.segmentBytes);
  if (later || reported) throw new Error(`${file} is missing and WAL after it is there: a gap, not the end`);
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
