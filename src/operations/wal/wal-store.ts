import { randomBytes } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { crashPoint } from "../../crash-points.ts";
import type { WalSummary } from "../../domain/wal-summary.ts";
import { DamageError, HoldfastError } from "../../errors.ts";
import { keys } from "../../repository/layout.ts";
import type { Repository, WritableRepository } from "../../repository/repository.ts";
import { readParts, readSegment, storeHistory, storePart, storeSegment } from "../../repository/wal-archive.ts";
import type { SegmentFacts, SegmentLedger, WalPlace } from "../../repository/wal-archive.ts";
import { writeIndexAfter } from "../../repository/wal-index.ts";
import { findSummary } from "../../repository/wal-summaries.ts";
import type { TierQueue } from "./tier-queue.ts";
import type { WalKeys } from "./wal-keys.ts";

/** Where WAL goes: one cluster's place in one or several repositories, the first of which is the first tier (it alone holds parts, and decides what is durable). */
export interface WalStore {
  readonly place: WalPlace;
  readonly repositories: readonly [WritableRepository, ...WritableRepository[]];
  readonly walKeys: WalKeys;
  readonly clock: Clock;
  /** Repositories that nobody waits for: each is written from a queue of its own. */
  readonly behind?: readonly TierQueue[];
  /** Called when a copy behind the first could not be written: it is filled up later. */
  readonly onLagging: (repository: WritableRepository, error: unknown) => void;
}

/** For a store of one repository: it has none behind the first. */
export function failAtOnce(_: WritableRepository, error: unknown): never {
  throw error;
}

/**
 * A segment into every repository that is waited for, and handed to those behind. `ownParts`: parts of it that this process made of these very bytes. `summary`: what it changed, if that is known.
 */
export async function storeSegmentEverywhere(
  store: WalStore,
  segment: string,
  bytes: Buffer,
  facts: SegmentFacts,
  ownParts: readonly string[] = [],
  summary: WalSummary | null = null,
): Promise<void> {
  await Promise.all(
    store.repositories.map(async (repository, tier) => {
      try {
        crashPoint("wal.before-segment");
        await storeOne(repository, store, segment, bytes, facts, summary);
      } catch (error) {
        if (tier === 0 || (error instanceof HoldfastError && error.code === "HF-DIVERGED")) throw error;
        store.onLagging(repository, error);
      }
    }),
  );
  // Only now: what is dropped, because the repository lags, must be there for who fills it up, or it could be overlooked by both.
  for (const tier of store.behind ?? []) tier.hand(bytes.length, (repository) => storeOne(repository, store, segment, bytes, facts, summary));
  crashPoint("wal.part-to-segment");
  await replaceParts(store.repositories[0], store.place, segment, bytes, new Set(ownParts));
}

async function storeOne(repository: WritableRepository, store: WalStore, segment: string, bytes: Buffer, facts: SegmentFacts, summary: WalSummary | null): Promise<void> {
  const outcome = await storeSegment(repository, store.place, segment, bytes, facts, { dataKey: await store.walKeys.for(repository), now: store.clock.now(), summary });
  if (outcome === "diverged") throw divergence(repository, segment);
  await writeIndexAfter(repository, store.place, segment);
}

function divergence(repository: WritableRepository, segment: string): HoldfastError {
  return new HoldfastError("HF-DIVERGED", `${repository.name} already holds another ${segment}`, {
    hint: "two servers may believe to be the primary; both are kept. Find out which one is right, then take a full backup of it",
    facts: { repository: repository.name, segment },
  });
}

export async function storePartInFirstTier(store: WalStore, segment: string, from: number, bytes: Buffer): Promise<string> {
  const [first] = store.repositories;
  crashPoint("wal.before-part");
  const object = await storePart(first, store.place, segment, from, bytes, {
    dataKey: await store.walKeys.for(first),
    now: store.clock.now(),
    random: randomBytes(4).toString("hex"),
  });
  crashPoint("wal.after-part");
  return object;
}

/** The parts of a segment go when it is complete, if it begins as they say. Where that cannot be told (this host cannot open them, or they are damaged), they stay until the segment expires. */
async function replaceParts(repository: WritableRepository, place: WalPlace, segment: string, bytes: Buffer, own: ReadonlySet<string>): Promise<void> {
  const folder = keys.segmentParts(place.source, place.systemIdentifier, segment);
  const objects = (await repository.store.listNames(folder)).map((name) => folder + name);
  const others = objects.some((object) => !own.has(object));
  if (others && !repository.keyRing.canOpenData) return;
  try {
    const parts = others ? await readParts(repository, place, segment, objects) : bytes;
    if (!parts.equals(bytes.subarray(0, parts.length))) throw divergence(repository, segment);
  } catch (error) {
    if (error instanceof DamageError) return;
    throw error;
  }
  if (objects.length > 0) await repository.store.remove(objects);
}

export async function storeHistoryEverywhere(store: WalStore, timeline: number, content: Buffer): Promise<void> {
  const act = async (repository: WritableRepository): Promise<void> => {
    const outcome = await storeHistory(repository, store.place, timeline, content, { dataKey: await store.walKeys.for(repository), now: store.clock.now() });
    if (outcome === "diverged") throw divergence(repository, `history of timeline ${timeline}`);
  };
  for (const [tier, repository] of store.repositories.entries()) {
    try {
      await act(repository);
    } catch (error) {
      if (tier === 0 || (error instanceof HoldfastError && error.code === "HF-DIVERGED")) throw error;
      store.onLagging(repository, error);
    }
  }
  for (const tier of store.behind ?? []) tier.hand(content.length, act);
}

/** Copies a complete segment from one repository to another, decoded and encrypted anew, with its summary. */
export async function copySegment(
  from: Repository,
  to: WritableRepository,
  store: Pick<WalStore, "place" | "walKeys" | "clock">,
  segment: string,
  objects: readonly string[],
  ledger: SegmentLedger,
): Promise<void> {
  const { place } = store;
  const bytes = await readSegment(from, place, segment, objects);
  const summary = ledger.summarised && objects[0] !== undefined ? await findSummary(from, place, objects[0]) : null;
  const outcome = await storeSegment(to, place, segment, bytes, ledger, { dataKey: await store.walKeys.for(to), now: store.clock.now(), summary });
  if (outcome === "diverged") throw divergence(to, segment);
  await replaceParts(to, place, segment, bytes, new Set());
}
