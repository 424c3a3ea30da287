import { randomBytes } from "node:crypto";
import { HoldfastError } from "../errors.ts";
import type { CreateOutcome, ObjectWriter } from "../storage/object-store.ts";
import { FORMAT } from "./document.ts";
import { deriveFrameKeys, encodeTable, encodeTail, encryptFrame, MAGIC, MAX_PLAIN_BYTES, rootDigest, sha256, signedRoot } from "./container-format.ts";
import type { ContainerKind, FrameInfo, PlainFrame } from "./container-format.ts";
import type { MapKey, SealedKey } from "./key-ring.ts";
import type { WritableRepository } from "./repository.ts";

/** Writes one container: frames in order, then the trailer. A container is written by one process, once. */
export interface ContainerWriter {
  /** Encrypts and appends; frames get their numbers in the order of calls. */
  append(frame: PlainFrame): Promise<void>;
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

export async function openContainerWriter(target: ContainerTarget): Promise<ContainerWriter> {
  const object = await target.repository.store.create(target.objectKey);
  return containerWriter(target, object);
}

/** Frames and trailer of a whole container in memory: for small ones, and where the bytes go to several places. */
function containerWriter(target: ContainerTarget, object: ObjectWriter): ContainerWriter {
  const { repository, source, kind, key } = target;
  const salt = randomBytes(32);
  const frameKeys = deriveFrameKeys(key.key, salt);
  const binding = { repositoryId: repository.repositoryId, source, object: target.boundKey };
  const frames: FrameInfo[] = [];
  let offset = 0;
  return {
    append: async (frame) => {
      // No reader takes it: better no backup than one that cannot be read.
      if (frame.plainLength > MAX_PLAIN_BYTES[kind])
        throw new HoldfastError("HF-SERVER", `a piece of ${target.objectKey} has ${frame.plainLength} bytes, the format allows ${MAX_PLAIN_BYTES[kind]}`, {
          hint: "one file of the data directory is in too many pieces for the map; is something there that does not belong there?",
        });
      const stored = encryptFrame(frame, frames.length, frameKeys.key, binding);
      const head = frames.length === 0 ? MAGIC : null;
      if (head !== null) offset = head.length;
      frames.push({ offset, storedLength: stored.length, plainLength: frame.plainLength, codec: frame.codec, sha256: sha256(stored) });
      offset += stored.length;
      await object.write(head === null ? stored : Buffer.concat([head, stored]));
    },
    finish: async (extraMeta = {}) => {
      const meta = Buffer.from(
        JSON.stringify({
          format: FORMAT,
          repositoryId: repository.repositoryId,
          source,
          object: target.boundKey,
          kind,
          salt: salt.toString("base64"),
          commitment: frameKeys.commitment.toString("base64"),
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
