import { crashPoint } from "../../crash-points.ts";
import { DamageError, HoldfastError } from "../../errors.ts";
import { codecThreads } from "../../repository/codec-threads.ts";
import { FrameReader, releaseFrame } from "../../repository/container-reader.ts";
import { openContainer } from "../../repository/open-container.ts";
import type { Container } from "../../repository/open-container.ts";
import { openContainerWriter } from "../../repository/container-writer.ts";
import type { ContainerWriter } from "../../repository/container-writer.ts";
import type { ContentsLine } from "../../repository/contents.ts";
import type { SealedFrame } from "../../repository/frame-codec.ts";
import type { SealedKey } from "../../repository/key-ring.ts";
import { keys } from "../../repository/layout.ts";
import type { Repository, WritableRepository } from "../../repository/repository.ts";

/** One pack of a backup, from one repository into another. */
export interface ContainerCopy {
  readonly from: Repository;
  readonly to: WritableRepository;
  readonly source: string;
  readonly backup: string;
  readonly line: ContentsLine;
  /** The key for data; asked for when something is written. */
  readonly dataKey: () => Promise<SealedKey>;
  /** Told of the key under which data lies that was copied before. */
  readonly onDataKey: (key: { readonly keyId: string; readonly sealed: string }) => void;
  readonly compressionLevel: number;
  readonly now: Date;
  readonly signal: AbortSignal;
}

export interface CopiedContainer {
  /** As the list of contents names it there. */
  readonly line: ContentsLine;
  /** False: it was there already, from a copy that was cut short. */
  readonly isNew: boolean;
}

/**
 * Copies a pack frame by frame: each is checked and opened, then packed and encrypted for the other repository under the same number, so that every address in the map stays what it is. The new one
 * says which it was made from, by the digest that covers every byte of that: so what was copied before is known to be the same, and is not copied again.
 */
export async function copyContainer(task: ContainerCopy): Promise<CopiedContainer> {
  const { from, to, line } = task;
  const key = keys.backup(task.source, task.backup) + line.name;
  const kind = line.name.startsWith("data/") ? "data" : "map";
  const expected = { objectKey: key, boundKey: key, source: task.source, kind } as const;
  const original = await openContainer(from, expected);
  if (original.root !== line.root || original.bytes !== line.bytes) throw new DamageError(key, "it is not the one that the backup's list of contents names");
  const before = await copiedBefore(task, original);
  if (before !== null) return { line: lineOf(line, before), isNew: false };
  const writer = await openContainerWriter({ repository: to, ...expected, key: kind === "data" ? await task.dataKey() : to.mapKey, now: task.now });
  try {
    await copyFrames(task, original, writer);
    const { outcome } = await writer.finish({ copiedFrom: original.root });
    if (outcome === "exists") throw new HoldfastError("HF-BUSY", `${key} was written by somebody else`, { hint: "copy again" });
  } finally {
    await writer.abort();
  }
  crashPoint("copy.packing");
  const copied = await openContainer(to, expected);
  assertSameFrames(original, copied);
  return { line: lineOf(line, copied), isNew: true };
}

/** What lies there under its key is made from this very one and can be used, or goes. */
async function copiedBefore({ to, source, onDataKey }: ContainerCopy, original: Container): Promise<Container | null> {
  const { objectKey, meta } = original;
  if ((await to.store.size(objectKey)) === null) return null;
  try {
    const found = await openContainer(to, { objectKey, boundKey: objectKey, source, kind: meta.kind });
    const isUsable = "sealed" in found.meta.key || found.meta.key.mapKey === to.mapKey.id;
    if (found.meta["copiedFrom"] === original.root && isUsable) {
      if ("sealed" in found.meta.key) onDataKey(found.meta.key);
      assertSameFrames(original, found);
      return found;
    }
  } catch (error) {
    if (!(error instanceof DamageError)) throw error;
  }
  await to.store.remove([objectKey]);
  return null;
}

async function copyFrames({ from, compressionLevel, signal }: ContainerCopy, original: Container, writer: ContainerWriter): Promise<void> {
  const sealing: Promise<SealedFrame>[] = [];
  const appendNext = async (): Promise<void> => {
    const next = sealing.shift();
    if (next !== undefined) await writer.append(await next);
  };
  const indexes = original.frames.map((_, index) => index);
  for await (const { index, plain } of new FrameReader(from, original).readMany(indexes)) {
    signal.throwIfAborted();
    const sealed = writer.seal(plain, index, compressionLevel);
    releaseFrame(plain);
    // Its turn comes, or nobody wants it any more.
    sealed.catch(() => undefined);
    sealing.push(sealed);
    if (sealing.length >= codecThreads.width) await appendNext();
  }
  while (sealing.length > 0) await appendNext();
}

function assertSameFrames(original: Container, copied: Container): void {
  const isSame = original.frames.length === copied.frames.length && original.frames.every(({ plainLength }, i) => copied.frames[i]?.plainLength === plainLength);
  if (!isSame) throw new DamageError(copied.objectKey, "it has other frames than the one it was copied from");
}

function lineOf({ name }: ContentsLine, { bytes, root }: Container): ContentsLine {
  return { name, bytes, root };
}
