import { encodeSummary, decodeSummary } from "../domain/wal-summary-encoding.ts";
import type { WalSummary } from "../domain/wal-summary.ts";
import { DamageError } from "../errors.ts";
import { FrameReader } from "./container-reader.ts";
import { openContainer } from "./open-container.ts";
import type { Container } from "./open-container.ts";
import { appendAll, openContainerWriter } from "./container-writer.ts";
import { keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";

/**
 * Summaries of WAL segments beside them (docs/repository-format.md section 8): which blocks their records changed. They are under the map key, so that a host that can only write
 * reads them too, and they are a cache: all they say is in the WAL.
 */

/** Whose WAL it is. */
interface WalOwner {
  readonly source: string;
  readonly systemIdentifier: string;
}

const ZSTD_LEVEL = 3;
/** That of the largest segment, every record of which changes another block, is shorter. */
const MOST_SUMMARY_BYTES = 64 << 20;

const SEGMENT_OBJECT = /\/([0-9A-F]{24})-([0-9a-f]{32})$/;
const SUMMARY_OBJECT = /\/([0-9A-F]{24})\.([0-9a-f]{32})$/;

/** Where the summary of a segment lies. It has the name of the very content it was made from. */
export function summaryKeyOf(place: WalOwner, segmentObject: string): string {
  const [, segment = "", content = ""] = SEGMENT_OBJECT.exec(segmentObject) ?? [];
  return keys.walSummary(place.source, place.systemIdentifier, segment, content);
}

/** The segment that an object is the summary of, by its name; null where it is none. */
export function summarisedSegment(object: string): string | null {
  return SUMMARY_OBJECT.exec(object)?.[1] ?? null;
}

export async function storeSummary(repository: WritableRepository, place: WalOwner, segmentObject: string, summary: WalSummary, now: Date): Promise<void> {
  const objectKey = summaryKeyOf(place, segmentObject);
  if ((await repository.store.size(objectKey)) !== null) return;
  const bytes = Buffer.from(encodeSummary(summary));
  const writer = await openContainerWriter({ repository, source: place.source, kind: "summary", objectKey, boundKey: objectKey, key: repository.mapKey, now });
  try {
    await appendAll(writer, bytes, ZSTD_LEVEL);
    await writer.finish();
  } finally {
    await writer.abort();
  }
}

/** Reads and authenticates the trailer. Rejects with `DamageError`. */
export async function openSummary(repository: Repository, source: string, object: string): Promise<Container> {
  return openContainer(repository, { objectKey: object, boundKey: object, source, kind: "summary" });
}

/** Rejects with `DamageError`, also where the map key is not at hand. */
export async function readSummary(repository: Repository, container: Container): Promise<WalSummary> {
  const summary = decodeSummary(await new FrameReader(repository, container).readAll(MOST_SUMMARY_BYTES));
  if (summary === null) throw new DamageError(container.objectKey, "it does not decode to a summary of WAL");
  return summary;
}

/** The summary of a segment, or null where there is none that can be used: it is a cache. */
export async function findSummary(repository: Repository, place: WalOwner, segmentObject: string): Promise<WalSummary | null> {
  try {
    return await readSummary(repository, await openSummary(repository, place.source, summaryKeyOf(place, segmentObject)));
  } catch (error) {
    // Verification names it.
    if (error instanceof DamageError) return null;
    throw error;
  }
}

/** Summaries there are of segments of one timeline, as keys. */
export async function listSummaries(repository: Repository, place: WalOwner, timeline: string): Promise<string[]> {
  const folder = keys.walSummaries(place.source, place.systemIdentifier, timeline);
  return (await repository.store.listNames(folder)).map((name) => folder + name).filter((object) => summarisedSegment(object) !== null);
}
