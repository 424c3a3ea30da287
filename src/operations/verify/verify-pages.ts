import pMap from "p-map";
import { z } from "zod";
import type { FileEntry } from "../../domain/file-map.ts";
import { parseLsn } from "../../domain/lsn.ts";
import { DamageError, must } from "../../errors.ts";
import { classify } from "../../postgres/cluster-files.ts";
import type { ExtentCheck, ExtentFindings, PageRun } from "../../repository/extent-check.ts";
import { parseJson, parsePayload } from "../../repository/document.ts";
import { keys } from "../../repository/layout.ts";
import type { ClusterManifest, StoredManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { readFile } from "../restore/restore-files.ts";

export interface PageVerification {
  readonly chain: ChainReader;
  readonly stored: StoredManifest<ClusterManifest>;
  readonly signal: AbortSignal;
  readonly onDamage: (error: DamageError) => void;
  readonly onExtent: (storedBytes: number) => void;
  /** Which of the backup's own packs are looked at. */
  readonly isWanted: (pack: number) => boolean;
}

/** Where some blocks of an extent belong: `block` in the extent is block `forkBlock` of the fork and `fileBlock` of the file. */
interface Place {
  readonly path: string;
  readonly fileBytes: number;
  readonly block: number;
  readonly blocks: number;
  readonly fileBlock: number;
  readonly forkBlock: number;
}

interface Extent {
  readonly pack: number;
  readonly frame: number;
  readonly places: readonly Place[];
}

/** Frames of the backup's own packs that were looked at, by pack. */
export class VisitedFrames {
  readonly #packs = new Map<number, Set<number>>();

  /** False if it was there already. */
  add(pack: number, frame: number): boolean {
    const frames = this.#packs.get(pack) ?? new Set<number>();
    this.#packs.set(pack, frames);
    if (frames.has(frame)) return false;
    frames.add(frame);
    return true;
  }

  has(pack: number, frame: number): boolean {
    return this.#packs.get(pack)?.has(frame) === true;
  }
}

/** So many are read and opened that every thread has work. */
const EXTENTS_AT_ONCE = 8;

/**
 * Opens the extents that relations of this backup lie in, in the order of the map, so that each is decoded once for both: every block against its digest, and every page against
 * PostgreSQL's own checksum, which needs to know where the page belongs. Returns what it has seen; the rest holds no pages.
 */
export async function verifyPages(work: PageVerification): Promise<VisitedFrames> {
  const visited = new VisitedFrames();
  const { manifest } = work.stored;
  const corrupt = manifest.state === "complete_with_corruption" ? await knownCorruption(work.chain, manifest.id, manifest.postgres.blockSize) : new Set<string>();
  const verify = async (extent: Extent): Promise<void> => {
    work.signal.throwIfAborted();
    // A file that grew comes back to one.
    const isFirst = visited.add(extent.pack, extent.frame);
    try {
      const reader = await work.chain.pack(manifest.id, "data", extent.pack);
      if (isFirst) work.onExtent(reader.container.frames[extent.frame]?.storedLength ?? 0);
      const { blockSize } = manifest.postgres;
      const check = async (frame: number): Promise<ExtentCheck> => {
        const ofBlocks = await extentCheck(work.chain, { backup: manifest.id, pack: extent.pack, frame }, blockSize);
        return { ...ofBlocks, digests: isFirst ? ofBlocks.digests : null, pages: extent.places.map((place) => pagesOf(place, blockSize)) };
      };
      for await (const { findings } of reader.checkMany([extent.frame], check)) {
        refuseFault(findings, reader.container.objectKey, extent.frame);
        for (const page of findings.badPages) judge(work, extent.places[page.run], page, corrupt, reader.container.objectKey);
      }
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      work.onDamage(error);
    }
  };
  await pMap(ownExtents(work), verify, { concurrency: EXTENTS_AT_ONCE });
  return visited;
}

/** The extents of this backup that hold pages, as the map comes to them; what follows one another in one extent is put together. */
async function* ownExtents({ chain, stored: { manifest }, isWanted }: PageVerification): AsyncGenerator<Extent> {
  let open: { pack: number; frame: number; places: Place[] } | null = null;
  for await (const entry of chain.entries(manifest.id)) {
    if (entry.type !== "file") continue;
    for (const { at, place } of placesOf(entry, manifest.id, manifest.postgres.segmentBlocks)) {
      if (!isWanted(at.pack)) continue;
      if (open?.pack !== at.pack || open.frame !== at.frame) {
        if (open !== null) yield open;
        open = { ...at, places: [] };
      }
      open.places.push(place);
    }
  }
  if (open !== null) yield open;
}

function placesOf(entry: FileEntry, backup: string, segmentBlocks: number): { at: { pack: number; frame: number }; place: Place }[] {
  const kind = classify(entry.path);
  if (kind.kind !== "relation") return [];
  const found: { at: { pack: number; frame: number }; place: Place }[] = [];
  let fileBlock = 0;
  for (const { at, blocks } of entry.runs) {
    const place = { path: entry.path, fileBytes: entry.length, blocks, fileBlock, forkBlock: kind.segment * segmentBlocks + fileBlock };
    if (at?.backup === backup) found.push({ at: { pack: at.pack, frame: at.frame }, place: { ...place, block: at.block } });
    fileBlock += blocks;
  }
  return found;
}

/** A last page that is cut off by the end of the file is no page. */
function pagesOf({ block, blocks, fileBlock, fileBytes, forkBlock }: Place, blockSize: number): PageRun {
  return { block, forkBlock, blocks: Math.min(blocks, Math.floor(fileBytes / blockSize) - fileBlock) };
}

/** What every block of an extent is held against. */
export async function extentCheck(chain: ChainReader, { backup, pack, frame }: { backup: string; pack: number; frame: number }, blockSize: number): Promise<ExtentCheck> {
  const { digestSeed } = await chain.root(backup);
  return { blockSize, digestSeed, digests: await chain.digestsOf(backup, pack, frame), pages: [] };
}

export function refuseFault({ fault }: ExtentFindings, objectKey: string, frame: number): void {
  if (fault !== null) throw new DamageError(objectKey, `extent ${frame} ${fault}`);
}

/** A page with a wrong checksum. What was being written at that moment is repaired by WAL and cannot be judged here. */
function judge(
  { stored: { manifest }, onDamage }: PageVerification,
  place: Place | undefined,
  { block, lsn }: ExtentFindings["badPages"][number],
  corrupt: ReadonlySet<string>,
  objectKey: string,
): void {
  const { path, fileBlock } = must(place, "the place of a page");
  const repairedByWal = lsn >= parseLsn(manifest.start.lsn) && lsn <= parseLsn(manifest.stop.lsn);
  if (repairedByWal || corrupt.has(`${path}:${fileBlock + block}`)) return;
  onDamage(new DamageError(objectKey, `page ${fileBlock + block} of ${path} has a wrong checksum`));
}

const corruptionSchema = z.array(z.object({ path: z.string(), block: z.number() }));

/** `path:block` of pages that were corrupt in the source already, and are reported with the backup. */
async function knownCorruption(chain: ChainReader, backup: string, blockSize: number): Promise<Set<string>> {
  for await (const entry of chain.entries(backup)) {
    if (entry.type !== "file" || entry.path !== "//corruption.json") continue;
    const object = keys.manifest(chain.sourceName, backup);
    const pages = parsePayload(object, parseJson(object, await readFile(chain, entry, blockSize)), corruptionSchema);
    return new Set(pages.map(({ path, block }) => `${path}:${block}`));
  }
  return new Set();
}
