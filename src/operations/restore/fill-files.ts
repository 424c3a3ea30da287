import type { FileHandle } from "node:fs/promises";
import pMap from "p-map";
import { crashPoint } from "../../crash-points.ts";
import type { FileEntry, PlacedRun } from "../../domain/file-map.ts";
import { DamageError } from "../../errors.ts";
import type { FrameReader } from "../../repository/container-reader.ts";
import type { FramePiece } from "../../repository/frame-pieces.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import type { OperationContext } from "../context.ts";
import { UnderWay } from "../../under-way.ts";

export interface OpenFile {
  readonly entry: FileEntry;
  readonly handle: FileHandle;
  /** What has to be written. */
  readonly runs: readonly PlacedRun[];
}

/** One file being written, and where in it the blocks of an extent go. */
interface Placement {
  readonly file: OpenFile;
  readonly fileBlock: number;
  readonly blocks: number;
  readonly extentBlock: number;
}

interface PackWork {
  readonly backup: string;
  readonly pack: number;
  readonly frames: Map<number, Placement[]>;
  readonly files: Set<OpenFile>;
}

export interface Filling {
  readonly blockSize: number;
  /** Every file is made durable when nothing more goes into it. Not: whoever asked does it. */
  readonly areMadeDurable: boolean;
}

/** Some wait for the disk, while others are read and opened. */
const PACKS_AT_ONCE = 3;
const SYNCS_AT_ONCE = 16;

/**
 * Writes the blocks of open files from the packs they lie in, each extent decoded once. What a pack has brought goes to the disk before the next one is begun, so that the disk works all the
 * time, and not when all else is done.
 */
export async function fillFiles(chain: ChainReader, files: readonly OpenFile[], { blockSize, areMadeDurable }: Filling, context: OperationContext): Promise<void> {
  const packs = [...groupByPack(files).values()];
  const touched = new Set(packs.flatMap((pack) => [...pack.files]));
  if (areMadeDurable) await sync(files.filter((file) => !touched.has(file)));
  // The files are closed next: nobody may write to what has their numbers then.
  await using filling = new UnderWay();
  const fill = async (pack: PackWork): Promise<void> => {
    context.signal.throwIfAborted();
    crashPoint("restore.copying");
    await chain.usePack(pack.backup, "data", pack.pack, async (reader) => writeFrames(reader, pack, blockSize, context.signal));
    if (areMadeDurable) await sync([...pack.files]);
  };
  await pMap(packs, async (pack) => filling.note(fill(pack)), { concurrency: PACKS_AT_ONCE });
}

/** Of a file into which more will go it is done again then: there is less to wait for. */
async function sync(files: readonly OpenFile[]): Promise<void> {
  await pMap(files, ({ handle }) => handle.sync(), { concurrency: SYNCS_AT_ONCE });
}

function groupByPack(files: readonly OpenFile[]): Map<string, PackWork> {
  const packs = new Map<string, PackWork>();
  for (const file of files) {
    for (const run of file.runs) addPlacement(packs, file, run);
  }
  return packs;
}

function addPlacement(packs: Map<string, PackWork>, file: OpenFile, { fileBlock, blocks, at }: PlacedRun): void {
  if (at === null) return;
  const { backup, pack, frame, block } = at;
  const name = `${backup}/${pack}`;
  let work = packs.get(name);
  if (work === undefined) packs.set(name, (work = { backup, pack, frames: new Map(), files: new Set() }));
  work.files.add(file);
  const placements = work.frames.get(frame);
  const placement = { file, fileBlock, blocks, extentBlock: block };
  if (placements === undefined) work.frames.set(frame, [placement]);
  else placements.push(placement);
}

/** Places do not depend on what was written before: done twice, it is the same. */
async function writeFrames(reader: FrameReader, work: PackWork, blockSize: number, signal: AbortSignal): Promise<void> {
  const frames = [...work.frames.keys()].toSorted((a, b) => a - b);
  await reader.writeMany(frames, (index, plainLength) => {
    signal.throwIfAborted();
    return (work.frames.get(index) ?? []).map((placement) => {
      if ((placement.extentBlock + placement.blocks) * blockSize > plainLength) throw new DamageError(reader.container.objectKey, `extent ${index} is shorter than the map says`);
      return pieceOf(placement, blockSize);
    });
  });
}

/** The last block of a file was filled up with zeros: they are not part of it. */
function pieceOf({ file, fileBlock, blocks, extentBlock }: Placement, blockSize: number): FramePiece {
  const at = fileBlock * blockSize;
  return { fd: file.handle.fd, at, from: extentBlock * blockSize, length: Math.min(blocks * blockSize, file.entry.length - at) };
}
