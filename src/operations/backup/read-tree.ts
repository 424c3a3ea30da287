import { readlink } from "node:fs/promises";
import { pMapIterable } from "p-map";
import type { FileEntry, MapEntry } from "../../domain/file-map.ts";
import type { Findings } from "../../files/findings.ts";
import { FurtherNames } from "../../files/further-names.ts";
import { writeName } from "../../files/names.ts";
import type { NodeFacts } from "../../files/node-facts.ts";
import { openNode, readAt, steadinessOf } from "../../files/read-node.ts";
import { reportMissing } from "../../files/tree-walk.ts";
import type { FoundNode } from "../../files/tree-walk.ts";
import type { Merged } from "./merge-parent.ts";

/** A file that is at most so long is read whole, beside others; a longer one piece by piece, when its turn comes. */
const SMALL_BYTES = 256 << 10;
/** Small files on their way: so that a disk, or a network, has something to do. */
const READS_AT_ONCE = 24;
/** A file that is written to while it is read is read again, so often in all. */
export const READS_AT_MOST = 3;
/** A clock of a file system ticks some hundred times a second: a file that changed so shortly before it was read may have changed again and show nothing of it. */
const TICK_MS = 2000;

/** What a node of the tree came to, in order of path. */
export type ReadNode =
  | { readonly kind: "drop"; readonly path: string }
  | { readonly kind: "entry"; readonly entry: MapEntry; readonly parent: MapEntry | null }
  /** The parent's content, by the look of it. */
  | { readonly kind: "inherited"; readonly entry: FileEntry; readonly parent: FileEntry; readonly facts: NodeFacts }
  | { readonly kind: "read"; readonly found: FoundNode; readonly facts: NodeFacts; readonly bytes: Buffer; readonly parent: FileEntry | null }
  | { readonly kind: "large"; readonly found: FoundNode; readonly parent: FileEntry | null }
  | { readonly kind: "link"; readonly found: FoundNode; readonly parent: MapEntry | null }
  | { readonly kind: "nothing"; readonly path: string; readonly parent: MapEntry | null };

export interface TreeReading {
  readonly findings: Findings;
  /** Before this the parent began to read; null: there is none, and everything is read. */
  readonly parentBeganMs: number | null;
}

/** Reads what the walk meets, several at once, and hands it on in order. */
export async function* readTree(pairs: AsyncIterable<Merged<FoundNode>>, reading: TreeReading): AsyncGenerator<ReadNode> {
  const names = new FurtherNames<true>();
  const planned = async function* (): AsyncGenerator<() => Promise<ReadNode>> {
    for await (const pair of pairs) {
      // In order of path: the first name of a file has its content.
      const facts = "found" in pair && pair.found.facts.type === "file" && pair.found.facts.names > 1 ? pair.found.facts : null;
      const isFurther = facts !== null && names.meet(facts) !== undefined;
      if (facts !== null && !isFurther) names.keep(facts, true);
      yield async () => readPair(pair, isFurther, reading);
    }
  };
  yield* pMapIterable(planned(), async (act) => act(), { concurrency: READS_AT_ONCE, backpressure: READS_AT_ONCE + 8 });
}

async function readPair(pair: Merged<FoundNode>, isFurther: boolean, reading: TreeReading): Promise<ReadNode> {
  if ("dropped" in pair) return { kind: "drop", path: pair.dropped };
  const { found, parent } = pair;
  const { path, facts } = found;
  if (facts.type === "directory") return done(found, { type: "directory", path, attributes: facts.attributes }, parent);
  if (facts.type === "symlink") return readLink(found, parent, reading);
  if (isFurther) return { kind: "link", found, parent };
  const before = parent?.type === "file" ? parent : null;
  if (before !== null && looksTheSame(facts, before, reading)) {
    await found.folder.release();
    return { kind: "inherited", entry: { ...before, attributes: facts.attributes }, parent: before, facts };
  }
  return facts.size > SMALL_BYTES ? { kind: "large", found, parent: before } : readSmall(found, parent, reading);
}

async function done(found: FoundNode, entry: MapEntry, parent: MapEntry | null): Promise<ReadNode> {
  await found.folder.release();
  return { kind: "entry", entry, parent };
}

/** Nobody can set the time of change (ctime) of an inode: what has the same, and the same size, holds what it held, if it was not read within the very tick of the clock. */
function looksTheSame(facts: NodeFacts, before: FileEntry, { parentBeganMs }: TreeReading): boolean {
  const { attributes } = before;
  if (parentBeganMs === null || (attributes?.seen ?? null) === null || attributes === undefined) return false;
  return (
    attributes.seen === facts.attributes.seen && attributes.modified === facts.attributes.modified && before.length === facts.size && facts.changedMs + TICK_MS < parentBeganMs
  );
}

async function readLink(found: FoundNode, parent: MapEntry | null, { findings }: TreeReading): Promise<ReadNode> {
  try {
    const target = await readlink(found.folder.place(found.name), { encoding: "buffer" });
    return await done(found, { type: "symlink", path: found.path, target: writeName(target), attributes: found.facts.attributes }, parent);
  } catch (error) {
    return nothing(found, parent, findings, error);
  }
}

async function nothing(found: FoundNode, parent: MapEntry | null, findings: Findings, error: unknown): Promise<ReadNode> {
  await found.folder.release();
  reportMissing(findings, found.path, error);
  return { kind: "nothing", path: found.path, parent };
}

/** Whole, and again where it was written to meanwhile. */
async function readSmall(found: FoundNode, parent: MapEntry | null, { findings }: TreeReading): Promise<ReadNode> {
  const before = parent?.type === "file" ? parent : null;
  try {
    for (let attempt = 1; ; attempt++) {
      const node = await openNode(found);
      if (node === null) {
        findings.add("vanished", found.path, "something else than a file had its name when it was to be read");
        await found.folder.release();
        return { kind: "nothing", path: found.path, parent };
      }
      try {
        // It may have grown since it was listed.
        if (node.facts.size > SMALL_BYTES) return { kind: "large", found, parent: before };
        const bytes = Buffer.allocUnsafe(node.facts.size);
        const length = await readAt(node.handle, bytes, 0);
        const steadiness = length < bytes.length ? "changed" : await steadinessOf(node);
        if (steadiness !== "steady" && attempt < READS_AT_MOST) continue;
        if (steadiness !== "steady") noteUnsteady(findings, found.path, steadiness);
        return { kind: "read", found, facts: steadiness === "steady" ? node.facts : unsettled(node.facts), bytes: bytes.subarray(0, length), parent: before };
      } finally {
        await node.handle.close();
      }
    }
  } catch (error) {
    return nothing(found, parent, findings, error);
  }
}

export function noteUnsteady(findings: Findings, path: string, how: "grew" | "changed"): void {
  findings.add(
    how,
    path,
    how === "grew" ? "grew while it was read: what it had before is stored" : "was written to while it was read, each time: what is stored may be of no single moment",
  );
}

/** What nobody may take over next time without reading it. */
export function unsettled(facts: NodeFacts): NodeFacts {
  return { ...facts, attributes: { ...facts.attributes, seen: null } };
}
