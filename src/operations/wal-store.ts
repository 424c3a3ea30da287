import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import { crashPoint } from "../crash-points.ts";
import { HoldfastError } from "../errors.ts";
import { keys } from "../repository/layout.ts";
import type { WritableRepository } from "../repository/repository.ts";
import { readSegment, storeHistory, storePart, storeSegment } from "../repository/wal-archive.ts";
import type { SegmentLedger, WalPlace } from "../repository/wal-archive.ts";
import { writeIndexAfter } from "../repository/wal-index.ts";
import type { WalKeys } from "./wal-keys.ts";

/** Where WAL goes: one cluster's place in one or several repositories, the first of which is the first tier (it alone holds parts, and decides what is durable). */
export interface WalStore {
  readonly place: WalPlace;
  readonly repositories: readonly [WritableRepository, ...WritableRepository[]];
  readonly walKeys: WalKeys;
  readonly clock: Clock;
  /** Called when a copy behind the first could not be written: it is filled up later. */
  readonly onLagging: (repository: WritableRepository, error: unknown) => void;
}

/** Parts of a segment beyond this number are joined into one, so that a slow segment does not become thousands of objects. */
const PARTS_BEFORE_JOIN = 32;

export async function storeSegmentEverywhere(store: WalStore, segment: string, bytes: Buffer, ledger: Omit<SegmentLedger, "follows">): Promise<void> {
  await Promise.all(
    store.repositories.map(async (repository, tier) => {
      try {
        crashPoint("wal.before-segment");
        const outcome = await storeSegment(repository, store.place, segment, bytes, ledger, { dataKey: await store.walKeys.for(repository), now: store.clock.now() });
        if (outcome === "diverged") throw divergence(repository, segment);
        await writeIndexAfter(repository, store.place, segment);
      } catch (error) {
        if (tier === 0 || (error instanceof HoldfastError && error.code === "HF-DIVERGED")) throw error;
        store.onLagging(repository, error);
      }
    }),
  );
  crashPoint("wal.part-to-segment");
  await removeParts(store, segment);
}

function divergence(repository: WritableRepository, segment: string): HoldfastError {
  return new HoldfastError("HF-DIVERGED", `${repository.name} already holds another ${segment}`, {
    hint: "two servers may believe to be the primary; both are kept. Find out which one is right, then take a full backup of it",
    facts: { repository: repository.name, segment },
  });
}

export async function storePartInFirstTier(store: WalStore, segment: string, from: number, bytes: Buffer): Promise<void> {
  const [first] = store.repositories;
  crashPoint("wal.before-part");
  await storePart(first, store.place, segment, from, bytes, { dataKey: await store.walKeys.for(first), now: store.clock.now(), random: randomBytes(4).toString("hex") });
  crashPoint("wal.after-part");
}

/** Replaces the parts of a segment by one that holds all of `bytes`, when there are many. */
export async function joinParts(store: WalStore, segment: string, bytes: Buffer): Promise<void> {
  const [first] = store.repositories;
  const folder = keys.segmentParts(store.place.source, store.place.systemIdentifier, segment);
  const before = await first.store.listNames(folder);
  if (before.length < PARTS_BEFORE_JOIN) return;
  await storePartInFirstTier(store, segment, 0, bytes);
  await first.store.remove(before.map((name) => folder + name));
}

async function removeParts(store: WalStore, segment: string): Promise<void> {
  const [first] = store.repositories;
  const folder = keys.segmentParts(store.place.source, store.place.systemIdentifier, segment);
  const names = await first.store.listNames(folder);
  if (names.length > 0) await first.store.remove(names.map((name) => folder + name));
}

export async function storeHistoryEverywhere(store: WalStore, timeline: number, content: Buffer): Promise<void> {
  for (const [tier, repository] of store.repositories.entries()) {
    try {
      const outcome = await storeHistory(repository, store.place, timeline, content, { dataKey: await store.walKeys.for(repository), now: store.clock.now() });
      if (outcome === "diverged") throw divergence(repository, `history of timeline ${timeline}`);
    } catch (error) {
      if (tier === 0 || (error instanceof HoldfastError && error.code === "HF-DIVERGED")) throw error;
      store.onLagging(repository, error);
    }
  }
}

/** Copies a complete segment from one repository to another, decoded and encrypted anew. */
export async function copySegment(
  from: WritableRepository,
  to: WritableRepository,
  store: Pick<WalStore, "place" | "walKeys" | "clock">,
  segment: string,
  objects: readonly string[],
  ledger: SegmentLedger,
): Promise<void> {
  const bytes = await readSegment(from, store.place, segment, objects);
  await storeSegment(to, store.place, segment, bytes, ledger, { dataKey: await store.walKeys.for(to), now: store.clock.now() });
}
