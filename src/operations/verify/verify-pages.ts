import pMap from "p-map";
import { z } from "zod";
import type { FileEntry } from "../../domain/file-map.ts";
import { parseLsn } from "../../domain/lsn.ts";
import { DamageError } from "../../errors.ts";
import { classify } from "../../postgres/cluster-files.ts";
import { isAllZero, judgePage, pageLsn } from "../../postgres/page.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import { parseJson, parsePayload } from "../../repository/document.ts";
import { keys } from "../../repository/layout.ts";
import { LruCache } from "../../repository/lru-cache.ts";
import type { ClusterManifest, StoredManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { readFile } from "../restore/restore-files.ts";

export interface PageVerification {
  readonly chain: ChainReader;
  readonly stored: StoredManifest<ClusterManifest>;
  readonly digest: BlockDigest;
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

const EXTENTS_AT_ONCE = 4;
/** Small files share extents and come one after the other; a file that grew comes back to one. */
const EXTENTS_AT_HAND = 8;

/**
 * Opens the extents that relations of this backup lie in, in the order of the map, so that each is decoded once for both: every block against its digest, and every page against
 * PostgreSQL's own checksum, which needs to know where the page belongs. Returns what it has seen; the rest holds no pages.
 */
export async function verifyPages(work: PageVerification): Promise<VisitedFrames> {
  const visited = new VisitedFrames();
  const { manifest } = work.stored;
  const corrupt = manifest.state === "complete_with_corruption" ? await knownCorruption(work.chain, manifest.id, manifest.postgres.blockSize) : new Set<string>();
  const decoded = new LruCache<string, Promise<Buffer>>(EXTENTS_AT_HAND);
  const verify = async (extent: Extent): Promise<void> => {
    work.signal.throwIfAborted();
    try {
      const plain = await openExtent(work, extent, decoded);
      if (visited.add(extent.pack, extent.frame))
        await checkExtent(
          work.chain,
          { ...extent, backup: manifest.id, plain, key: keys.pack(manifest.source, manifest.id, "data", extent.pack) },
          manifest.postgres.blockSize,
          work.digest,
        );
      for (const place of extent.places) judge(work, extent, place, plain, corrupt);
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      visited.add(extent.pack, extent.frame);
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

async function openExtent({ chain, stored, onExtent }: PageVerification, { pack, frame }: Extent, decoded: LruCache<string, Promise<Buffer>>): Promise<Buffer> {
  const name = `${pack}/${frame}`;
  const known = decoded.get(name);
  if (known !== undefined) return known;
  const reader = await chain.pack(stored.manifest.id, "data", pack);
  const decoding = reader.read(frame);
  decoding.catch(() => undefined);
  decoded.set(name, decoding);
  onExtent(reader.container.frames[frame]?.storedLength ?? 0);
  return decoding;
}

/** Every block of an extent against its digest. Rejects with `DamageError`. */
export async function checkExtent(
  chain: ChainReader,
  extent: { backup: string; pack: number; frame: number; plain: Buffer; key: string },
  blockSize: number,
  digest: BlockDigest,
): Promise<void> {
  const digests = await chain.digestsOf(extent.backup, extent.pack, extent.frame);
  if (digests.length * blockSize !== extent.plain.length) throw new DamageError(extent.key, `extent ${extent.frame} has ${extent.plain.length} bytes for ${digests.length} blocks`);
  for (let i = 0; i < digests.length; i++)
    if (digest(extent.plain.subarray(i * blockSize, (i + 1) * blockSize)) !== digests[i])
      throw new DamageError(extent.key, `block ${i} of extent ${extent.frame} does not fit its digest`);
}

/** PostgreSQL's own checksums of pages. What was being written at that moment is repaired by WAL and cannot be judged here. */
function judge({ stored: { manifest }, onDamage }: PageVerification, { pack }: Extent, place: Place, plain: Buffer, corrupt: ReadonlySet<string>): void {
  const { blockSize } = manifest.postgres;
  const [start, stop] = [parseLsn(manifest.start.lsn), parseLsn(manifest.stop.lsn)];
  for (let i = 0; i < place.blocks; i++) {
    const at = (place.block + i) * blockSize;
    const page = plain.subarray(at, at + blockSize);
    const partial = (place.fileBlock + i + 1) * blockSize > place.fileBytes;
    if (partial || isAllZero(page) || judgePage(plain, at, blockSize, place.forkBlock + i) !== "bad") continue;
    const changed = pageLsn(page);
    const repairedByWal = changed >= start && changed <= stop;
    if (repairedByWal || corrupt.has(`${place.path}:${place.fileBlock + i}`)) continue;
    onDamage(new DamageError(keys.pack(manifest.source, manifest.id, "data", pack), `page ${place.fileBlock + i} of ${place.path} has a wrong checksum`));
  }
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
