import pMap from "p-map";
import type { VerifyTier } from "../domain/verify-tier.ts";
import { reaches } from "../domain/verify-tier.ts";
import { blocksOf } from "../domain/file-map.ts";
import type { BlockRun, FileEntry } from "../domain/file-map.ts";
import { parseLsn } from "../domain/lsn.ts";
import { DamageError } from "../errors.ts";
import { classify } from "../postgres/cluster-files.ts";
import { isAllZero, judgePage, pageLsn } from "../postgres/page.ts";
import { createBlockDigest } from "../repository/block-digest.ts";
import type { BlockDigest } from "../repository/block-digest.ts";
import { FrameReader, openContainer } from "../repository/container-reader.ts";
import { readContents } from "../repository/contents.ts";
import type { ContentsLine } from "../repository/contents.ts";
import { keys } from "../repository/layout.ts";
import { LruCache } from "../repository/lru-cache.ts";
import { learnMapKeys, readChain } from "../repository/manifest.ts";
import type { StoredManifest } from "../repository/manifest.ts";
import { ChainReader } from "../repository/map-reader.ts";
import type { Repository } from "../repository/repository.ts";
import type { OperationContext } from "./context.ts";
import { readFile } from "./restore-files.ts";
import type { VerifyTotals } from "./verify-report.ts";

export interface BackupVerification {
  readonly repository: Repository;
  readonly stored: StoredManifest;
  readonly tier: VerifyTier;
  readonly totals: VerifyTotals;
  /** Called for each damage found; verification goes on. */
  readonly onDamage: (error: DamageError) => void;
}

const CONTAINERS_AT_ONCE = 4;

/** Verifies the objects a backup set consists of (its own; its ancestors are verified as themselves), to a tier. */
export async function verifyBackup(work: BackupVerification, context: OperationContext): Promise<void> {
  const { repository, stored, tier } = work;
  const { source, id } = stored.manifest;
  const contents = await collecting(work, () => readContents(repository, stored.manifest));
  if (contents === null) return;
  await checkSizes(work, contents);
  if (!reaches(tier, "stored")) return;
  const chain = reaches(tier, "decoded") ? await collecting(work, () => openChainOf(repository, stored)) : null;
  const digest = chain === null ? null : await collecting(work, async () => createBlockDigest((await chain.root(id)).digestSeed));
  await pMap(
    contents,
    async (line) => {
      context.signal.throwIfAborted();
      await collecting(work, () => verifyContainer(work, line, chain, digest));
      context.onProgress({ phase: `verify ${source} ${id}`, doneBytes: work.totals.bytes, totalBytes: null });
    },
    { concurrency: CONTAINERS_AT_ONCE },
  );
  if (chain !== null) await collecting(work, () => verifyMap(work, chain, context));
}

async function openChainOf(repository: Repository, stored: StoredManifest): Promise<ChainReader> {
  const chain = await readChain(repository, stored);
  await learnMapKeys(repository, chain);
  return new ChainReader(repository, chain);
}

/** Null where damage was found. */
async function collecting<T>(work: BackupVerification, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
    work.onDamage(error);
    return null;
  }
}

/** Everything the contents name is there with its size, and nothing else. */
async function checkSizes({ repository, stored, totals, onDamage }: BackupVerification, contents: readonly ContentsLine[]): Promise<void> {
  const { source, id } = stored.manifest;
  const prefix = keys.backup(source, id);
  const expected = new Map(contents.map((line) => [prefix + line.name, line.bytes]));
  for await (const { key, size } of repository.store.list(prefix)) {
    totals.objects++;
    const bytes = expected.get(key);
    expected.delete(key);
    if (key === keys.contents(source, id)) continue;
    if (bytes === undefined) onDamage(new DamageError(key, "it does not belong to the backup"));
    else if (bytes !== size) onDamage(new DamageError(key, `it is ${size} bytes long, not ${bytes}`));
  }
  for (const key of expected.keys()) onDamage(new DamageError(key, "the object is not there", "missing"));
}

/** Every byte against digests; and, where decoded, decrypted, decompressed, and each block against its own digest. */
async function verifyContainer(work: BackupVerification, line: ContentsLine, chain: ChainReader | null, digest: BlockDigest | null): Promise<void> {
  const { repository, stored, totals } = work;
  const { source, id, postgres } = stored.manifest;
  const key = keys.backup(source, id) + line.name;
  const kind = line.name.startsWith("data/") ? "data" : "map";
  const container = await openContainer(repository, { objectKey: key, boundKey: key, source, kind });
  if (container.root !== line.root) throw new DamageError(key, "it is not the one that the contents name");
  const reader = new FrameReader(repository, container);
  const all = container.frames.map((_, i) => i);
  totals.bytes += container.bytes;
  if (chain === null || digest === null) {
    for await (const frame of reader.readStored(all)) void frame;
    return;
  }
  const pack = Number(line.name.slice(line.name.indexOf("/") + 1));
  for await (const { index, plain } of reader.readMany(all)) {
    if (kind === "data") await checkDigests(chain, { backup: id, pack, frame: index, plain, key }, postgres.blockSize, digest);
  }
}

