import { constants } from "node:fs";
import { lstat, open, readlink } from "node:fs/promises";
import { pMapIterable } from "p-map";
import type { FileEntry, MapEntry } from "../../domain/file-map.ts";
import { codeOf } from "../../errors.ts";
import { placeBelow, writeName } from "../../files/names.ts";
import { factsOf } from "../../files/node-facts.ts";
import { readAt } from "../../files/read-node.ts";
import { modeOf } from "../../files/restored-node.ts";
import type { Ownership } from "../../files/restored-node.ts";
import { isAllZero } from "../../domain/page.ts";
import { createBlockDigest } from "../../repository/block-digest.ts";
import type { BlockDigest } from "../../repository/block-digest.ts";
import { blockSizeOf } from "../../repository/manifest.ts";
import type { TreeManifest } from "../../repository/manifest.ts";
import type { ChainReader } from "../../repository/map-reader.ts";
import { ParentFile } from "../../repository/parent-file.ts";

export interface TreeComparison {
  /** Entries of the map that were looked for. */
  readonly entries: number;
  readonly bytes: number;
  /** What differs, each with how; the first hundred. */
  readonly differences: readonly string[];
  readonly differing: number;
}

interface Comparing {
  readonly chain: ChainReader;
  readonly root: string;
  readonly blockSize: number;
  readonly digest: BlockDigest;
  readonly ownership: Ownership;
}

const AT_ONCE = 16;
const MOST_NAMED = 100;
const PIECE_BLOCKS = 256;
/** What a number of seconds cannot hold of a time. */
const TIME_TOLERANCE_NS = 1000n;

/** Reads a restored tree back from its file system and compares it with the map: every block with its digest, every name with what it should be. What wrote it has no say in this. */
export async function compareTree(chain: ChainReader, manifest: TreeManifest, root: string, ownership: Ownership, signal: AbortSignal): Promise<TreeComparison> {
  const comparing: Comparing = { chain, root, blockSize: blockSizeOf(manifest), digest: await createBlockDigest((await chain.root(manifest.id)).digestSeed), ownership };
  const totals = { entries: 0, bytes: 0, differing: 0 };
  const differences: string[] = [];
  const results = pMapIterable(chain.entries(manifest.id), async (entry) => ({ entry, difference: entry.path.startsWith("//") ? null : await compare(comparing, entry) }), {
    concurrency: AT_ONCE,
  });
  for await (const { entry, difference } of results) {
    signal.throwIfAborted();
    if (entry.path.startsWith("//")) continue;
    totals.entries++;
    if (entry.type === "file") totals.bytes += entry.length;
    if (difference === null) continue;
    totals.differing++;
    if (differences.length < MOST_NAMED) differences.push(`${entry.path} ${difference}`);
  }
  return { ...totals, differences };
}

/** How what is there differs from its entry; null: it does not. */
async function compare(comparing: Comparing, entry: MapEntry): Promise<string | null> {
  const place = placeBelow(comparing.root, entry.path);
  try {
    const stats = await lstat(place, { bigint: true });
    const facts = factsOf(stats);
    if (entry.type === "link") {
      const other = factsOf(await lstat(placeBelow(comparing.root, entry.to), { bigint: true }));
      return other.inode === facts.inode ? null : `is not the same file as ${entry.to}`;
    }
    if (entry.type === "tablespace" || facts.type !== entry.type) return `is a ${facts.type}, not a ${entry.type}`;
    if (entry.type === "symlink" && writeName(await readlink(place, { encoding: "buffer" })) !== entry.target) return "points elsewhere";
    if (entry.type === "file" && facts.size !== entry.length) return `has ${facts.size} bytes, not ${entry.length}`;
    return compareAttributes(comparing, entry, facts.attributes) ?? (entry.type === "file" ? await compareContent(comparing, entry, place) : null);
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined || !/^E[A-Z]+$/.test(code)) throw error;
    return code === "ENOENT" ? "is not there" : `cannot be read (${code})`;
  }
}

function compareAttributes({ ownership }: Comparing, entry: MapEntry, found: { mode: number; uid: number; gid: number; modified: string }): string | null {
  const wanted = "attributes" in entry ? entry.attributes : undefined;
  if (wanted === undefined) return null;
  const apart = BigInt(found.modified) - BigInt(wanted.modified);
  if (apart > TIME_TOLERANCE_NS || apart < -TIME_TOLERANCE_NS) return `was last changed at ${found.modified}, not ${wanted.modified}`;
  if (ownership === "as-backed-up" && (found.uid !== wanted.uid || found.gid !== wanted.gid)) return `belongs to ${found.uid}:${found.gid}, not ${wanted.uid}:${wanted.gid}`;
  const mode = modeOf(wanted, ownership);
  return entry.type !== "symlink" && found.mode !== mode ? `has permissions ${found.mode.toString(8)}, not ${mode.toString(8)}` : null;
}

async function compareContent({ chain, blockSize, digest }: Comparing, entry: FileEntry, place: string | Buffer): Promise<string | null> {
  if (entry.length === 0) return null;
  const wanted = new ParentFile(entry, chain);
  const handle = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const blocks = Math.ceil(entry.length / blockSize);
    for (let from = 0; from < blocks; from += PIECE_BLOCKS) {
      const to = Math.min(blocks, from + PIECE_BLOCKS);
      // The last block is as the backup has it: filled up with zeros.
      const bytes = Buffer.alloc((to - from) * blockSize);
      await readAt(handle, bytes.subarray(0, Math.min(bytes.length, entry.length - from * blockSize)), from * blockSize);
      const digests = await wanted.blocks(from, to);
      for (let i = 0; i < to - from; i++) {
        const block = bytes.subarray(i * blockSize, (i + 1) * blockSize);
        const expected = digests[i] ?? null;
        if (expected === null ? !isAllZero(block) : digest(block) !== expected.digest) return `differs in block ${from + i}`;
      }
    }
    return null;
  } finally {
    await handle.close();
  }
}
