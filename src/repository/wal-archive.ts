import { createHmac } from "node:crypto";
import { z } from "zod";
import { formatLsn } from "../domain/lsn.ts";
import type { WalInventory } from "../domain/wal-coverage.ts";
import type { WalSummary } from "../domain/wal-summary.ts";
import { historyFileName, parseSegmentName, segmentName, timelineHex } from "../domain/wal-segment.ts";
import { parseHistory } from "../domain/timeline.ts";
import type { TimelineHistory } from "../domain/timeline.ts";
import { DamageError } from "../errors.ts";
import { FrameReader } from "./container-reader.ts";
import { openContainer } from "./open-container.ts";
import { appendAll, openContainerWriter } from "./container-writer.ts";
import { writeDocument } from "./document.ts";
import { lsnText, timeText } from "./fields.ts";
import type { SealedKey } from "./key-ring.ts";
import { keys } from "./layout.ts";
import type { Repository, WritableRepository } from "./repository.ts";
import { storeSummary } from "./wal-summaries.ts";

/** The WAL of one cluster in one repository (docs/repository-format.md section 8). */
export interface WalPlace {
  readonly source: string;
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
}

export const ledgerSchema = z.object({
  timeline: z.number().int().positive(),
  systemIdentifier: z.string(),
  segment: z.string(),
  startLsn: lsnText,
  endLsn: lsnText,
  commits: z.number().int().nonnegative(),
  minCommitAt: timeText.nullable(),
  maxCommitAt: timeText.nullable(),
  /** Every record that ends in the segment was read: no transaction is missing in the times. */
  whole: z.boolean().default(false),
  coveredUntil: timeText.nullable(),
  via: z.enum(["stream", "push"]),
  /** A summary of what it changed was stored before it. */
  summarised: z.boolean().default(false),
  /** The segment before it was there when this one was stored: if it is not there any more, somebody removed it. */
  follows: z.boolean(),
});
export type SegmentLedger = z.infer<typeof ledgerSchema>;
/** What the writer knows of a segment; the rest is found out as it is stored. */
export type SegmentFacts = Omit<SegmentLedger, "follows" | "summarised">;

/** A history has a line for each timeline before: this is some twenty thousand promotions. */
const MOST_HISTORY_BYTES = 1 << 20;

/** WAL is compressed at the fastest level: it comes all day, and at level 1 it shrinks six times. */
const WAL_ZSTD_LEVEL = 1;

/** "same": this very content was there already (a retry, or the other way of archiving). "diverged": another content under this name, and both are kept. */
export type StoreOutcome = "created" | "same" | "diverged";

export interface WalWriteOptions {
  readonly dataKey: SealedKey;
  readonly now: Date;
}

export async function storeSegment(
  repository: WritableRepository,
  place: WalPlace,
  segment: string,
  bytes: Buffer,
  facts: SegmentFacts,
  options: WalWriteOptions & { readonly summary?: WalSummary | null },
): Promise<StoreOutcome> {
  const boundKey = keys.walSegment(place.source, place.systemIdentifier, segment);
  const objectKey = `${boundKey}-${contentName(repository, bytes)}`;
  const { summary = null } = options;
  const folder = keys.walFolder(place.source, place.systemIdentifier, segment);
  // All that has to be known before, asked at once: a store far away is far away each time.
  const listed = repository.store.listNames(folder);
  const [names, follows] = await Promise.all([
    listed,
    hasPredecessor(repository, place, segment, listed),
    // First, so that a segment which says that it has one had one.
    summary === null ? null : storeSummary(repository, place, objectKey, summary, options.now),
  ]);
  const others = otherContents(names, folder, segment, objectKey);
  const isThere = names.includes(objectKey.slice(folder.length));
  const ledger: SegmentLedger = { ...facts, summarised: summary !== null, follows };
  const outcome = isThere ? "exists" : await writeContainer(repository, { source: place.source, kind: "wal", objectKey, boundKey }, bytes, { ledger }, options);
  // A host that cannot open what another wrote cannot compare: both stay, and whoever reads them does.
  if (others.length === 0 || !repository.keyRing.canOpenData) return outcome === "created" ? "created" : "same";
  // Another name for this segment may be the same bytes under another name key: only the content tells.
  for (const other of others)
    if (!(await readContainer(repository, { source: place.source, kind: "wal", objectKey: other, boundKey }, place.segmentBytes)).equals(bytes)) return "diverged";
  return "same";
}

