import type { Clock } from "../clock.ts";
import { HoldfastError, must } from "../errors.ts";
import { codecThreads } from "./codec-threads.ts";
import { newSeal, openContainerWriter } from "./container-writer.ts";
import type { ContainerSeal, ContainerTarget, ContainerWriter } from "./container-writer.ts";
import type { ContentsLine } from "./contents.ts";
import type { FrameSecret, SealedFrame } from "./frame-codec.ts";
import type { FrameAddress, FrameSink } from "./frame-lane.ts";
import type { SealedKey } from "./key-ring.ts";
import { keys } from "./layout.ts";
import type { WritableRepository } from "./repository.ts";

type PackKind = "data" | "map";

/** Few: each may hold the last part of a pack in memory. */
const CLOSING_AT_ONCE = 3;

/** One copy of a backup under way: the containers of it in one repository. A copy that fails is dropped; the others go on. */
export class BackupCopy {
  readonly repository: WritableRepository;
  readonly dataKey: SealedKey;
  readonly #source: string;
  readonly #backup: string;
  readonly #clock: Clock;
  readonly #open: { data: Promise<ContainerWriter> | null; map: Promise<ContainerWriter> | null } = { data: null, map: null };
  #isAborted = false;
  /** Of packs whose frames are being sealed, by key; from before their first frame to when they are closed. */
  readonly #seals = new Map<string, ContainerSeal>();
  /** Packs on their last way, oldest first: the next ones are filled meanwhile. */
  readonly #closing: Promise<void>[] = [];
  readonly #contents: ContentsLine[] = [];
  storedBytes = 0;
  failure: unknown = null;

  constructor(repository: WritableRepository, options: { source: string; backup: string; dataKey: SealedKey; clock: Clock }) {
    this.repository = repository;
    this.#source = options.source;
    this.#backup = options.backup;
    this.dataKey = options.dataKey;
    this.#clock = options.clock;
  }

  /** What it takes to encrypt a frame of this copy. */
  secretOf(kind: PackKind, { pack, frame }: FrameAddress): FrameSecret {
    const { key, binding } = this.#sealOf(this.#targetOf(kind, pack));
    return { key, index: frame, binding };
  }

  async append(kind: PackKind, { pack }: FrameAddress, frame: SealedFrame): Promise<void> {
    // What was sealed before it was given up may still come.
    if (this.#isAborted) throw new Error(`the copy in ${this.repository.name} was given up`);
    const target = this.#targetOf(kind, pack);
    const writer = await (this.#open[kind] ??= openContainerWriter(target, this.#sealOf(target)));
    await writer.append(frame);
  }

  /** What was closed and is there, in order. Whole after `settle`. */
  get contents(): readonly ContentsLine[] {
    return this.#contents.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Nothing more comes into this pack. It is on its way then; a failure is said at the next one, or by `settle`. */
  async closePack(kind: PackKind, pack: number): Promise<void> {
    const writer = await this.#open[kind];
    if (writer === null) return;
    this.#open[kind] = null;
    const closing = this.#close(writer, keys.pack(this.#source, this.#backup, kind, pack));
    closing.catch(() => undefined);
    this.#closing.push(closing);
    while (this.#closing.length > CLOSING_AT_ONCE) await this.#closing.shift();
  }

  /** Every pack that was closed is there. */
  async settle(): Promise<void> {
    for (let closing = this.#closing.shift(); closing !== undefined; closing = this.#closing.shift()) await closing;
  }

  async #close(writer: ContainerWriter, key: string): Promise<void> {
    const { outcome, bytes, root } = await writer.finish();
    this.#seals.delete(key);
    // The id of a backup is used once: whoever wrote this object is not this run.
    if (outcome === "exists") throw new HoldfastError("HF-BUSY", `${key} was written by somebody else`, { hint: "run the backup again" });
    this.#contents.push({ name: key.slice(keys.backup(this.#source, this.#backup).length), bytes, root });
    this.storedBytes += bytes;
  }

  /** Leaves nothing open, also of what is just being opened. */
  async abort(): Promise<void> {
    this.#isAborted = true;
    await Promise.allSettled([...[this.#open.data, this.#open.map].map(async (writer) => (await writer)?.abort()), ...this.#closing]);
  }

  #targetOf(kind: PackKind, pack: number): ContainerTarget {
    const key = keys.pack(this.#source, this.#backup, kind, pack);
    return {
      repository: this.repository,
      source: this.#source,
      kind,
      objectKey: key,
      boundKey: key,
      key: kind === "data" ? this.dataKey : this.repository.mapKey,
      now: this.#clock.now(),
    };
  }

  #sealOf(target: ContainerTarget): ContainerSeal {
    const seal = this.#seals.get(target.objectKey) ?? newSeal(target);
    this.#seals.set(target.objectKey, seal);
    return seal;
  }
}

/** The copies that have not failed. */
export function living(copies: readonly BackupCopy[]): BackupCopy[] {
  return copies.filter((copy) => copy.failure === null);
}

/** Frames to all living copies at once: packed once, encrypted for each. Only when no copy is left does it fail, with the first copy's reason. */
export function fanOut(copies: readonly BackupCopy[], kind: PackKind): FrameSink {
  const toAll = async (act: (copy: BackupCopy) => Promise<void>): Promise<void> => {
    await Promise.all(
      living(copies).map(async (copy) => {
        try {
          await act(copy);
        } catch (error) {
          copy.failure = error;
          await copy.abort();
        }
      }),
    );
    if (living(copies).length === 0) throw copies[0]?.failure;
  };
  return {
    seal: async (address, content, level) => {
      const targets = living(copies);
      const frames = await codecThreads.seal(
        content,
        level,
        targets.map((copy) => copy.secretOf(kind, address)),
      );
      return () => toAll((copy) => copy.append(kind, address, must(frames[targets.indexOf(copy)], "a frame of this copy")));
    },
    closePack: (pack) => toAll((copy) => copy.closePack(kind, pack)),
    settle: () => toAll((copy) => copy.settle()),
  };
}
