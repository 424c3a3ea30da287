import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { keepHeapSmall } from "../small-heap.ts";
import { SpareMemory } from "../spare-memory.ts";
import { loadDigest } from "./block-digest.ts";
import { checkExtent } from "./extent-check.ts";
import type { ExtentCheck, ExtentFindings } from "./extent-check.ts";
import { openTouched, writePieces } from "./frame-pieces.ts";
import type { FramePiece } from "./frame-pieces.ts";
import { asBuffer, checkDigest, encryptFrame, FrameFault, openFrame, packFrame, roomFor } from "./frame-codec.ts";
import type { FrameFacts, FrameSecret, SealedFrame } from "./frame-codec.ts";

/** What a thread is asked to do. */
export type CodecJob =
  | {
      readonly kind: "seal";
      readonly plain: Uint8Array;
      readonly level: number;
      readonly secrets: readonly FrameSecret[];
      /** One for each of the secrets. */ readonly memory: readonly Uint8Array[];
    }
  | (StoredFrame & { readonly kind: "open"; /** For the plain bytes. */ readonly memory: Uint8Array })
  | (StoredFrame & { readonly kind: "check"; readonly check: ExtentCheck })
  | (StoredFrame & { readonly kind: "write"; readonly pieces: readonly FramePiece[] })
  | (Omit<StoredFrame, "secret"> & { readonly kind: "compare"; readonly index: number });

interface StoredFrame {
  readonly stored: Uint8Array;
  readonly facts: FrameFacts;
  readonly secret: FrameSecret;
}

export type CodecAnswer =
  | { readonly kind: "sealed"; readonly frames: readonly SealedFrame[]; /** The memory of the plain bytes, back. */ readonly spare: Uint8Array }
  | { readonly kind: "opened"; readonly plain: Uint8Array }
  | { readonly kind: "checked"; readonly findings: ExtentFindings }
  | { readonly kind: "compared" }
  | { readonly kind: "written" }
  /** An error that was handed over loses its code. */
  | { readonly kind: "unwritten"; readonly code: string | undefined; readonly message: string }
  | { readonly kind: "fault"; readonly message: string }
  | { readonly kind: "failure"; readonly error: unknown };

interface Order {
  readonly job: CodecJob;
  readonly resolve: (answer: CodecAnswer) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly orders: Order[];
}

/** More would bring more memory, each its own heap, than they bring speed: four pack over a gigabyte a second. */
const THREADS = Math.min(4, availableParallelism());
/** Handed to a thread before it has answered the last: it never waits for us. */
const ORDERS_A_THREAD = 2;
/** A thread takes longer to start than this much to be packed; most commands handle less. */
const INLINE_BYTES = 16 << 20;
/** Smaller frames are done sooner than handed over. */
const SMALL_BYTES = 32 << 10;

/**
 * Packing, encrypting and opening of frames, on threads of their own once there is much of it. One for the process, as its processors are; threads that have nothing to do
 * keep nothing alive.
 */
class CodecThreads {
  readonly #threads: Thread[] = [];
  readonly #waiting: Order[] = [];
  readonly #spares = new SpareMemory({ smallest: SMALL_BYTES, most: 24 });
  #inlineBytes = 0;

  /** How many frames may be under way to keep every thread busy. */
  readonly width = THREADS * ORDERS_A_THREAD + 2;