/** Whether the segment before it is there. `listed`: the names in its own folder, which is the other's too but for one of 256. */
async function hasPredecessor(repository: Repository, place: WalPlace, segment: string, listed: Promise<readonly string[]>): Promise<boolean> {
  const parsed = parseSegmentName(segment, place.segmentBytes);
  if (parsed === null || parsed.number === 0n) return false;
  const before = segmentName({ timeline: parsed.timeline, number: parsed.number - 1n }, place.segmentBytes);
  const [folder, own] = [before, segment].map((name) => keys.walFolder(place.source, place.systemIdentifier, name)) as [string, string];
  const names = folder === own ? await listed : await repository.store.listNames(folder);
  return names.some((name) => name.startsWith(`${before}-`));
}

export async function storeHistory(repository: WritableRepository, place: WalPlace, timeline: number, content: Buffer, options: WalWriteOptions): Promise<StoreOutcome> {
  const boundKey = keys.history(place.source, place.systemIdentifier, timelineHex(timeline));
  const objectKey = `${boundKey}-${contentName(repository, content)}`;
  const folder = keys.histories(place.source, place.systemIdentifier);
  const names = await repository.store.listNames(folder);
  const others = otherContents(names, folder, timelineHex(timeline), objectKey);
  const isThere = names.includes(objectKey.slice(folder.length));
  const meta = { forks: forksOf(timeline, content) };
  const outcome = isThere ? "exists" : await writeContainer(repository, { source: place.source, kind: "history", objectKey, boundKey }, content, meta, options);
  // Once it is there: what is said to be here, or is on record, and was never made would be missed for ever.
  const mark = await markHistory(repository, place, timeline);
  await repository.onHistory({ source: place.source, systemIdentifier: place.systemIdentifier, timeline, objects: [...others, objectKey, mark].toSorted() });
  for (const other of repository.keyRing.canOpenData ? others : [])
    if (!(await readContainer(repository, { source: place.source, kind: "history", objectKey: other, boundKey }, MOST_HISTORY_BYTES)).equals(content)) return "diverged";
  return outcome === "created" && others.length === 0 ? "created" : "same";
}

/** So that names alone tell whoever looks at this copy that it is about a timeline, also where nothing else in it is. */
async function markHistory(repository: WritableRepository, { source, systemIdentifier }: WalPlace, timeline: number): Promise<string> {
  const mark = keys.walHistoryMark(source, systemIdentifier, timelineHex(timeline));
  if ((await repository.store.size(mark)) === null) await writeDocument(repository, mark, "wal-history", { timeline, systemIdentifier }, repository.signer);
  return mark;
}

/** In clear, for hosts that can open nothing: which timelines a history names, and where each was left. */
function forksOf(timeline: number, content: Buffer): [number, string][] {
  return (parseHistory(timeline, content.toString("utf8"))?.forks ?? []).map((fork) => [fork.timeline, formatLsn(fork.switchpoint)]);
}

const forksSchema = z.array(z.tuple([z.number(), lsnText]));

/** Stores bytes `[from, from + bytes.length)` of a segment that is still being written. */
export async function storePart(
  repository: WritableRepository,
  place: WalPlace,
  segment: string,
  from: number,
  bytes: Buffer,
  options: WalWriteOptions & { random: string },
): Promise<string> {
  const boundKey = keys.walPart(place.source, place.systemIdentifier, segment, from, from + bytes.length);
  const objectKey = `${boundKey}-${options.random}`;
  await writeContainer(repository, { source: place.source, kind: "part", objectKey, boundKey }, bytes, {}, options);
  return objectKey;
}

function otherContents(names: readonly string[], folder: string, name: string, objectKey: string): string[] {
  return names.filter((entry) => entry.startsWith(`${name}-`) && folder + entry !== objectKey).map((entry) => folder + entry);
}

interface WalObject {
  readonly source: string;
  readonly kind: "wal" | "part" | "history";
  readonly objectKey: string;
  readonly boundKey: string;
}

async function writeContainer(repository: WritableRepository, object: WalObject, bytes: Buffer, meta: object, { dataKey, now }: WalWriteOptions): Promise<"created" | "exists"> {
  const writer = await openContainerWriter({ repository, ...object, key: dataKey, now });
  try {
    await appendAll(writer, bytes, WAL_ZSTD_LEVEL);
    return (await writer.finish(meta)).outcome;
  } finally {
    await writer.abort();
  }
}