async function checkDigests(
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

/** Every file of the map is whole: its runs add up, and each leads to an extent that has the block. With tier `pages`, our own stored pages are judged too. */
async function verifyMap(work: BackupVerification, chain: ChainReader, context: OperationContext): Promise<void> {
  const { manifest } = work.stored;
  const { blockSize, segmentBlocks, dataChecksums } = manifest.postgres;
  const pages = reaches(work.tier, "pages") && dataChecksums;
  const extents = new LruCache<string, Promise<Buffer>>(EXTENTS_AT_HAND);
  const corrupt = pages && manifest.state === "complete_with_corruption" ? await knownCorruption(chain, manifest.id, blockSize) : new Set<string>();
  for await (const entry of chain.entries(manifest.id)) {
    context.signal.throwIfAborted();
    if (entry.type !== "file") continue;
    await checkRuns(chain, entry, blockSize, keys.manifest(manifest.source, manifest.id));
    if (pages)
      for (const damage of await findBadPages(chain, entry, { id: manifest.id, source: manifest.source, blockSize, segmentBlocks, corrupt, extents })) work.onDamage(damage);
  }
}

async function checkRuns(chain: ChainReader, entry: FileEntry, blockSize: number, manifestKey: string): Promise<void> {
  const blocks = entry.runs.reduce((sum, run) => sum + run.blocks, 0);
  if (blocks !== blocksOf(entry.length, blockSize)) throw new DamageError(manifestKey, `its map gives ${entry.path} ${blocks} blocks for ${entry.length} bytes`);
  for (const run of entry.runs) {
    if (run.at === null) continue;
    const { container } = await chain.pack(run.at.backup, "data", run.at.pack);
    const frame = container.frames[run.at.frame];
    if (frame === undefined || (run.at.block + run.blocks) * blockSize > frame.plainLength)
      throw new DamageError(container.objectKey, `has no block ${run.at.block + run.blocks - 1} in extent ${run.at.frame}, which ${entry.path} needs`);
  }
}

interface PageWork {
  readonly id: string;
  readonly source: string;
  readonly blockSize: number;
  readonly segmentBlocks: number;
  /** `path:block` of pages that were corrupt in the source already, and are reported with the backup. */
  readonly corrupt: ReadonlySet<string>;
  /** The extents decoded last: small files share them, and come one after the other. */
  readonly extents: LruCache<string, Promise<Buffer>>;
}

const EXTENTS_AT_HAND = 8;

/** PostgreSQL's own checksum of the pages this backup stored. Pages that were being written at that moment are repaired by WAL and cannot be judged here. */
async function findBadPages(chain: ChainReader, entry: FileEntry, work: PageWork): Promise<DamageError[]> {
  const kind = classify(entry.path);
  if (kind.kind !== "relation") return [];
  const damage: DamageError[] = [];
  let fileBlock = 0;
  for (const run of entry.runs) {
    if (run.at?.backup === work.id) damage.push(...(await judgeRun(chain, entry, run, fileBlock, kind.segment * work.segmentBlocks, work)));
    fileBlock += run.blocks;
  }
  return damage;
}

async function judgeRun(chain: ChainReader, entry: FileEntry, run: BlockRun, fileBlock: number, segmentStart: number, work: PageWork): Promise<DamageError[]> {
  if (run.at === null) return [];
  const { manifest } = chain.chain.get(work.id) ?? {};
  const reader = await chain.pack(run.at.backup, "data", run.at.pack);
  const name = `${run.at.pack}/${run.at.frame}`;
  const decoding = work.extents.get(name) ?? reader.read(run.at.frame);
  work.extents.set(name, decoding);
  const plain = await decoding;
  const damage: DamageError[] = [];
  for (let i = 0; i < run.blocks; i++) {
    const at = (run.at.block + i) * work.blockSize;
    const page = plain.subarray(at, at + work.blockSize);
    const partial = (fileBlock + i + 1) * work.blockSize > entry.length;
    if (partial || isAllZero(page) || judgePage(plain, at, work.blockSize, segmentStart + fileBlock + i) !== "bad") continue;
    const changed = pageLsn(page);
    const repairedByWal = manifest !== undefined && changed >= parseLsn(manifest.start.lsn) && changed <= parseLsn(manifest.stop.lsn);
    if (!repairedByWal && !work.corrupt.has(`${entry.path}:${fileBlock + i}`))
      damage.push(new DamageError(reader.container.objectKey, `page ${fileBlock + i} of ${entry.path} has a wrong checksum`));
  }
  return damage;
}

async function knownCorruption(chain: ChainReader, backup: string, blockSize: number): Promise<Set<string>> {
  for await (const entry of chain.entries(backup)) {
    if (entry.type !== "file" || entry.path !== "//corruption.json") continue;
    const pages = JSON.parse((await readFile(chain, entry, blockSize)).toString("utf8")) as { path: string; block: number }[];
    return new Set(pages.map(({ path, block }) => `${path}:${block}`));
  }
  return new Set();
}
