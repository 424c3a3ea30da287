import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import { CommitScanner, ledgerOf } from "../../../../src/operations/wal/segment-assembly.ts";
import { TierKeeper } from "../../../../src/operations/wal/tier-keeper.ts";
import { TierQueue } from "../../../../src/operations/wal/tier-queue.ts";
import { WalKeys } from "../../../../src/operations/wal/wal-keys.ts";
import { storePartInFirstTier, storeSegmentEverywhere } from "../../../../src/operations/wal/wal-store.ts";
import type { WalStore } from "../../../../src/operations/wal/wal-store.ts";
import { keys } from "../../../../src/repository/layout.ts";
import { listWal, readSegment } from "../../../../src/repository/wal-archive.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { withFaults } from "../../../support/store-faults.ts";
import { SEGMENT_BYTES, SYSTEM_IDENTIFIER, WalBuilder } from "../../../support/wal-builder.ts";
import { nameOf, startOf, WalFixture } from "../../../support/wal-fixture.ts";

const NAME = nameOf(1, 1);
const PARTS = keys.segmentParts("db", SYSTEM_IDENTIFIER, NAME);

describe("a WAL segment on its way from parts to one object", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  let store: WalStore;
  let wal: WalBuilder;

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
    store = storeWith(archive);
    wal = new WalBuilder({ segments: 1 });
    wal.fillToEnd(0);
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  function storeWith({ repository, place }: WalFixture): WalStore {
    const onLagging = (_: unknown, error: unknown): never => {
      throw error;
    };
    return { place, repositories: [repository], walKeys: new WalKeys(systemClock), clock: systemClock, onLagging };
  }

  async function complete(bytes: Buffer, own: readonly string[] = [], to = store): Promise<void> {
    const scanner = new CommitScanner(startOf(1), SEGMENT_BYTES);
    scanner.push(bytes);
    await storeSegmentEverywhere(to, NAME, bytes, ledgerOf(archive.place, 1, startOf(1), scanner.take(startOf(1)), "stream"), own);
  }

  test("replaces its parts, whoever made them, when it begins as they say", async () => {
    await archive.part(wal, 1, 0, 700);
    const own = [await storePartInFirstTier(store, NAME, 700, wal.segment(1).subarray(700, 9000))];
    await complete(wal.segment(1), own);
    expect(await fixture.store.listNames(PARTS)).toEqual([]);
    const { segments } = await listWal(archive.repository, archive.place);
    expect((await readSegment(archive.repository, archive.place, NAME, segments.get(NAME)?.objects ?? [])).equals(wal.segment(1))).toBe(true);
  });

  test("and its parts are both kept where they differ: two servers wrote it", async () => {
    const other = Buffer.from(wal.segment(1));
    other[5000] = (other[5000] ?? 0) ^ 1;
    const parts = [await archive.part(wal, 1, 0, 9000)];
    await expect(complete(other)).rejects.toMatchObject({ code: "HF-DIVERGED" });
    expect((await fixture.store.listNames(PARTS)).map((name) => PARTS + name)).toEqual(parts);
    expect((await listWal(archive.repository, archive.place)).segments.has(NAME)).toBe(true);
  });

  test("leaves parts that cannot be read where they are: what they held is not known", async () => {
    const part = await archive.part(wal, 1, 0, 9000);
    const bytes = await fixture.store.read(part);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    await fixture.store.remove([part]);
    const writer = await fixture.store.create(part);
    await writer.write(bytes);
    await writer.commit();
    await complete(wal.segment(1));
    expect(await fixture.store.listNames(PARTS)).toHaveLength(1);
  });

  test("is stored once, whichever way it comes and however often", async () => {
    for (let i = 0; i < 3; i++) await complete(wal.segment(1));
    expect((await listWal(archive.repository, archive.place)).segments.get(NAME)?.objects).toHaveLength(1);
  });

  test("is not lost at any failing call of the store: what was durable before is durable after, and the next attempt ends well", async () => {
    const calls = await countCalls();
    expect(calls).toBeGreaterThan(3);
    for (const when of ["before", "after"] as const)
      for (let nth = 1; nth <= calls; nth++) {
        await using another = await openRepositoryFixture();
        const inner = await WalFixture.open(await another.open());
        await inner.part(wal, 1, 0, 9000);
        using faulty = withFaults(another.store);
        const through = { ...inner.repository, store: faulty.store };
        faulty.queueNth(nth, when === "before" ? { before: new Error("the disk is gone") } : { after: new Error("the answer was lost") });
        const failing: WalStore = { ...store, repositories: [through] };
        await complete(wal.segment(1), [], failing).catch(() => undefined);
        const { segments, parts } = await listWal(inner.repository, inner.place);
        expect(segments.has(NAME) || parts.get(NAME)?.contiguousBytes === 9000, `${when} call ${nth}`).toBe(true);
        await complete(wal.segment(1), [], { ...store, repositories: [inner.repository] });
        const after = await listWal(inner.repository, inner.place);
        expect((await readSegment(inner.repository, inner.place, NAME, after.segments.get(NAME)?.objects ?? [])).equals(wal.segment(1))).toBe(true);
        expect(after.parts.size).toBe(0);
      }
  });

  test("reaches a repository that was filled up while it was being stored", async () => {
    await using another = await openRepositoryFixture();
    const behind = await WalFixture.open(await another.open());
    const tier = new TierQueue(behind.repository, { isLagging: true, onLagging: () => undefined });
    using slow = withFaults(fixture.store);
    const { place, walKeys, clock } = store;
    const { repository: first } = archive;
    // Everything the keeper of the tier does, before the segment is there.
    const meanwhile = async (): Promise<void> => {
      const task = { first, behind: [tier], away: [], place, runId: "run", walKeys, clock, onNotice: () => undefined, onReturn: () => undefined, onDiverged: () => undefined };
      const keeper = new TierKeeper(task);
      while (tier.isLagging) await clock.sleep(10);
      await keeper[Symbol.asyncDispose]();
    };
    slow.queue("commit", { meanwhile }, (key) => key.includes(`/${NAME}-`));
    await complete(wal.segment(1), [], { ...store, repositories: [{ ...first, store: slow.store }], behind: [tier] });
    expect(await tier.drained(clock, 10_000)).toBe(true);
    expect([...(await listWal(behind.repository, behind.place)).segments.keys()]).toEqual([NAME]);
  });

  /** Calls of the store it takes to complete a segment that has a part. */
  async function countCalls(): Promise<number> {
    await using another = await openRepositoryFixture();
    const inner = await WalFixture.open(await another.open());
    await inner.part(wal, 1, 0, 9000);
    using faulty = withFaults(another.store);
    await complete(wal.segment(1), [], { ...store, repositories: [{ ...inner.repository, store: faulty.store }] });
    return faulty.allCalls();
  }
});
