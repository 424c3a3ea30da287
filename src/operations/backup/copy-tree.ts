import { crashPoint } from "../../crash-points.ts";
import { sameEntry } from "../../domain/file-map.ts";
import type { FileEntry, MapEntry } from "../../domain/file-map.ts";
import type { Findings } from "../../files/findings.ts";
import { FurtherNames } from "../../files/further-names.ts";
import type { NodeFacts } from "../../files/node-facts.ts";
import { openNode, readAt, steadinessOf } from "../../files/read-node.ts";
import { reportMissing } from "../../files/tree-walk.ts";
import type { FoundNode } from "../../files/tree-walk.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import type { BlockWriter } from "../../repository/block-writer.ts";
import type { MapWriter } from "../../repository/map-writer.ts";
import { ParentFile } from "../../repository/parent-file.ts";
import type { OperationContext } from "../context.ts";
import type { ParentBackup } from "./merge-parent.ts";
import { FileAssembly } from "./file-assembly.ts";
import { noteUnsteady, READS_AT_MOST, unsettled } from "./read-tree.ts";
import type { ReadNode } from "./read-tree.ts";

export interface TreeTask {
  readonly blockSize: number;
  readonly parent: ParentBackup | null;
  readonly writer: BlockWriter;
  readonly map: MapWriter;
  readonly digest: BlockDigest;
  readonly findings: Findings;
}

export interface TreeTotals {
  sourceBytes: number;
  readBytes: number;
  /** Regular files, and of them those whose content was read. */
  files: number;
  filesRead: number;
  /** Of every kind. */
  entries: number;
}

const PIECE_BYTES = 1 << 20;
/** A longer file is not read again because somebody writes to it: that could go on for ever. */
const REREAD_BYTES = 64 << 20;
const PROGRESS_EVERY = 1000;

/** Puts what was read into packs and map, strictly in order. */
export async function copyTree(task: TreeTask, nodes: AsyncIterable<ReadNode>, totals: TreeTotals, context: OperationContext): Promise<void> {
  /** Where the content of a file is that has several names. */
  const stored = new FurtherNames<string>();
  for await (const node of nodes) {
    crashPoint("backup.copying");
    context.signal.throwIfAborted();
    if (node.kind === "drop") await task.map.drop(node.path);
    else if (node.kind === "nothing") await forget(task, node);
    else if (node.kind === "entry") await add(task, node.entry, node.parent, totals);
    else if (node.kind === "inherited") {
      stored.keep(node.facts, node.entry.path);
      await addFile(task, node.entry, node.parent, totals);
    } else await copyContent(task, node, stored, totals, context);
    if (totals.entries % PROGRESS_EVERY === 0) context.onProgress({ phase: "copy", doneBytes: totals.sourceBytes, totalBytes: null });
  }
}

async function forget(task: TreeTask, { path, parent }: { path: string; parent: MapEntry | null }): Promise<void> {
  if (parent !== null) await task.map.drop(path);
}

async function add({ map }: TreeTask, entry: MapEntry, parent: MapEntry | null, totals: TreeTotals): Promise<void> {
  totals.entries++;
  await map.add(entry, parent !== null && sameEntry(entry, parent));
}

async function addFile(task: TreeTask, entry: FileEntry, parent: MapEntry | null, totals: TreeTotals): Promise<void> {
  totals.files++;
  totals.sourceBytes += entry.length;
  await add(task, entry, parent, totals);
}

