import type { Clock } from "../../clock.ts";
import { addBytes, formatLsn, maxLsn } from "../../domain/lsn.ts";
import type { Lsn } from "../../domain/lsn.ts";
import { partsToJoin } from "../../domain/part-levels.ts";
import type { LeveledPart } from "../../domain/part-levels.ts";
import { formatMicros } from "../../domain/timestamp.ts";
import type { Micros } from "../../domain/timestamp.ts";
import { segmentAt, segmentName } from "../../domain/wal-segment.ts";
import { DamageError, HoldfastError } from "../../errors.ts";
import type { WalMessage, WalReceiver } from "../../postgres/wal-receiver.ts";
import type { Lease } from "../../repository/lease.ts";
import { keys } from "../../repository/layout.ts";
import { listWal, readParts, readSegment } from "../../repository/wal-archive.ts";
import { CommitScanner, ledgerOf, SegmentAssembly } from "./segment-assembly.ts";
import { storePartInFirstTier, storeSegmentEverywhere } from "./wal-store.ts";
import type { WalStore } from "./wal-store.ts";

/** Where a stream stands: what is durable in the first tier, and until when the server's clock says that nothing is missing. */
export interface StreamPosition {
  readonly timeline: number;
  readonly durable: Lsn;
  readonly coveredUntil: Micros | null;
  readonly serverEnd: Lsn;
}

export interface StreamTask {
  readonly receiver: WalReceiver;
  readonly store: WalStore;
  readonly lease: Lease;
  readonly slot: string | null;
  /** From where on the server has kept WAL for the slot: where a repository that holds less goes on. */
  readonly keptFrom?: Lsn | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Whether somebody waits until what was written is durable here: commits of the server, or one of us. */
  readonly isWaitedFor?: () => boolean;
  /** Is handed what makes durable at once all that has come: for who begins to wait. */
  readonly onFlushable?: (flush: () => void) => void;
  readonly onPosition: (position: StreamPosition) => void;
  readonly onGap: (gap: { timeline: number; from: Lsn; to: Lsn }) => Promise<void>;
}

/** How often the lease says where we are, and how often we look whether it is time. */
const NOTE_EVERY_MS = 5000;
const LOOK_EVERY_MS = 1000;
/** Parts left by others (a stream that was started over and over) are joined from this number on, so that a slow segment does not become thousands of objects. */
const PARTS_OF_OTHERS = 32;
/** Whoever reads parts listed them before: those that were joined stay this long. */
const REPLACED_STAY_MS = 5000;
/** Segments received and not yet durable; beyond it we stop reading, and the server keeps the WAL for us. */
const SEGMENTS_IN_FLIGHT = 3;

function otherHistory(segment: string): HoldfastError {
  return new HoldfastError("HF-DIVERGED", `the WAL the server sends for ${segment} does not follow what we hold of this timeline`, {
    hint: "the server was restored or replaced without a new timeline; what was stored is kept. Take a full backup under a new source name",
    facts: { segment },
  });
}

/** One timeline being streamed: receives, cuts into segments, and makes durable in order. */
export class TimelineStream {
  readonly #task: StreamTask;
  readonly #timeline: number;
  readonly #segmentBytes: number;
  #scanner: CommitScanner;
  #segment: SegmentAssembly | null = null;
  readonly #start: Lsn;
  #durable: Lsn;
  #serverEnd: Lsn;
  #isBehind = false;
  #caughtUp: { at: Lsn; clock: Micros } | null = null;
  #coveredUntil: Micros | null = null;
  /** Writes happen one after the other; a failure ends the stream. */
  #writes: Promise<void> = Promise.resolve();
  #segmentsInFlight = 0;
  #partPending = false;
  #notedMs = 0;
  readonly #failed = new AbortController();

  constructor(task: StreamTask, timeline: number, start: Lsn) {
    this.#task = task;
    this.#timeline = timeline;
    this.#segmentBytes = task.store.place.segmentBytes;
    this.#scanner = new CommitScanner(start, this.#segmentBytes);
    this.#start = start;
    this.#durable = start;
    this.#serverEnd = start;
  }

