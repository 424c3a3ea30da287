import { randomBytes } from "node:crypto";
import { HoldfastError, must } from "../errors.ts";
import type { CreateOutcome, ObjectWriter } from "../storage/object-store.ts";
import { FORMAT } from "./document.ts";
import { codecThreads } from "./codec-threads.ts";
import { deriveFrameKeys, encodeTable, encodeTail, MAGIC, MAX_PLAIN_BYTES, rootDigest, signedRoot } from "./container-format.ts";
import type { ContainerKind, FrameInfo } from "./container-format.ts";
import type { FrameBinding, SealedFrame } from "./frame-codec.ts";
import type { MapKey, SealedKey } from "./key-ring.ts";
import type { WritableRepository } from "./repository.ts";

/** Writes one container: frames in order, then the trailer. A container is written by one process, once. */
export interface ContainerWriter {
  /** Packs and encrypts what will be frame `index`. Several at a time, in any order. */
  seal(plain: Uint8Array, index: number, level: number): Promise<SealedFrame>;
  /** Appends the next frame. */
  append(frame: SealedFrame): Promise<void>;
  finish(extraMeta?: object): Promise<ContainerResult>;
  abort(): Promise<void>;
}

interface ContainerResult {
  readonly outcome: CreateOutcome;
  readonly bytes: number;
  /** Root digest, hex. */
  readonly root: string;
  readonly frames: readonly FrameInfo[];
}

export interface ContainerTarget {
  readonly repository: WritableRepository;
  readonly source: string;
  readonly kind: ContainerKind;
  /** Under which key it will lie. */
  readonly objectKey: string;
  /** What frames are bound to: the key, without the suffix that depends on the content or is random. */
  readonly boundKey: string;
  readonly key: SealedKey | MapKey;
  readonly now: Date;
}

/** Under which key the frames of one container are encrypted, and what they are bound to: known before anything of it is written. */
export interface ContainerSeal {
  readonly salt: Buffer;
  readonly key: Buffer;
  readonly commitment: Buffer;
  readonly binding: FrameBinding;
}

/** A new salt: a nonce is never used twice under one key. */
export function newSeal({ repository, source, boundKey, key }: Omit<ContainerTarget, "now">): ContainerSeal {
  const salt = randomBytes(32);
  return { salt, ...deriveFrameKeys(key.key, salt), binding: { repositoryId: repository.repositoryId, source, object: boundKey } };
}

export async function openContainerWriter(target: ContainerTarget, seal: ContainerSeal = newSeal(target)): Promise<ContainerWriter> {
  const object = await target.repository.store.create(target.objectKey);
  return containerWriter(target, seal, object);
}

/** Frames and trailer of a whole container in memory: for small ones, and where the bytes go to several places. */
function containerWriter(target: ContainerTarget, seal: ContainerSeal, object: ObjectWriter): ContainerWriter {
  const { repository, source, kind, key } = target;
  const frames: FrameInfo[] = [];
  let offset = 0;
  return {
    seal: async (plain, index, level) => {
      // Copied: the memory of what is handed to the codec is its own.
      const memory = codecThreads.spare(plain.length);
      memory.set(plain);
      const [frame] = await codecThreads.seal(memory, level, [{ key: seal.key, index, binding: seal.binding }]);
      return must(frame, "a sealed frame");
    },
    append: async ({ index, stored, plainLength, codec, sha256 }) => {
      if (index !== frames.length) throw new RangeError(`frame ${index} of ${target.objectKey} comes as number ${frames.length}`);
      // No reader takes it: better no backup than one that cannot be read.
      if (plainLength > MAX_PLAIN_BYTES[kind])
        throw new HoldfastError("HF-SERVER", `a piece of ${target.objectKey} has ${plainLength} bytes, the format allows ${MAX_PLAIN_BYTES[kind]}`, {
          hint: "one file of the data directory is in too many pieces for the map; is something there that does not belong there?",
        });
      const head = frames.length === 0 ? MAGIC : null;
      if (head !== null) offset = head.length;
      frames.push({ offset, storedLength: stored.length, plainLength, codec, sha256 });
      offset += stored.length;
      await object.write(head === null ? stored : Buffer.concat([head, stored]));
      codecThreads.reuse(stored);
    },
    finish: async (extraMeta = {}) => {
      const meta = Buffer.from(
        JSON.stringify({
          format: FORMAT,
          repositoryId: repository.repositoryId,
          source,
          object: seal.binding.object,
          kind,
          salt: seal.salt.toString("base64"),
          commitment: seal.commitment.toString("base64"),
          key: "sealed" in key ? { keyId: key.keyId, sealed: key.sealed } : { mapKey: key.id },
          writtenAt: target.now.toISOString(),
          ...extraMeta,
        }),
      );
      const table = encodeTable(frames);
      const root = rootDigest(frames.length, meta, table);
      const tail = encodeTail({
        frameCount: frames.length,
        metaLength: meta.length,
        root,
        signer: repository.signer.fingerprint.slice(0, 32),
        signature: repository.signer.sign(signedRoot(root)),
      });
      const trailer = Buffer.concat([frames.length === 0 ? MAGIC : Buffer.alloc(0), table, meta, tail]);
      await object.write(trailer);
      const outcome = await object.commit();
      return { outcome, bytes: (frames.length === 0 ? 0 : offset) + trailer.length, root: root.toString("hex"), frames };
    },
    abort: () => object.abort(),
  };
}

const FRAME_BYTES = 1 << 20;

/** Appends bytes that are in memory whole, in frames of 1 MiB. */
export async function appendAll(writer: ContainerWriter, bytes: Buffer, level: number): Promise<void> {
  const frames: Promise<SealedFrame>[] = [];
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) frames.push(writer.seal(bytes.subarray(at, at + FRAME_BYTES), frames.length, level));
  for (const frame of await Promise.all(frames)) await writer.append(frame);
}
