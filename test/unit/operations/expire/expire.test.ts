import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import { addBytes } from "../../../../src/domain/lsn.ts";
import { ledgerKey } from "../../../../src/domain/verify-ledger.ts";
import { expire } from "../../../../src/operations/expire/expire.ts";
import type { ExpireRequest } from "../../../../src/operations/expire/expire.ts";
import { listPieces } from "../../../../src/operations/verify/verify-pieces.ts";
import { writeDocument } from "../../../../src/repository/document.ts";
import { keys } from "../../../../src/repository/layout.ts";
import { listSummaries, summarisedSegment } from "../../../../src/repository/wal-summaries.ts";
import { putIfAbsent } from "../../../../src/storage/object-store.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { listTree } from "../../../support/tree.ts";
import { WalBuilder } from "../../../support/wal-builder.ts";
import { historyFile, nameOf, startOf, WalFixture } from "../../../support/wal-fixture.ts";

const KEEP_ONE = { keepForSeconds: null, keepLast: 1, daily: null, weekly: null, monthly: null, yearly: null };
const NOW = new Date("2026-01-10T12:00:00Z");
const hoursAgo = (hours: number): string => new Date(NOW.getTime() - hours * 3_600_000).toISOString();

describe("expiry", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const run = async (more: Partial<ExpireRequest> = {}): Promise<unknown> =>
    expire(
      { repository: archive.repository, source: "db", rules: new Map(), logRetentionSeconds: 24 * 3600, runId: "r", dryRun: false, onDeletion: async () => undefined, ...more },
      { clock: { ...systemClock, now: () => NOW }, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined },
    );

  test.each([
    { hours: 19, kept: [3, 4, 5, 6], why: "no backup of it is older than the window" },
    { hours: 25, kept: [4, 5, 6], why: "a backup of it is" },
  ])("keeps the window of the timeline the source is on where an abandoned one had got further, and $why", async ({ hours, kept }) => {
    const old = new WalBuilder({ segments: 9 });
    for (let i = 1; i <= 9; i++) old.fillToEnd(0);
    await archive.segments(old, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await archive.backup("20260109T100000Z-full", startOf(8), addBytes(startOf(8), 100), { stopAt: hoursAgo(26) });
    // Set back to segment 3, and on as timeline 2.
    await archive.history(2, historyFile(1, addBytes(startOf(3), 4096)));
    await archive.segments(old, [3, 4, 5, 6], { timeline: 2 });
    await archive.backup("20260109T170000Z-full", startOf(4), addBytes(startOf(4), 100), { timeline: 2, stopAt: hoursAgo(hours) });
    await run();
    const { inventory } = await archive.view();
    expect([...inventory.segments.keys()].filter((name) => name.startsWith("00000002"))).toEqual(kept.map((n) => nameOf(2, n)));
  });

  test.each([
    { hours: 30, kept: [1], why: "only what its backup needs for itself, once the window lies in the time of the other" },
    { hours: 20, kept: [1, 2, 3, 4], why: "all of it, while the window reaches back into its time" },
  ])("keeps of the WAL of a cluster that the source was before $why", async ({ hours, kept }) => {
    const wal = new WalBuilder({ segments: 5 });
    for (let i = 1; i <= 5; i++) wal.fillToEnd(0);
    const id = "20260105T000000Z-full";
    await archive.segments(wal, [1, 2, 3, 4]);
    await archive.backup(id, startOf(1), addBytes(startOf(1), 100), { stopAt: hoursAgo(100) });
    await archive.bindTo("4242", new Date(hoursAgo(hours + 1)));
    await archive.segments(wal, [1, 2, 3, 4, 5]);
    await archive.backup("20260109T000000Z-full", startOf(2), addBytes(startOf(2), 100), { stopAt: hoursAgo(hours) });
    await run();
    const view = await archive.view();
    const [former] = await view.former();
    expect([...(former?.inventory.segments.keys() ?? [])]).toEqual(kept.map((n) => nameOf(1, n)));
    expect(former?.gaps()).toEqual([]);
    expect(former?.listing.backups.map(({ manifest }) => manifest.id)).toEqual([id]);
    // The one in use keeps its window, and the same numbers of its own.
    expect([...view.inventory.segments.keys()]).toEqual((hours > 24 ? [2, 3, 4, 5] : [1, 2, 3, 4, 5]).map((n) => nameOf(1, n)));
    expect(view.listing.backups).toHaveLength(1);
    const pieces = await listPieces(view);
    expect(new Set(pieces.map(ledgerKey)).size).toBe(pieces.length);
    expect(pieces.filter(({ kind }) => kind === "wal")).toHaveLength(view.inventory.segments.size + kept.length);
  });

  test("removes the summary of a segment with it, and no other", async () => {
    const wal = new WalBuilder({ segments: 6 });
    for (let i = 1; i <= 6; i++) wal.fillToEnd(0);
    await archive.segments(wal, [1, 2, 3, 4, 5, 6], { summaries: true });
    await archive.backup("20260109T000000Z-full", startOf(4), addBytes(startOf(4), 100), { stopAt: hoursAgo(30) });
    await run();
    const left = await listSummaries(archive.repository, archive.place, "00000001");
    expect(left.map(summarisedSegment)).toEqual([4, 5, 6].map((n) => nameOf(1, n)));
  });

  test("keeps the end of a backup's own WAL also where it is parts only, of a timeline that ended there", async () => {
    const wal = new WalBuilder({ segments: 9 });
    for (let i = 1; i <= 9; i++) wal.fillToEnd(0);
    await archive.backup("20260101T000000Z-full", startOf(1), addBytes(startOf(2), 1000), { stopAt: hoursAgo(200) });
    await archive.segments(wal, [1]);
    await archive.part(wal, 2, 0, 5000);
    await archive.history(2, historyFile(1, addBytes(startOf(2), 5000)));
    await archive.segments(wal, [2, 3, 4, 5, 6], { timeline: 2 });
    await archive.backup("20260109T000000Z-full", startOf(5), addBytes(startOf(5), 100), { timeline: 2, stopAt: hoursAgo(30) });
    await run();
    const { inventory } = await archive.view();
    expect(inventory.parts.has(nameOf(1, 2)) || inventory.segments.has(nameOf(2, 2))).toBe(true);
  });

  test("that died after its tombstone does not take away the parent of a backup that was made meanwhile", async () => {
    const parent = await archive.backup("20260101T000000Z-full", startOf(1), addBytes(startOf(1), 100), { stopAt: hoursAgo(200) });
    const child = { ...parent, id: "20260102T000000Z-incr", type: "incremental", sequence: 2, ancestors: [{ id: parent.id, sha256: "" }] };
    await writeDocument(archive.repository, keys.manifest("db", child.id), "manifest", child, archive.repository.signer);
    await writeDocument(archive.repository, keys.tombstone("db", parent.id), "tombstone", { backup: parent.id, reason: "x" }, archive.repository.signer);
    await run();
    expect(await fixture.store.size(keys.manifest("db", parent.id))).not.toBeNull();
  });

  test("has put each deletion on record before anything of it goes, also one that was begun before", async () => {
    const wal = new WalBuilder({ segments: 5 });
    for (let i = 1; i <= 5; i++) wal.fillToEnd(0);
    await archive.segments(wal, [1, 2, 3, 4, 5]);
    const [begun, old] = ["20260101T000000Z-full", "20260102T000000Z-full"];
    for (const [i, id] of [begun, old].entries()) {
      await archive.backup(id, startOf(i + 1), addBytes(startOf(i + 1), 100), { stopAt: hoursAgo(200 - i) });
      await putIfAbsent(fixture.store, keys.contents("db", id), Buffer.from("what it holds"));
    }
    await archive.backup("20260109T000000Z-full", startOf(4), addBytes(startOf(4), 100), { stopAt: hoursAgo(30) });
    await writeDocument(archive.repository, keys.tombstone("db", begun), "tombstone", { backup: begun, reason: "x" }, archive.repository.signer);
    const objects = async (): Promise<string[]> => listTree(join(fixture.folder, "sources"));
    const before = await objects();
    const gone = async (): Promise<Set<string>> => {
      const left = new Set(await objects());
      return new Set(before.filter((path) => !left.has(path)).map((path) => [begun, old].find((id) => path.includes(id)) ?? "log"));
    };

    const deletions: { of: unknown; goneBefore: Set<string> }[] = [];
    await run({
      rules: new Map([["full", KEEP_ONE]]),
      onDeletion: async ({ backup = "log" }) => void deletions.push({ of: backup, goneBefore: await gone() }),
    });
    expect(deletions).toEqual([
      { of: begun, goneBefore: new Set() },
      { of: old, goneBefore: new Set([begun]) },
      { of: "log", goneBefore: new Set([begun, old]) },
    ]);
    expect(await gone()).toEqual(new Set([begun, old, "log"]));
  });

  test("clears away what writers that died left half-written, and nothing that may still be written", async () => {
    const wal = new WalBuilder({ segments: 2 });
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    const halves = [keys.walFolder("db", archive.place.systemIdentifier, nameOf(1, 1)), keys.leases("db.wal")].flatMap((folder) => [`${folder}.old.tmp`, `${folder}.young.tmp`]);
    for (const half of halves) {
      await mkdir(dirname(join(fixture.folder, half)), { recursive: true });
      await writeFile(join(fixture.folder, half), "half");
      const touchedAt = new Date(NOW.getTime() - (half.includes(".old.") ? 25 : 23) * 3_600_000);
      await utimes(join(fixture.folder, half), touchedAt, touchedAt);
    }
    await run();
    const left = await readdir(fixture.folder, { recursive: true });
    expect(halves.filter((half) => left.includes(half))).toEqual(halves.filter((half) => half.includes(".young.")));
  });

  test("deletes nothing while a manifest cannot be read: it may need any of the others", async () => {
    const old = await archive.backup("20260101T000000Z-full", startOf(1), addBytes(startOf(1), 100), { stopAt: hoursAgo(200) });
    await archive.backup("20260109T000000Z-full", startOf(5), addBytes(startOf(5), 100), { stopAt: hoursAgo(30) });
    const wal = new WalBuilder({ segments: 3 });
    for (let i = 1; i <= 3; i++) wal.fillToEnd(0);
    await archive.segments(wal, [2, 3]);
    const damaged = keys.manifest("db", "20260109T060000Z-incr");
    await putIfAbsent(fixture.store, damaged, Buffer.from("{}"));
    await expect(run()).rejects.toMatchObject({ code: "HF-DAMAGE", object: damaged });
    expect(await fixture.store.size(keys.manifest("db", old.id))).not.toBeNull();
    expect([...(await archive.view()).inventory.segments.keys()]).toEqual([nameOf(1, 2), nameOf(1, 3)]);
  });
});
