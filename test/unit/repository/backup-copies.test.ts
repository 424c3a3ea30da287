import { randomFillSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { BackupCopy, CopiesTogether, fanOut } from "../../../src/repository/backup-copies.ts";
import { FrameLane } from "../../../src/repository/frame-lane.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { isTooSlow } from "../../../src/domain/copy-pace.ts";
import type { CopyPace } from "../../../src/domain/copy-pace.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";
import { withFaults } from "../../support/store-faults.ts";

const BACKUP = "20260101T000000Z-full";
const FRAMES = 80;

describe("copies of a backup that are written at once", () => {
  let fast: RepositoryFixture;
  let slow: RepositoryFixture;
  beforeEach(async () => {
    [fast, slow] = [await openRepositoryFixture(), await openRepositoryFixture()];
  });
  afterEach(async () => {
    await fast[Symbol.asyncDispose]();
    await slow[Symbol.asyncDispose]();
  });

  async function copyTo(repository: WritableRepository): Promise<BackupCopy> {
    return new BackupCopy(repository, { source: "db", backup: BACKUP, dataKey: await repository.keyRing.sealNew(), clock: systemClock });
  }

  /** More than any queue takes. */
  async function write(copies: readonly BackupCopy[], tooSlow?: (pace: CopyPace) => boolean): Promise<void> {
    const lane = new FrameLane(fanOut(new CopiesTogether(copies, systemClock, tooSlow), "data"), { level: 1, packPlainBytes: 8 << 20 });
    for (let i = 0; i < FRAMES; i++) {
      await lane.ready();
      const frame = Buffer.allocUnsafeSlow(1 << 20);
      // What does not shrink.
      randomFillSync(frame);
      lane.submit(frame);
    }
    await lane.finish();
    await Promise.all(copies.map((copy) => copy.drained()));
    await Promise.all(copies.map((copy) => copy.abort()));
  }

  const packsOf = async (fixture: RepositoryFixture): Promise<number> => (await fixture.store.listNames(`sources/db/backups/${BACKUP}/data/`)).length;

  test("go on without one whose store stands still: it holds them up for as long as it may, and is given up", async () => {
    const { promise: stuck, resolve: release } = Promise.withResolvers<undefined>();
    using faulty = withFaults(slow.store);
    const copies = [await copyTo(await fast.open()), await copyTo(await slow.open("one", faulty.store))] as const;
    faulty.queue("write", { meanwhile: () => stuck });
    const writing = write(copies, ({ heldUpMs }) => heldUpMs > 100);
    await expect.poll(() => copies[1].failure, { timeout: 20_000 }).toMatchObject({ code: "HF-COPIES" });
    release(undefined);
    await writing;
    expect(copies[0].failure).toBeNull();
    expect(await packsOf(fast)).toBe(FRAMES / 8);
  });

  test("go on without one that fails, whose reason is kept; and only the last that fails ends all", async () => {
    using faulty = withFaults(slow.store);
    const broken = new Error("broken");
    const copies = [await copyTo(await fast.open()), await copyTo(await slow.open("one", faulty.store))] as const;
    faulty.queue("commit", { before: broken });
    await write(copies);
    expect([copies[0].failure, copies[1].failure]).toEqual([null, broken]);
    expect([await packsOf(fast), copies[0].contents.length]).toEqual([FRAMES / 8, FRAMES / 8]);
    const only = await copyTo(await slow.open("one", faulty.store));
    faulty.queue("create", { before: broken });
    await expect(write([only])).rejects.toBe(broken);
  });
});

test.each([
  [{ heldUpMs: 59_000, elapsedMs: 60_000 }, false],
  [{ heldUpMs: 121_000, elapsedMs: 121_000 }, true],
  [{ heldUpMs: 5 * 3_600_000, elapsedMs: 10 * 3_600_000 }, false],
  [{ heldUpMs: 6 * 3_600_000, elapsedMs: 10 * 3_600_000 }, true],
])("a copy that held the others up %o is too slow: %s", (pace, expected) => {
  expect(isTooSlow(pace)).toBe(expected);
});
