import pMap from "p-map";
import type { VerifyTier } from "../../domain/verify-tier.ts";
import { reaches } from "../../domain/verify-tier.ts";
import { blocksOf } from "../../domain/file-map.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import { DamageError, HoldfastError } from "../../errors.ts";
import { requireClients } from "../../postgres/binaries.ts";
import type { ServerBinaries } from "../../postgres/binaries.ts";
import { majorOf } from "../../postgres/server-identity.ts";
import { FrameReader, releaseFrame } from "../../repository/container-reader.ts";
import { openContainer } from "../../repository/open-container.ts";
import { readContents } from "../../repository/contents.ts";
import type { ContentsLine } from "../../repository/contents.ts";
import { keys } from "../../repository/layout.ts";
import { blockSizeOf, isCluster, learnMapKeys, readChain } from "../../repository/manifest.ts";
import type { DumpManifest, StoredManifest } from "../../repository/manifest.ts";
import { ChainReader } from "../../repository/map-reader.ts";
import type { Repository } from "../../repository/repository.ts";
import type { OperationContext } from "../context.ts";
import { checkedEntries } from "../restore/check-map.ts";
import { listDump } from "../restore/load-dumps.ts";
import { checkedTree } from "../restore/check-tree.ts";
import { extentCheck, refuseFault, verifyPages, VisitedFrames } from "./verify-pages.ts";
import { pieceOf } from "./verify-pieces.ts";
import type { PieceWork } from "./verify-pieces.ts";
import type { VerifyTotals } from "./verify-report.ts";

export interface BackupVerification {
  readonly repository: Repository;
  readonly stored: StoredManifest;
  readonly tier: VerifyTier;
  readonly totals: VerifyTotals;
  /** Called for each damage found; verification goes on. */
  readonly onDamage: (error: DamageError) => void;
  readonly pieces: PieceWork;
}

/** Verifies the objects a backup set consists of (its own; its ancestors are verified as themselves), to a tier. */
export async function verifyBackup(work: BackupVerification, context: OperationContext): Promise<void> {
  const { repository, stored, tier } = work;
  const { source, id } = stored.manifest;
  const contents = await collecting(work, () => readContents(repository, stored.manifest));
  if (contents === null) return;
  await checkSizes(work, contents);
  if (!reaches(tier, "stored")) return;
  const chain = reaches(tier, "decoded") ? await collecting(work, () => openChainOf(repository, stored)) : null;
  const onExtent = (bytes: number): void => context.onProgress({ phase: `verify ${source} ${id}`, doneBytes: (work.totals.bytes += bytes), totalBytes: null });
  const pages =
    chain !== null && reaches(tier, "pages") && isCluster(stored) && stored.manifest.postgres.dataChecksums
      ? {
          chain,
          stored,
          signal: context.signal,
          onDamage: work.onDamage,
          onExtent,
          isWanted: (pack: number) => work.pieces.isWanted({ unit: id, kind: "data", number: pack, bytes: 0 }),
        }
      : null;
  const visited = (pages === null ? null : await collecting(work, () => verifyPages(pages))) ?? new VisitedFrames();
  await pMap(
    contents,
    async (line) => {
      context.signal.throwIfAborted();
      const piece = pieceOf(id, line);
      if (!work.pieces.isWanted(piece)) return;
      await collecting(work, () => verifyContainer(work, line, { chain, visited }));
      work.pieces.verified(piece, keys.backup(source, id) + line.name);
      onExtent(0);
      await work.pieces.pace(piece);
    },
    { concurrency: work.pieces.atOnce },
  );
  if (chain !== null && work.pieces.isAll) await collecting(work, () => verifyMap(work, chain, context));
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

interface Opening {
  /** Null: only what is stored is verified. */
  readonly chain: ChainReader | null;
  /** What needs no second look. */
  readonly visited: VisitedFrames;
}

/** Every byte against digests; and, where decoded, decrypted, decompressed, and each block against its own digest. */
async function verifyContainer(work: BackupVerification, line: ContentsLine, { chain, visited }: Opening): Promise<void> {
  const { repository, stored, totals } = work;
  const { source, id } = stored.manifest;
  const key = keys.backup(source, id) + line.name;
  const kind = line.name.startsWith("data/") ? "data" : "map";
  const container = await openContainer(repository, { objectKey: key, boundKey: key, source, kind });
  if (container.root !== line.root) throw new DamageError(key, "it is not the one that the contents name");
  const reader = new FrameReader(repository, container);
  const pack = Number(line.name.slice(line.name.indexOf("/") + 1));
  const rest = container.frames.map((_, i) => i).filter((frame) => kind === "map" || !visited.has(pack, frame));
  totals.bytes += container.bytes - container.frames.reduce((sum, { storedLength }, i) => sum + (kind === "data" && visited.has(pack, i) ? storedLength : 0), 0);
  if (chain === null) {
    await reader.checkStored(rest);
  } else if (kind === "data") {
    const blockSize = blockSizeOf(stored.manifest);
    for await (const { index, findings } of reader.checkMany(rest, async (frame) => extentCheck(chain, { backup: id, pack, frame }, blockSize))) refuseFault(findings, key, index);
  } else {
    for await (const { plain } of reader.readMany(rest)) releaseFrame(plain);
  }
}

/** The map is one of what the backup is of, and every file of it is whole: its runs add up, and each leads to an extent that has the block. */
async function verifyMap(work: BackupVerification, chain: ChainReader, context: OperationContext): Promise<void> {
  const { manifest } = work.stored;
  const clients = manifest.kind === "postgres-logical" && reaches(work.tier, "pages") ? await clientsFor(manifest, context) : null;
  const entries = manifest.kind === "postgres" ? checkedEntries(chain, manifest) : checkedTree(chain, manifest);
  for await (const entry of entries) {
    context.signal.throwIfAborted();
    if (entry.type === "file" && clients !== null && entry.path.endsWith(".dump"))
      await collecting(work, () => listDump(clients, chain, entry, blockSizeOf(manifest), keys.manifest(manifest.source, manifest.id), context.signal));
    if (entry.type === "file") await checkRuns(chain, entry, blockSizeOf(manifest), keys.manifest(manifest.source, manifest.id));
  }
}

/** What reads dumps; null, with a word, where it is not installed: then their digests must do. */
async function clientsFor({ dump }: DumpManifest, { onNotice }: OperationContext): Promise<ServerBinaries | null> {
  try {
    return await requireClients([], majorOf(dump.version));
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "HF-BINARIES") throw error;
    onNotice(`dumps are compared with their digests, and not listed: ${error.message}`);
    return null;
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