  async run(): Promise<{ nextTimeline: number; switchpoint: Lsn } | null> {
    const { receiver, slot, signal } = this.#task;
    this.#segment = await this.#openSegment(this.#start);
    this.#durable = addBytes(this.#start, this.#segment.durable);
    await this.#scanFromBefore();
    const messages = receiver.stream({ slot, timeline: this.#timeline, start: this.#start, signal: AbortSignal.any([signal, this.#task.lease.lost, this.#failed.signal]) });
    this.#task.onFlushable?.(() => this.#flushSoon());
    // Parts go to the first repository only, as often as its store is meant for.
    const timers = [setInterval(() => this.#flushSoon(), this.#task.store.repositories[0].store.smallWritesEveryMs), setInterval(() => this.#noteSoon(), LOOK_EVERY_MS)];
    try {
      for (;;) {
        const next = await messages.next();
        if (next.done === true) {
          this.#failed.signal.throwIfAborted();
          this.#task.lease.lost.throwIfAborted();
          await this.#finish();
          // On another timeline we go on: then this one is left at once, and not with the end of the lease.
          if (next.value !== null) await this.#note();
          return next.value;
        }
        await this.#receive(next.value);
      }
    } catch (error) {
      // A server that died may never send it again: what was received in its last second is made durable before we give up.
      await this.#finish();
      throw error;
    } finally {
      for (const timer of timers) clearInterval(timer);
      await messages.return(null);
      await this.#writes;
    }
  }

  async #receive(message: WalMessage): Promise<void> {
    this.#serverEnd = message.serverEnd;
    if (message.kind === "wal") await this.#take(message.start, message.bytes);
    const position = this.#segment?.position ?? this.#durable;
    // A keepalive names what was sent, not what there is: it tells of being caught up only where the WAL before it did.
    if (message.kind === "wal") this.#isBehind = position < message.serverEnd;
    if (position === message.serverEnd && !this.#isBehind) this.#caughtUp = { at: position, clock: message.sentAt };
    this.#noteCovered();
    // Commits that wait, and a server that is shutting down. While a part is being stored the next waits, and then holds all that came meanwhile.
    if (message.kind === "wal" ? this.#task.isWaitedFor?.() === true : message.replyRequested) this.#flushSoon();
    if (message.kind === "keepalive" && message.replyRequested) this.#report();
  }

  async #take(start: Lsn, bytes: Buffer): Promise<void> {
    let rest = bytes;
    let at = start;
    while (rest.length > 0) {
      const segment = (this.#segment ??= await this.#openSegment(at));
      if (segment.position !== at) throw new HoldfastError("HF-WAL", `the server sent WAL from ${formatLsn(at)}, expected ${formatLsn(segment.position)}`);
      const left = segment.take(rest);
      this.#scanner.push(rest.subarray(0, rest.length - left.length));
      if (this.#scanner.isOtherHistory) {
        // Nothing more of it is to become durable.
        this.#segment = null;
        throw otherHistory(segment.name);
      }
      at = addBytes(at, rest.length - left.length);
      rest = left;
      if (segment.isComplete) await this.#complete(segment);
    }
  }

  async #openSegment(start: Lsn): Promise<SegmentAssembly> {
    const { place, repositories } = this.#task.store;
    const [first] = repositories;
    const name = segmentName(segmentAt(this.#timeline, start, this.#segmentBytes), this.#segmentBytes);
    // Only the first can have been begun by somebody else.
    const before = start === this.#start ? await this.#partsOf(name) : [];
    const known = before.length === 0 || !first.keyRing.canOpenData ? Buffer.alloc(0) : await readParts(first, place, name, before);
    return new SegmentAssembly(this.#timeline, start, this.#segmentBytes, known, before);
  }

  async #partsOf(segment: string): Promise<string[]> {
    const { place, repositories } = this.#task.store;
    const folder = keys.segmentParts(place.source, place.systemIdentifier, segment);
    return (await repositories[0].store.listNames(folder)).map((name) => folder + name);
  }

  /** Reads the segment before the first, so that the record that crosses into it is known, and that it is continued at all. */
  async #scanFromBefore(): Promise<void> {
    const { place, repositories } = this.#task.store;
    const [first] = repositories;
    if (!first.keyRing.canOpenData || this.#start === 0n) return;
    const before = addBytes(this.#start, -this.#segmentBytes);
    const name = segmentName(segmentAt(this.#timeline, before, this.#segmentBytes), this.#segmentBytes);
    const objects = (await listWal(first, place)).segments.get(name)?.objects ?? [];
    try {
      const bytes = objects.length === 0 ? null : await readSegment(first, place, name, objects);
      if (bytes === null) return;
      this.#scanner = new CommitScanner(before, this.#segmentBytes);
      this.#scanner.push(bytes);
      this.#scanner.take(before);
    } catch (error) {
      // Verification names it; what comes now is stored all the same.
      if (!(error instanceof DamageError)) throw error;
    }
  }

  async #complete(segment: SegmentAssembly): Promise<void> {
    this.#segment = null;
    const { store } = this.#task;
    const facts = ledgerOf(store.place, this.#timeline, segment.start, this.#scanner.take(segment.start), "stream");
    const { summary } = this.#scanner;
    this.#segmentsInFlight++;
    this.#enqueue(async () => {
      await storeSegmentEverywhere(
        store,
        segment.name,
        segment.bytes,
        facts,
        [...segment.parts, ...segment.replaced].map(({ object }) => object),
        summary,
      );
      this.#segmentsInFlight--;
      this.#advance(addBytes(segment.start, this.#segmentBytes));
    });
    if (this.#segmentsInFlight >= SEGMENTS_IN_FLIGHT) await this.#writes;
  }

  /** Makes what was received durable as a part, unless one is on its way. None when nothing is new. */
  #flushSoon(): void {
    const segment = this.#segment;
    if (segment === null || this.#partPending || segment.filled <= segment.durable) return;
    this.#partPending = true;
    this.#enqueue(async () => {
      this.#partPending = false;
      if (segment.isComplete) return;
      await this.#storePart(segment);
    });
  }

  async #storePart(segment: SegmentAssembly): Promise<void> {
    const [from, to] = [segment.durable, segment.filled];
    if (to <= from) return;
    const { store } = this.#task;
    const object = await storePartInFirstTier(store, segment.name, from, segment.bytes.subarray(from, to));
    segment.parts = [...segment.parts, { object, from, to, level: 0 }];
    segment.durable = to;
    this.#advance(addBytes(segment.start, to));
    await this.#joinParts(segment);
  }

  /** Nobody waits for it: what is joined is durable already. */
  async #joinParts(segment: SegmentAssembly): Promise<void> {
    if (segment.partsBefore.length >= PARTS_OF_OTHERS) {
      const { partsBefore } = segment;
      segment.partsBefore = [];
      await this.#join(segment, { from: 0, to: segment.durable, level: Number.MAX_SAFE_INTEGER }, [...partsBefore, ...segment.parts.map(({ object }) => object)]);
    }
    for (let parts = partsToJoin(segment.parts); parts.length > 0; parts = partsToJoin(segment.parts)) {
      const [from, to, level] = [parts[0]?.from ?? 0, parts.at(-1)?.to ?? 0, (parts[0]?.level ?? 0) + 1];
      await this.#join(
        segment,
        { from, to, level },
        parts.map(({ object }) => object),
      );
    }
    const now = this.#task.clock.monotonicMs();
    const gone = segment.replaced.filter(({ sinceMs }) => now - sinceMs >= REPLACED_STAY_MS);
    if (gone.length === 0) return;
    segment.replaced = segment.replaced.filter(({ sinceMs }) => now - sinceMs < REPLACED_STAY_MS);
    await this.#task.store.repositories[0].store.remove(gone.map(({ object }) => object));
  }

  /** Stores as one what the last parts hold. */
  async #join(segment: SegmentAssembly, { from, to, level }: Omit<LeveledPart, "object">, replaced: readonly string[]): Promise<void> {
    const object = await storePartInFirstTier(this.#task.store, segment.name, from, segment.bytes.subarray(from, to));
    segment.parts = [...segment.parts.filter((part) => part.from < from), { object, from, to, level }];
    const sinceMs = this.#task.clock.monotonicMs();
    segment.replaced = [...segment.replaced, ...replaced.filter((other) => other !== object).map((other) => ({ object: other, sinceMs }))];
  }

  async #finish(): Promise<void> {
    const segment = this.#segment;
    if (segment !== null) this.#enqueue(() => this.#storePart(segment));
    await this.#writes;
    this.#failed.signal.throwIfAborted();
    this.#task.lease.remember(this.#position);
  }

  #advance(durable: Lsn): void {
    if (durable > this.#durable) this.#durable = durable;
    this.#noteCovered();
    this.#report();
  }

  #noteCovered(): void {
    if (this.#caughtUp !== null && this.#durable >= this.#caughtUp.at) this.#coveredUntil = this.#caughtUp.clock;
    this.#task.onPosition({ timeline: this.#timeline, durable: this.#durable, coveredUntil: this.#coveredUntil, serverEnd: this.#serverEnd });
  }

  #report(): void {
    if (!this.#task.receiver.lost.aborted && !this.#task.signal.aborted) this.#task.receiver.report(this.#durable, maxLsn(this.#durable, this.#segment?.position ?? this.#durable));
  }

  #noteSoon(): void {
    if (this.#task.clock.monotonicMs() - this.#notedMs < NOTE_EVERY_MS) return;
    this.#notedMs = this.#task.clock.monotonicMs();
    // Beside the writes: what it says is durable already, and a store far away is not to be waited for twice.
    this.#note().catch((error: unknown) => this.#failed.abort(error));
  }

  #note(): Promise<void> {
    return this.#task.lease.note(this.#position);
  }

  get #position(): Parameters<Lease["note"]>[0] {
    const { systemIdentifier } = this.#task.store.place;
    const coveredUntil = this.#coveredUntil === null ? null : formatMicros(this.#coveredUntil);
    return { systemIdentifier, timeline: this.#timeline, lsn: formatLsn(this.#durable), coveredUntil };
  }

  #enqueue(act: () => Promise<void>): void {
    this.#writes = this.#writes.then(async () => {
      if (this.#failed.signal.aborted) return;
      try {
        await act();
      } catch (error) {
        this.#failed.abort(error);
      }
    });
  }
}
