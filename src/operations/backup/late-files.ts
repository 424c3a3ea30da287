import { RunBuilder } from "../../domain/file-map.ts";
import type { FileEntry } from "../../domain/file-map.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import type { BlockWriter } from "../../repository/block-writer.ts";

/** Stores bytes that are at hand as a file (or a document, whose path begins with `//`) of the backup. */
export async function storeDocument(
  path: string,
  content: string | Buffer,
  writer: BlockWriter,
  task: { readonly shape: { readonly blockSize: number }; readonly digest: BlockDigest },
): Promise<FileEntry> {
  const { blockSize } = task.shape;
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const runs = new RunBuilder();
  for (let at = 0; at < bytes.length; at += blockSize) {
    const block = Buffer.alloc(blockSize);
    bytes.copy(block, 0, at, at + blockSize);
    runs.add({ blocks: 1, at: writer.append(block, task.digest(block)) });
    await writer.ready();
  }
  return { type: "file", path, length: bytes.length, runs: runs.finish() };
}
