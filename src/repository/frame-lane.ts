import { codecThreads } from "./codec-threads.ts";

export interface FrameAddress {
  readonly pack: number;
  readonly frame: number;
}

/** Where the frames of a lane go, in order: one or several copies of a backup. */
export interface FrameSink {
  /** Begins at once to pack and encrypt a frame, whose memory is the sink's from now on. What it resolves to appends it. */
  seal(address: FrameAddress, content: Buffer, level: number): Promise<() => Promise<void>>;
  /** Nothing more comes into it. It may be there only later. */
  closePack(pack: number): Promise<void>;
  /** Every pack that was closed is there. */
  settle(): Promise<void>;
}

/** Frames under way at once: enough to keep every thread busy while one is written, few enough to bound memory (with extents of 1 MiB and two threads, some 20 MiB). */
const IN_FLIGHT = codecThreads.width + 4;

/**
 * Numbers frames at once, lets several be sealed at a time, and has them appended strictly in order. The caller knows where a frame will lie before it is written,
 * and is held back (`ready`) when the sink is slower.
 */
export class FrameLane {
  readonly #sink: FrameSink;
  readonly #level: number;
  readonly #packPlainBytes: number;
  #pack = 0;
  #frame = 0;
  #packBytes = 0;
  #queue: Promise<void> = Promise.resolve();
  #inFlight = 0;
  #failure: { error: unknown } | null = null;
  readonly #wake: (() => void)[] = [];

  constructor(sink: FrameSink, options: { level: number; packPlainBytes: number }) {
    this.#sink = sink;
    this.#level = options.level;
    this.#packPlainBytes = options.packPlainBytes;
  }

  /** The address the next frame of this size gets; a frame that would overfill a pack begins a new one. */
  peek(bytes: number): FrameAddress {
    return this.#packBytes > 0 && this.#packBytes + bytes > this.#packPlainBytes ? { pack: this.#pack + 1, frame: 0 } : { pack: this.#pack, frame: this.#frame };
  }

  /** Hands in a frame and its memory. It counts as `countedBytes` towards the size of its pack: what `peek` was asked for. */
  submit(content: Buffer, countedBytes: number = content.length): FrameAddress {
    const address = this.peek(countedBytes);
    const rolled = address.pack !== this.#pack;
    const sealed = this.#sink.seal(address, content, this.#level);
    sealed.catch(() => undefined);
    this.#inFlight++;
    this.#enqueue(async () => {
      try {
        if (rolled) await this.#sink.closePack(address.pack - 1);
        await (
          await sealed
        )();
      } finally {
        this.#inFlight--;
        for (const wake of this.#wake.splice(0)) wake();
      }
    });
    this.#packBytes = rolled ? countedBytes : this.#packBytes + countedBytes;
    this.#pack = address.pack;
    this.#frame = address.frame + 1;
    return address;
  }

  /** Resolves when another frame may be submitted. Rejects if one before failed. */
  async ready(): Promise<void> {
    while (this.#inFlight >= IN_FLIGHT && this.#failure === null) await this.#nextEnd();
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Everything handed in is written, and every pack is there. Returns the number of packs. */
  async finish(): Promise<number> {
    const packs = this.#frame === 0 ? 0 : this.#pack + 1;
    if (packs > 0) this.#enqueue(() => this.#sink.closePack(packs - 1));
    this.#enqueue(() => this.#sink.settle());
    await this.#queue;
    if (this.#failure !== null) throw this.#failure.error;
    return packs;
  }

  #nextEnd(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake.push(resolve);
    });
  }

  #enqueue(act: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#failure !== null) return;
      try {
        await act();
      } catch (error) {
        this.#failure = { error };
        for (const wake of this.#wake.splice(0)) wake();
      }
    });
  }
}
