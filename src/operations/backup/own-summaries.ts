import type { Lsn } from "../../domain/lsn.ts";
import { formatLsn } from "../../domain/lsn.ts";
import type { TimelineHistory } from "../../domain/timeline.ts";
import { FORK } from "../../domain/wal-changes.ts";
import type { WalChanges } from "../../domain/wal-changes.ts";
import { contiguousFrom } from "../../domain/wal-coverage.ts";
import type { WalInventory } from "../../domain/wal-coverage.ts";
import { segmentAt, segmentStart } from "../../domain/wal-segment.ts";
import { SummaryChain } from "../../domain/wal-summary.ts";
import type { WalSummary } from "../../domain/wal-summary.ts";
import { DamageError } from "../../errors.ts";
import type { ChangedBlocks } from "../../postgres/server-summaries.ts";
import type { Repository } from "../../repository/repository.ts";
import { listWal } from "../../repository/wal-archive.ts";
import type { WalPlace } from "../../repository/wal-archive.ts";
import { findSummary } from "../../repository/wal-summaries.ts";
import type { OperationContext } from "../context.ts";
import { WalRereader } from "./wal-rereader.ts";
import { lookingPauses } from "./wal-wait.ts";

export interface OwnSummaryRequest {
  /** The first tier: it alone has the WAL of the last seconds. */
  readonly repository: Repository;
  readonly place: WalPlace;
  readonly history: TimelineHistory;
  readonly from: Lsn;
  readonly to: Lsn;
  /** Where the record before the one at `to` begins, as the server itself says; null where it cannot be asked. */
  readonly before: Lsn | null;
  /** WAL that is read again, where there is no summary of it, is read up to this. Beyond it the cluster itself is read as quickly. */
  readonly rereadBytes: number;
  /** Asks the server to end the segment it is writing, so that it is stored and summarised. It may refuse. */
  readonly endSegment: () => Promise<void>;
}

/** WAL before the start of a backup is durable when this is asked for, and the record there is on its way: streamed every second, or in a segment that must be ended. */
const END_SEGMENT_AFTER_MS = 3000;
const GIVE_UP_AFTER_MS = 20_000;
const SUMMARIES_AHEAD = 8;

/** What changed between two positions by the WAL in the repository: from summaries stored with it, and from the WAL itself where there is none. Or a sentence that says why it cannot be told. */
export async function readOwnSummaries(request: OwnSummaryRequest, context: OperationContext): Promise<ChangedBlocks | string> {
  const { from, to } = request;
  if (to < from) return `this backup begins at ${formatLsn(to)}, before the one it would be made from`;
  const coverage = new Coverage(request);
  const since = context.clock.monotonicMs();
  const pauses = lookingPauses();
  for (let asked = false; ;) {
    const failure = await coverage.extend();
    if (failure !== null) return failure;
    if (coverage.isComplete) return changedBlocks(coverage.changes);
    const waitedMs = context.clock.monotonicMs() - since;
    if (waitedMs > GIVE_UP_AFTER_MS) return `the WAL at ${formatLsn(to)} did not arrive in ${GIVE_UP_AFTER_MS / 1000} s`;
    if (!asked && (waitedMs > END_SEGMENT_AFTER_MS || !request.repository.keyRing.canOpenData)) {
      await request.endSegment();
      asked = true;
    }
    await context.clock.sleep(pauses.next().value, context.signal);
  }
}

/** How far changes are known, extended as WAL arrives. */
class Coverage {
  readonly #request: OwnSummaryRequest;
  readonly #chain: SummaryChain;
  readonly #rereader: WalRereader;
  /** Segments that are covered whole. */
  #done = 0;
  /** Summaries on their way, by segment. */
  readonly #stored = new Map<string, Promise<WalSummary | null>>();

  constructor(request: OwnSummaryRequest) {
    this.#request = request;
    this.#chain = new SummaryChain(request.from);
    this.#rereader = new WalRereader(request.repository, request.place, request.rereadBytes);
  }

  /** The record at `to` was seen, or the last one that was is what it names: it itself may be streamed a second later. */
  get isComplete(): boolean {
    const { last } = this.#chain;
    return this.#chain.reaches(this.#request.to) || (last !== null && last === this.#request.before);
  }

  get changes(): WalChanges {
    return this.#chain.changes;
  }

  /** Takes in what has arrived. Returns why it will never be complete, or null. */
  async extend(): Promise<string | null> {
    const { repository, place, history, from, to } = this.#request;
    const inventory = await listWal(repository, place);
    const { names, end } = contiguousFrom(inventory, history, from);
    if (end < segmentStart(segmentAt(history.timeline, to, place.segmentBytes), place.segmentBytes)) return `${repository.name} holds no WAL from ${formatLsn(end)} on`;
    try {
      for (let i = this.#done; i < names.length && !this.isComplete; i++) {
        const isWhole = inventory.segments.has(names[i] as string);
        this.#fetchAhead(inventory, names.slice(i, i + SUMMARIES_AHEAD));
        const failure = (isWhole && (await this.#takeStored(names[i] as string))) || !this.#mayReread(isWhole) ? null : await this.#reread(inventory, names, i);
        if (failure !== null) return failure;
        if (isWhole) this.#done = i + 1;
      }
    } catch (error) {
      if (!(error instanceof DamageError)) throw error;
      return `WAL cannot be read: ${error.message}`;
    }
    return null;
  }

  /** The unfinished segment is left alone by a host that can only write: its summary comes when it is complete. */
  #mayReread(isWhole: boolean): boolean {
    return isWhole || this.#request.repository.keyRing.canOpenData;
  }

  /** True if the stored summary of the segment was there, and follows. */
  async #takeStored(name: string): Promise<boolean> {
    const summary = (await this.#stored.get(name)) ?? null;
    this.#stored.delete(name);
    return summary !== null && this.#chain.append(summary);
  }

  /** There is one for every segment, and each takes a journey to the store: several are under way at once. */
  #fetchAhead(inventory: WalInventory, names: readonly string[]): void {
    const { repository, place } = this.#request;
    for (const name of names) {
      const objects = inventory.segments.get(name)?.objects ?? [];
      // Two contents under one name may be two histories: only the segments themselves tell.
      if (objects.length !== 1 || this.#stored.has(name)) continue;
      const summary = findSummary(repository, place, objects[0] as string);
      // Whoever takes it sees why it failed.
      summary.catch(() => undefined);
      this.#stored.set(name, summary);
    }
  }

  async #reread(inventory: WalInventory, names: readonly string[], i: number): Promise<string | null> {
    const { repository } = this.#request;
    if (!repository.keyRing.canOpenData) return `there is no summary of the WAL in ${names[i]} that follows the one before, and this host cannot open WAL`;
    return this.#rereader.extend(this.#chain, inventory, names, i);
  }
}

/** In the form in which the server's own summaries are used. */
function changedBlocks(changes: WalChanges): ChangedBlocks {
  // Asked for one segment file of a relation after the other.
  let latest: { key: string; blocks: Uint32Array } | null = null;
  return {
    blocks: changes.blocks,
    of: (relation, fork) => {
      const [tablespace, database, number] = relation.split("/").map(Number) as [number, number, number];
      if (changes.isReplaced(tablespace, database)) return "all";
      const found = changes.find(tablespace, database, number, FORK[fork]);
      if (found === null) return null;
      if (found.limitBlock === 0) return "all";
      const key = `${relation}/${fork}`;
      if (latest?.key !== key) latest = { key, blocks: found.blocks.toArray() };
      return { limitBlock: found.limitBlock, blocks: latest.blocks };
    },
  };
}