async function copyContent(
  task: TreeTask,
  node: Extract<ReadNode, { kind: "read" | "large" | "link" }>,
  stored: FurtherNames<string>,
  totals: TreeTotals,
  context: OperationContext,
): Promise<void> {
  const { found, parent } = node;
  try {
    // The first name may have gone before it was read: then this one brings the content.
    const to = node.kind === "link" ? stored.meet(found.facts) : undefined;
    if (to !== undefined) {
      await add(task, { type: "link", path: found.path, to }, parent, totals);
      return;
    }
    const before = parent?.type === "file" ? parent : null;
    const entry = node.kind === "read" ? await assembleSmall(task, node) : await copyLarge(task, found, before, totals, context);
    if (entry === null) {
      await forget(task, { path: found.path, parent });
      return;
    }
    stored.keep(found.facts, found.path);
    if (node.kind === "read") totals.readBytes += node.bytes.length;
    totals.filesRead++;
    await addFile(task, entry, parent, totals);
  } finally {
    await found.folder.release();
  }
}

function assemblyOf(task: TreeTask, path: string, length: number, parent: FileEntry | null): FileAssembly {
  const before = parent === null || task.parent === null ? null : new ParentFile(parent, task.parent.chain);
  return new FileAssembly({ path, length, parent, ranges: [] }, before, task.blockSize);
}

async function assembleSmall(task: TreeTask, { found, facts, bytes, parent }: Extract<ReadNode, { kind: "read" }>): Promise<FileEntry | null> {
  const assembly = assemblyOf(task, found.path, bytes.length, parent);
  if (bytes.length > 0) await assembly.add(0, Math.ceil(bytes.length / task.blockSize), bytes, task);
  return withAttributes(assembly.finish(), facts);
}

function withAttributes(entry: FileEntry | null, { attributes }: NodeFacts): FileEntry | null {
  return entry === null ? null : { ...entry, attributes };
}

/** Piece by piece, the next one read while one is packed; again from the beginning where it was written to meanwhile, if it is not too long for that. */
async function copyLarge(task: TreeTask, found: FoundNode, parent: FileEntry | null, totals: TreeTotals, context: OperationContext): Promise<FileEntry | null> {
  try {
    for (let attempt = 1; ; attempt++) {
      const node = await openNode(found);
      if (node === null) {
        task.findings.add("vanished", found.path, "something else than a file had its name when it was to be read");
        return null;
      }
      try {
        const assembly = assemblyOf(task, found.path, node.facts.size, parent);
        const length = await copyPieces(task, node, assembly, totals, context);
        const steadiness = length < node.facts.size ? "changed" : await steadinessOf(node);
        if (steadiness !== "steady" && attempt < READS_AT_MOST && node.facts.size <= REREAD_BYTES) continue;
        if (steadiness !== "steady") noteUnsteady(task.findings, found.path, steadiness);
        return withAttributes(assembly.finish(), steadiness === "steady" ? node.facts : unsettled(node.facts));
      } finally {
        await node.handle.close();
      }
    }
  } catch (error) {
    context.signal.throwIfAborted();
    reportMissing(task.findings, found.path, error);
    return null;
  }
}

/** How many bytes there were. */
async function copyPieces(
  task: TreeTask,
  { handle, facts }: NonNullable<Awaited<ReturnType<typeof openNode>>>,
  assembly: FileAssembly,
  totals: TreeTotals,
  context: OperationContext,
): Promise<number> {
  const read = async (at: number): Promise<Buffer> => {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, facts.size - at));
    return piece.subarray(0, await readAt(handle, piece, at));
  };
  let next = facts.size === 0 ? null : read(0);
  for (let at = 0; next !== null; at += PIECE_BYTES) {
    const piece: Buffer = await next;
    const isLast = at + PIECE_BYTES >= facts.size || piece.length < PIECE_BYTES;
    next = isLast ? null : read(at + PIECE_BYTES);
    next?.catch(() => undefined);
    totals.readBytes += piece.length;
    await assembly.add(at / task.blockSize, Math.ceil(Math.min(PIECE_BYTES, facts.size - at) / task.blockSize), piece, task);
    context.onProgress({ phase: "copy", doneBytes: totals.sourceBytes + at, totalBytes: null });
    context.signal.throwIfAborted();
    if (isLast) return at + piece.length;
  }
  return 0;
}