/** Whether an object's name is that of its content. Null: it was made under another name key, which is not at hand. */
export function fitsName(names: Buffer | null, objectKey: string, bytes: Buffer): boolean | null {
  if (names === null) return null;
  return createHmac("sha256", names).update(bytes).digest("hex").slice(0, 32) === objectKey.slice(-32);
}

/** 128 bits of a keyed digest: equal content converges on one name, and names tell nothing to who has no key. */
function contentName(repository: WritableRepository, bytes: Buffer): string {
  return createHmac("sha256", repository.mapKey.names).update(bytes).digest("hex").slice(0, 32);
}

async function readContainer(repository: Repository, object: WalObject, mostBytes: number): Promise<Buffer> {
  return new FrameReader(repository, await openContainer(repository, object)).readAll(mostBytes);
}

/** A complete segment. Where several objects claim to be it, they must agree. Rejects with `DamageError`. */
export async function readSegment(repository: Repository, place: WalPlace, segment: string, objects: readonly string[]): Promise<Buffer> {
  const boundKey = keys.walSegment(place.source, place.systemIdentifier, segment);
  let content: Buffer | null = null;
  for (const object of objects) {
    const bytes = await readContainer(repository, { source: place.source, kind: "wal", objectKey: object, boundKey }, place.segmentBytes);
    if (bytes.length !== place.segmentBytes) throw new DamageError(object, `the segment has ${bytes.length} bytes`);
    if (content !== null && !content.equals(bytes)) throw new DamageError(object, "two writers left different content for this segment (two primaries?)");
    content = bytes;
  }
  if (content === null) throw new DamageError(boundKey, "the object is not there", "missing");
  return content;
}

/** What is known about a segment without opening its content. */
export async function readLedger(repository: Repository, place: WalPlace, segment: string, object: string): Promise<SegmentLedger> {
  const boundKey = keys.walSegment(place.source, place.systemIdentifier, segment);
  const container = await openContainer(repository, { objectKey: object, boundKey, source: place.source, kind: "wal" });
  const parsed = ledgerSchema.safeParse(container.meta["ledger"]);
  if (!parsed.success || parsed.data.segment !== segment) throw new DamageError(object, "its ledger is not that of the segment");
  return parsed.data;
}

/** The bytes of an unfinished segment from its start, as far as parts reach. Overlaps must agree. Rejects with `DamageError`. */
export async function readParts(repository: Repository, place: WalPlace, segment: string, objects: readonly string[]): Promise<Buffer> {
  const whole = Buffer.alloc(place.segmentBytes);
  let filled = 0;
  for (const object of objects.toSorted()) {
    const part = parsePartKey(object);
    if (part === null || part.from > filled) break;
    const boundKey = keys.walPart(place.source, place.systemIdentifier, segment, part.from, part.to);
    const bytes = await readContainer(repository, { source: place.source, kind: "part", objectKey: object, boundKey }, place.segmentBytes);
    if (bytes.length !== part.to - part.from) throw new DamageError(object, `holds ${bytes.length} bytes`);
    const overlap = Math.min(filled, part.to) - part.from;
    if (!bytes.subarray(0, overlap).equals(whole.subarray(part.from, part.from + overlap)))
      throw new DamageError(object, "overlaps another part with different bytes (two primaries?)");
    bytes.copy(whole, part.from);
    filled = Math.max(filled, part.to);
  }
  return whole.subarray(0, filled);
}