  /** Packs a frame, whose memory is ours from now on, and encrypts it for each of the secrets, in their order. */
  async seal(plain: Uint8Array, level: number, secrets: readonly FrameSecret[]): Promise<SealedFrame[]> {
    const memory = secrets.map(() => this.#spares.take(roomFor(plain.length)));
    if (this.#isInline(plain.length)) {
      const packed = packFrame(plain, level);
      const frames = secrets.map((secret, i) => encryptFrame(packed, secret, memory[i]));
      this.#spares.give(plain);
      return frames;
    }
    const answer = await this.#order({ kind: "seal", plain: ownMemory(plain), level, secrets, memory });
    if (answer.kind !== "sealed") throw unexpected(answer);
    for (const { stored } of answer.frames) this.#spares.adopt(stored);
    this.#spares.adopt(answer.spare);
    this.#spares.give(answer.spare);
    return [...answer.frames];
  }

  /** The plain bytes of a stored frame, whose memory may be given back with `reuse`. Rejects with `FrameFault`. */
  async open(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret): Promise<Buffer> {
    if (this.#isInline(facts.plainLength)) return asBuffer(openFrame(stored, facts, secret));
    const answer = await this.#order({ kind: "open", ...handedOver(stored, facts), secret, memory: this.#spares.take(facts.plainLength) });
    if (answer.kind !== "opened") throw unexpected(answer);
    this.#spares.adopt(answer.plain);
    return asBuffer(answer.plain);
  }

  /** What is wrong with the blocks of a stored frame, whose plain bytes nobody needs. Rejects with `FrameFault`. */
  async check(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret, check: ExtentCheck): Promise<ExtentFindings> {
    if (this.#isInline(facts.plainLength)) return checkExtent(asBuffer(openFrame(stored, facts, secret)), check, await loadDigest());
    const answer = await this.#order({ kind: "check", ...handedOver(stored, facts), secret, check });
    if (answer.kind !== "checked") throw unexpected(answer);
    return answer.findings;
  }

  /** Writes plain bytes of a stored frame where they go. Rejects with `FrameFault`, before anything is written, and as writing does. */
  async write(stored: Uint8Array, facts: FrameFacts, secret: FrameSecret, pieces: readonly FramePiece[]): Promise<void> {
    if (this.#isInline(facts.plainLength)) return writePieces(openTouched(stored, facts, secret, pieces), pieces);
    const answer = await this.#order({ kind: "write", ...handedOver(stored, facts), secret, pieces });
    if (answer.kind === "unwritten") throw Object.assign(new Error(answer.message), { code: answer.code });
    if (answer.kind !== "written") throw unexpected(answer);
  }

  /** Rejects with `FrameFault` where the stored bytes of a frame are not those that were written. */
  async checkStored(stored: Uint8Array, facts: FrameFacts, index: number): Promise<void> {
    if (this.#isInline(stored.length)) return checkDigest(stored, facts, index);
    const answer = await this.#order({ kind: "compare", ...handedOver(stored, facts), index });
    if (answer.kind !== "compared") throw unexpected(answer);
  }

  /** Memory of so many bytes, to be filled and handed to `seal`. What is in it is of no meaning. */
  spare(bytes: number): Buffer {
    return this.#spares.take(bytes);
  }

  /** Takes back the memory of a frame that was written, or of plain bytes that were used. What is not ours is left alone. */
  reuse(bytes: Uint8Array): void {
    this.#spares.give(bytes);
  }

  #isInline(bytes: number): boolean {
    if (bytes <= SMALL_BYTES) return true;
    if (this.#inlineBytes > INLINE_BYTES) return false;
    this.#inlineBytes += bytes;
    return true;
  }

  #order(job: CodecJob): Promise<CodecAnswer> {
    keepHeapSmall();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#handOut();
    });
  }

  #handOut(): void {
    for (let order = this.#waiting[0]; order !== undefined; order = this.#waiting[0]) {
      const thread = this.#freeThread();
      if (thread === null) return;
      this.#waiting.shift();
      try {
        thread.worker.postMessage(order.job, memoryOf(order.job));
      } catch (error) {
        order.reject(error);
        continue;
      }
      thread.orders.push(order);
      thread.worker.ref();
    }
  }

  #freeThread(): Thread | null {
    const idle = this.#threads.find(({ orders }) => orders.length === 0);
    if (idle !== undefined) return idle;
    if (this.#threads.length < THREADS) return this.#start();
    return this.#threads.find(({ orders }) => orders.length < ORDERS_A_THREAD) ?? null;
  }

  #start(): Thread {
    const thread: Thread = {
      worker: new Worker(new URL("codec-thread.ts", import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 48 } }),
      orders: [],
    };
    thread.worker.on("message", (answer: CodecAnswer) => {
      thread.orders.shift()?.resolve(answer);
      if (thread.orders.length === 0) thread.worker.unref();
      this.#handOut();
    });
    thread.worker.on("error", (error) => this.#lose(thread, error));
    thread.worker.on("exit", () => this.#lose(thread, new Error("a thread that packs frames ended")));
    this.#threads.push(thread);
    return thread;
  }

  #lose(thread: Thread, error: unknown): void {
    const at = this.#threads.indexOf(thread);
    if (at >= 0) this.#threads.splice(at, 1);
    for (const order of thread.orders.splice(0)) order.reject(error);
    this.#handOut();
  }
}

export const codecThreads = new CodecThreads();

/** What is handed over with a job, and comes back with its answer. */
function memoryOf(job: CodecJob): ArrayBuffer[] {
  const arrays = job.kind === "seal" ? [job.plain, ...job.memory] : [job.stored, ...(job.kind === "open" ? [job.memory] : [])];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer);
}

/** The bytes in memory of their own, which can be handed over. */
function ownMemory(bytes: Uint8Array): Uint8Array {
  return isWhole(bytes) ? bytes : new Uint8Array(bytes);
}

function isWhole({ buffer, byteLength }: Uint8Array): boolean {
  return buffer.byteLength === byteLength;
}

/** Stored bytes that lie in memory of their own go as they are, and are gone here; a digest lies in the table of all. */
function handedOver(stored: Uint8Array, { plainLength, codec, sha256 }: FrameFacts): Pick<StoredFrame, "stored" | "facts"> {
  return { stored: ownMemory(stored), facts: { plainLength, codec, sha256: new Uint8Array(sha256) } };
}

function unexpected(answer: CodecAnswer): unknown {
  if (answer.kind === "fault") return new FrameFault(answer.message);
  return answer.kind === "failure" ? answer.error : new Error(`a thread answered ${answer.kind}`);
}
