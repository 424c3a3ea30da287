import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import { addBytes } from "../../../../src/domain/lsn.ts";
import { expire } from "../../../../src/operations/expire/expire.ts";
import type { ExpireRequest, ExpireResult } from "../../../../src/operations/expire/expire.ts";
import { writeDocument } from "../../../../src/repository/document.ts";
import { writeHold } from "../../../../src/repository/holds.ts";
import type { HoldAction } from "../../../../src/domain/hold.ts";
import { keys } from "../../../../src/repository/layout.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { WalBuilder } from "../../../support/wal-builder.ts";
import { nameOf, startOf, WalFixture } from "../../../support/wal-fixture.ts";

const KEEP_ONE = { keepForSeconds: null, keepLast: 1, daily: null, weekly: null, monthly: null, yearly: null };
const NOW = new Date("2026-01-10T12:00:00Z");
const hoursAgo = (hours: number): string => new Date(NOW.getTime() - hours * 3_600_000).toISOString();
const [OLDEST, OLD, NEW] = ["20260101T000000Z-full", "20260103T000000Z-full", "20260109T000000Z-full"] as const;

/** Three fulls, each with a segment of its own; the rules want only the newest. */
describe("expiry, and what people want kept", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
    const wal = new WalBuilder({ segments: 6 });
    for (let i = 1; i <= 6; i++) wal.fillToEnd(0);
    await archive.segments(wal, [1, 2, 3, 4, 5, 6]);
    for (const [id, segment, hours] of [
      [OLDEST, 1, 200],
      [OLD, 3, 160],
      [NEW, 5, 30],
    ] as const)
      await archive.backup(id, startOf(segment), addBytes(startOf(segment), 100), { stopAt: hoursAgo(hours) });
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const run = async (more: Partial<ExpireRequest> = {}): Promise<ExpireResult> =>
    expire(
      {
        repository: archive.repository,
        source: "db",
        rules: new Map([["full", KEEP_ONE]]),
        logRetentionSeconds: 24 * 3600,
        runId: "r",
        dryRun: false,
        onDeletion: async () => undefined,
        ...more,
      },
      { clock: { ...systemClock, now: () => NOW }, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined },
    );
  const act = async (action: HoldAction, backup: string | null): Promise<unknown> =>
    writeHold(archive.repository, "db", { backup, action, mark: { by: "ann", at: NOW.toISOString(), reason: "case 4711" } });
  const segments = async (): Promise<string[]> => [...(await archive.view()).inventory.segments.keys()];

  test.each(["pin", "hold"] as const)("a %s keeps a backup and its own WAL, and nothing else", async (action) => {
    await act(action, OLDEST);
    expect((await run()).removedBackups).toEqual([OLD]);
    expect(await segments()).toEqual([1, 5, 6].map((n) => nameOf(1, n)));
    await act(action === "pin" ? "unpin" : "release", OLDEST);
    expect((await run()).removedBackups).toEqual([OLDEST]);
    expect(await segments()).toEqual([5, 6].map((n) => nameOf(1, n)));
  });

  test("a hold on the whole source keeps every backup and all WAL, also what came after it", async () => {
    await act("hold", null);
    const { removedBackups, decisions } = await run();
    expect([removedBackups, decisions.map(({ reasons }) => reasons.includes("legal hold")), (await segments()).length]).toEqual([[], [true, true, true], 6]);
    expect((await run({ dryRun: true })).walSegments).toBe(0);
    await act("release", null);
    expect((await run()).removedBackups).toEqual([OLD, OLDEST]);
  });

  test("a backup that is put on hold while its deletion begins stays, whole and with its WAL", async () => {
    let held = false;
    const store = {
      ...fixture.store,
      // Somebody is quick: between the tombstone and the second look.
      size: async (key: string) => fixture.store.size(key),
      create: async (key: string) => {
        const writer = await fixture.store.create(key);
        if (key !== keys.tombstone("db", OLDEST)) return writer;
        return {
          ...writer,
          write: async (bytes: Uint8Array) => writer.write(bytes),
          abort: async () => writer.abort(),
          commit: async () => {
            const outcome = await writer.commit();
            await act("hold", OLDEST);
            held = true;
            return outcome;
          },
        };
      },
    };
    const { removedBackups } = await run({ repository: { ...archive.repository, store } });
    expect([held, removedBackups]).toEqual([true, [OLD]]);
    expect(await fixture.store.size(keys.manifest("db", OLDEST))).not.toBeNull();
    expect(await fixture.store.listNames(keys.tombstones("db"))).toEqual([]);
    expect(await segments()).toEqual([1, 5, 6].map((n) => nameOf(1, n)));
  });

  test("a deletion that a dead expiry began is taken back where the backup is on hold, and finished where its manifest is gone already", async () => {
    for (const id of [OLDEST, OLD]) await writeDocument(archive.repository, keys.tombstone("db", id), "tombstone", { backup: id, reason: "x" }, archive.repository.signer);
    await fixture.store.remove([keys.manifest("db", OLD)]);
    await act("hold", OLDEST);
    await act("hold", OLD);
    await run();
    expect(await fixture.store.listNames(keys.tombstones("db"))).toEqual([]);
    expect(await fixture.store.size(keys.manifest("db", OLDEST))).not.toBeNull();
  });

  test("nothing is deleted where what is held cannot be read", async () => {
    await act("hold", OLDEST);
    await act("release", OLDEST);
    await fixture.store.remove([keys.hold("db", OLDEST, 1)]);
    await expect(run()).rejects.toThrow(keys.hold("db", OLDEST, 1));
    expect((await fixture.store.listNames(keys.manifests("db"))).length).toBe(3);
    expect((await segments()).length).toBe(6);
  });
});