function parsePartKey(object: string): { from: number; to: number } | null {
  const match = /\/([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]{8}$/.exec(object);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return { from: Number.parseInt(match[1], 16), to: Number.parseInt(match[2], 16) };
}

/** The newest key of a history file, decoded; null where there is none. Two contents for one timeline are a split brain. */
export async function readHistory(repository: Repository, place: WalPlace, timeline: number): Promise<Buffer | null> {
  const folder = keys.histories(place.source, place.systemIdentifier);
  const names = (await repository.store.listNames(folder)).filter((entry) => entry.startsWith(`${timelineHex(timeline)}-`));
  const boundKey = keys.history(place.source, place.systemIdentifier, timelineHex(timeline));
  let content: Buffer | null = null;
  for (const name of names) {
    const bytes = await readContainer(repository, { source: place.source, kind: "history", objectKey: folder + name, boundKey }, MOST_HISTORY_BYTES);
    if (content !== null && !content.equals(bytes)) throw new DamageError(folder + name, "two servers made this timeline, with different histories (two primaries?)");
    content = bytes;
  }
  return content;
}

/** The parsed history of a timeline: what the repository knows of its past. Timeline 1 has none. */
export async function readTimelineHistory(repository: Repository, place: WalPlace, timeline: number): Promise<TimelineHistory> {
  if (timeline === 1) return { timeline, forks: [] };
  const content = await (repository.keyRing.canOpenData ? readHistory(repository, place, timeline) : readForks(repository, place, timeline));
  const object = `${keys.histories(place.source, place.systemIdentifier)}${timelineHex(timeline)}`;
  if (content === null) throw new DamageError(object, `the history file ${historyFileName(timeline)} is not there`, "missing");
  const history = parseHistory(timeline, content.toString("utf8"));
  if (history === null) throw new DamageError(object, "is not a timeline history");
  return history;
}

/** What a history file says of the past, as its container says in clear. Null where there is none that does. */
async function readForks(repository: Repository, place: WalPlace, timeline: number): Promise<Buffer | null> {
  const folder = keys.histories(place.source, place.systemIdentifier);
  const boundKey = keys.history(place.source, place.systemIdentifier, timelineHex(timeline));
  for (const name of (await repository.store.listNames(folder)).filter((entry) => entry.startsWith(`${timelineHex(timeline)}-`))) {
    const { meta } = await openContainer(repository, { source: place.source, kind: "history", objectKey: folder + name, boundKey });
    const forks = forksSchema.safeParse(meta["forks"]);
    if (forks.success) return Buffer.from(forks.data.map(([left, lsn]) => `${left}\t${lsn}\n`).join(""));
  }
  return null;
}

/** Timelines of which there is anything: WAL, parts or a history. */
export async function listTimelines(repository: Repository, place: WalPlace): Promise<number[]> {
  const [withWal, histories] = await Promise.all([timelineFolders(repository, place), repository.store.listNames(keys.histories(place.source, place.systemIdentifier))]);
  return [...new Set([...withWal, ...histories.filter((name) => /^[0-9A-F]{8}-/.test(name)).map((name) => Number.parseInt(name, 16))])].toSorted((a, b) => a - b);
}

async function timelineFolders(repository: Repository, place: WalPlace): Promise<number[]> {
  const names = await repository.store.listNames(keys.walSystem(place.source, place.systemIdentifier));
  return names.filter((name) => /^[0-9A-F]{8}\/$/.test(name)).map((name) => Number.parseInt(name, 16));
}

/** Lists what is there, of all timelines or of those that are asked for, from names alone. Parts first: the stream replaces them by their segment, and what is listed the other way round may show neither. */
export async function listWal(repository: Repository, place: WalPlace, known?: readonly number[]): Promise<WalInventory> {
  const segments = new Map<string, { objects: string[] }>();
  const parts = new Map<string, { objects: string[]; contiguousBytes: number; furthestBytes: number }>();
  const { source, systemIdentifier, segmentBytes } = place;
  const timelines = (known ?? (await timelineFolders(repository, place))).map(timelineHex);
  for (const timeline of timelines) {
    for await (const { key } of repository.store.list(keys.walParts(source, systemIdentifier, timeline))) {
      const part = /\/parts\/([0-9A-F]{24})\/[^/]+$/.exec(key)?.[1];
      if (part !== undefined) addPart(parts, part, key);
    }
  }
  for (const timeline of timelines) {
    for await (const { key } of repository.store.list(keys.walSegments(source, systemIdentifier, timeline))) {
      const segment = /\/([0-9A-F]{24})-[0-9a-f]{32}$/.exec(key)?.[1];
      if (segment === undefined || parseSegmentName(segment, segmentBytes) === null) continue;
      const entry = segments.get(segment);
      if (entry === undefined) segments.set(segment, { objects: [key] });
      else entry.objects.push(key);
    }
  }
  return { segmentBytes: place.segmentBytes, segments, parts };
}

/** Keys come sorted by offset, so that what continues comes after what it continues. */
function addPart(parts: Map<string, { objects: string[]; contiguousBytes: number; furthestBytes: number }>, segment: string, key: string): void {
  const range = parsePartKey(key);
  if (range === null) return;
  const entry = parts.get(segment) ?? { objects: [], contiguousBytes: 0, furthestBytes: 0 };
  entry.objects.push(key);
  entry.furthestBytes = Math.max(entry.furthestBytes, range.to);
  if (range.from <= entry.contiguousBytes) entry.contiguousBytes = Math.max(entry.contiguousBytes, range.to);
  parts.set(segment, entry);
}
