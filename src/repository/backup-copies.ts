import type { Clock } from "../clock.ts";
import { isTooSlow } from "../domain/copy-pace.ts";
import type { CopyPace } from "../domain/copy-pace.ts";
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
/** Sealed frames of one copy that are handed over and not yet written: what a copy may lag behind before the others have to wait for it. */
const QUEUE_BYTES = 32 << 20;

/** One copy of a backup under way: the containers of it in one repository. It writes at its own pace, from a bounded queue. A copy that fails is dropped; the others go on. */
export class BackupCopy {
  readonly repository: WritableRepository;
  readonly dataKey: SealedKey;
  readonly #source: string;
  readonly #backup: string;
  readonly #clock: Clock;
  readonly #open: { data: Promise<ContainerWriter> | null; map: Promise<ContainerWriter> | null } = { data: null, map: null };
  readonly #queues: Record<PackKind, Promise<void>> = { data: Promise.resolve(), map: Promise.resolve() };
  #queuedBytes = 0;
  #pending = 0;
  readonly #waiting: (() => void)[] = [];
  /** Of packs whose frames are being sealed, by key; from before their first frame to when they are closed. */
  readonly #seals = new Map<string, ContainerSeal>();
  /** Packs on their last way, oldest first: the next ones are filled meanwhile. */
  readonly #closing: Promise<void>[] = [];
  readonly #contents: ContentsLine[] = [];
  storedBytes = 0;
  failure: unknown = null;
  /** For how long the other copies had to wait for this one. */
  heldUpMs = 0;

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

  /** Hands in the next frame of a kind. It is written when its turn comes. */
  append(kind: PackKind, address: FrameAddress, frame: SealedFrame): void {
    this.#hand(kind, frame.stored.length, () => this.#write(kind, address, frame));
  }

  closePack(kind: PackKind, pack: number): void {
    this.#hand(kind, 0, () => this.#beginClosing(kind, pack));
  }

  /** Every pack that was closed is there before what is handed in after this is written, and before the copy is drained. */
  settle(kind: PackKind): void {
    this.#hand(kind, 0, () => this.#closed());
  }

  /** Whether more may be handed in. */
  get hasRoom(): boolean {
    return this.failure !== null || this.#queuedBytes <= QUEUE_BYTES;
  }

  /** Resolves when something that was handed in has been written, or the copy has failed. */
  moved(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Resolves when all that was handed in is written, or the copy has failed. */
  async drained(): Promise<void> {
    while (this.#pending > 0 && this.failure === null) await this.moved();
  }

  /** Gives the copy up: nothing more of it is written. What was being written is closed by itself, which may take as long as its store takes to answer. */
  fail(error: unknown): void {
    this.failure ??= error;
    this.#wake();
    void this.abort();
  }

  #hand(kind: PackKind, bytes: number, act: () => Promise<void>): void {
    this.#queuedBytes += bytes;
    this.#pending++;
    this.#queues[kind] = this.#queues[kind].then(async () => {
      try {
        if (this.failure === null) await act();
      } catch (error) {
        this.fail(error);
      } finally {
        this.#queuedBytes -= bytes;
        this.#pending--;
        this.#wake();
      }
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #write(kind: PackKind, { pack }: FrameAddress, frame: SealedFrame): Promise<void> {
    const target = this.#targetOf(kind, pack);
    const writer = await (this.#open[kind] ??= openContainerWriter(target, this.#sealOf(target)));
    await writer.append(frame);
  }

  /** What was closed and is there, in order. Whole when all that was handed in is written. */
  get contents(): readonly ContentsLine[] {
    return this.#contents.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async #beginClosing(kind: PackKind, pack: number): Promise<void> {
    const writer = await this.#open[kind];
    if (writer === null) return;
    this.#open[kind] = null;
    const closing = this.#close(writer, keys.pack(this.#source, this.#backup, kind, pack));
    closing.catch(() => undefined);
    this.#closing.push(closing);
    while (this.#closing.length > CLOSING_AT_ONCE) await this.#closing.shift();
  }

  async #closed(): Promise<void> {
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
function living(copies: readonly BackupCopy[]): BackupCopy[] {
  return copies.filter((copy) => copy.failure === null);
}

/** Keeps copies that are written at once together: nobody waits for one that has room, and one that holds the others up for too long is given up. */
export class CopiesTogether {
  readonly copies: readonly BackupCopy[];
  readonly #clock: Clock;
  readonly #isTooSlow: (pace: CopyPace) => boolean;
  readonly #startedMs: number;
  /** Two lanes may wait at the same time: each moment counts once. */
  #countedMs = 0;

  constructor(copies: readonly BackupCopy[], clock: Clock, tooSlow: (pace: CopyPace) => boolean = isTooSlow) {
    this.copies = copies;
    this.#clock = clock;
    this.#isTooSlow = tooSlow;
    this.#startedMs = clock.monotonicMs();
  }

  /** Hands something to every living copy, and resolves when all of them have room for more. Only when no copy is left does it fail, with the first copy's reason. */
  async hand(act: (copy: BackupCopy) => void): Promise<void> {
    for (const copy of living(this.copies)) act(copy);
    for (;;) {
      const left = living(this.copies);
      if (left.length === 0) throw this.copies[0]?.failure;
      const full = left.filter((copy) => !copy.hasRoom);
      if (full.length === 0) return;
      const since = this.#clock.monotonicMs();
      await Promise.race([...full.map((copy) => copy.moved()), this.#clock.sleep(LOOK_EVERY_MS)]);
      if (full.length < left.length) this.#holdUp(full, since);
    }
  }

  #holdUp(slow: readonly BackupCopy[], since: number): void {
    const now = this.#clock.monotonicMs();
    const waitedMs = Math.max(0, now - Math.max(since, this.#countedMs));
    this.#countedMs = now;
    for (const copy of slow) {
      copy.heldUpMs += waitedMs;
      const elapsedMs = now - this.#startedMs;
      if (!this.#isTooSlow({ heldUpMs: copy.heldUpMs, elapsedMs })) continue;
      const [heldUp, elapsed] = [copy.heldUpMs, elapsedMs].map((ms) => (ms / 1000).toFixed(1));
      copy.fail(
        new HoldfastError("HF-COPIES", `${copy.repository.name} is too slow: the other copies waited ${heldUp} of ${elapsed} s for it`, {
          hint: "it is made up for by copying from another repository: 'serve' does it by itself, or run 'holdfast copy'",
        }),
      );
    }
  }
}

const LOOK_EVERY_MS = 250;

/** Frames to all living copies at once: packed once, encrypted for each. */
export function fanOut(together: CopiesTogether, kind: PackKind): FrameSink {
  return {
    seal: async (address, content, level) => {
      const targets = living(together.copies);
      const frames = await codecThreads.seal(
        content,
        level,
        targets.map((copy) => copy.secretOf(kind, address)),
      );
      return () => together.hand((copy) => copy.append(kind, address, must(frames[targets.indexOf(copy)], "a frame of this copy")));
    },
    closePack: (pack) => together.hand((copy) => copy.closePack(kind, pack)),
    settle: () => together.hand((copy) => copy.settle(kind)),
  };
}
