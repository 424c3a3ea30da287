import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addBytes, lsn } from "../../../../src/domain/lsn.ts";
import type { Lsn } from "../../../../src/domain/lsn.ts";
import { fromDate } from "../../../../src/domain/timestamp.ts";
import type { RestoreTarget } from "../../../../src/domain/restore-target.ts";
import { findWindows } from "../../../../src/operations/restore/recovery-windows.ts";
import { planRestore } from "../../../../src/operations/restore/plan-restore.ts";
import type { RestoreChoice } from "../../../../src/operations/restore/plan-restore.ts";
import type { ResolvedTarget } from "../../../../src/operations/restore/resolve-target.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { SEGMENT_BYTES, WalBuilder } from "../../../support/wal-builder.ts";
import { historyFile, nameOf, startOf, WalFixture } from "../../../support/wal-fixture.ts";

const BACKUP = "20260101T120000Z-full";
const at = (minute: number, second = 0): Date => new Date(Date.UTC(2026, 0, 1, 12, minute, second));
const time = (minute: number, second = 0): RestoreTarget => ({ kind: "time", time: fromDate(at(minute, second)) });

describe("the point a restore ends at", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  let wal: WalBuilder;
  let stop: Lsn;

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
    wal = new WalBuilder({ segments: 6 });
    wal.filler(64);
    stop = wal.position;
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  /** A backup at the beginning of segment 1, over before the first transaction. */
  const backup = async (): Promise<unknown> => archive.backup(BACKUP, startOf(1), stop);

  async function resolve(target: RestoreTarget, choice: Partial<RestoreChoice> = {}): Promise<ResolvedTarget> {
    const plan = await planRestore(await archive.view(), { target, backup: null, timeline: "latest", exclusive: false, acceptGap: false, ...choice });
    return plan.resolved;
  }

  test("for a time is the last record before the first transaction that ended later", async () => {
    await backup();
    wal.commit(10, at(1));
    const last = wal.filler(100);
    wal.commit(11, at(3));
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    const resolved = await resolve(time(2));
    expect(resolved).toMatchObject({ record: last, end: addBytes(last, 100), lastCommit: { xid: 10 }, nextCommit: { xid: 11 } });
    expect(await resolve(time(1))).toMatchObject({ record: last });
    expect(await resolve(time(0, 59))).toMatchObject({ lastCommit: null, nextCommit: { xid: 10 } });
  });

  test("for a time is by the order of WAL, where times are not in order: nothing behind a later transaction comes back", async () => {
    await backup();
    const first = wal.commit(10, at(1));
    wal.commit(11, at(5));
    wal.commit(12, at(2));
    wal.commit(13, at(9));
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    expect(await resolve(time(4))).toMatchObject({ record: first, lastCommit: { xid: 10 }, nextCommit: { xid: 11 } });
  });

  for (const alone of [false, true])
    test(`for a time sees a transaction whose record crosses from one segment into the next (${alone ? "archived one by one" : "streamed"})`, async () => {
      await backup();
      wal.commit(10, at(1));
      wal.fillToEnd(16);
      const crossing = wal.commit(11, at(5));
      wal.fillToEnd(0);
      wal.commit(12, at(9));
      wal.fillToEnd(0);
      await archive.segments(wal, [1, 2, 3], { alone });
      const resolved = await resolve(time(3));
      expect(resolved.end <= crossing).toBe(true);
      expect(resolved).toMatchObject({ lastCommit: { xid: 10 }, nextCommit: { xid: 11 } });
    });

  test("for a time is refused from a backup that holds a later transaction already, as after a clock that was set back", async () => {
    wal.commit(10, at(30));
    wal.filler(64);
    await archive.backup(BACKUP, startOf(1), wal.position, { stopAt: at(1).toISOString() });
    wal.commit(11, at(2));
    wal.commit(12, at(40));
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    await expect(resolve(time(10))).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
    expect(await resolve(time(35))).toMatchObject({ lastCommit: { xid: 11 }, nextCommit: { xid: 12 } });
  });

  test("for a time after the last transaction is known only as far as the server's clock was seen", async () => {
    await backup();
    const last = wal.commit(10, at(1));
    const end = wal.position;
    await archive.part(wal, 1, 0, Number(end - startOf(1)));
    await expect(resolve(time(2))).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
    await archive.streamPosition({ timeline: 1, lsn: end, coveredUntil: at(3).toISOString() });
    expect(await resolve(time(2))).toMatchObject({ record: last });
    await expect(resolve(time(4))).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
  });

  test("is not vouched for by a clock that was seen further on than what is there", async () => {
    await backup();
    wal.commit(10, at(1));
    await archive.part(wal, 1, 0, Number(wal.position - startOf(1)));
    await archive.streamPosition({ timeline: 1, lsn: addBytes(wal.position, 4096), coveredUntil: at(3).toISOString() });
    await expect(resolve(time(2))).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
  });

  test("for latest is the last whole record, also where only a part of the segment is there", async () => {
    await backup();
    wal.fillToEnd(0);
    const last = wal.commit(10, at(1));
    const end = wal.position;
    wal.filler(3000);
    await archive.segments(wal, [1]);
    await archive.part(wal, 2, 0, Number(end - startOf(2)) + 500);
    expect(await resolve({ kind: "latest" })).toMatchObject({ record: last, end: addBytes(last, 34), segments: [nameOf(1, 1), nameOf(1, 2)] });
  });

  test("for latest is refused where a segment or a part before the end is missing", async () => {
    await backup();
    for (let i = 0; i < 4; i++) wal.fillToEnd(0);
    await archive.segments(wal, [1, 2, 4]);
    await expect(resolve({ kind: "latest" })).rejects.toThrow(/gap in WAL/);
    expect(await resolve({ kind: "latest" }, { acceptGap: true })).toMatchObject({ segments: [nameOf(1, 1), nameOf(1, 2)] });
  });

  test("for latest is refused where a part is missing between others", async () => {
    await backup();
    for (let i = 0; i < 3; i++) wal.commit(10 + i, at(i + 1));
    wal.fillToEnd(0);
    await archive.part(wal, 1, 0, 200);
    await archive.part(wal, 1, 4096, 8192);
    await expect(resolve({ kind: "latest" })).rejects.toThrow(/gap in WAL/);
  });

  test("for latest is refused where more was reported durable than is there", async () => {
    await backup();
    const last = wal.commit(10, at(1));
    const end = wal.position;
    wal.commit(11, at(2));
    await archive.part(wal, 1, 0, Number(end - startOf(1)));
    await archive.streamPosition({ timeline: 1, lsn: end, coveredUntil: null });
    expect(await resolve({ kind: "latest" })).toMatchObject({ record: last });
    await archive.streamPosition({ timeline: 1, lsn: wal.position, coveredUntil: null });
    await expect(resolve({ kind: "latest" })).rejects.toThrow(/was reported durable up to .* up to .* only/);
    expect(await resolve({ kind: "latest" }, { acceptGap: true })).toMatchObject({ record: last });
    expect(await resolve({ kind: "lsn", lsn: last })).toMatchObject({ record: last });
  });

  test("for a time at the edge of a gap is refused: what followed in the gap may be of the same moment", async () => {
    await backup();
    wal.commit(10, at(1));
    for (let i = 0; i < 4; i++) wal.fillToEnd(0);
    await archive.segments(wal, [1, 2, 4]);
    await expect(resolve(time(1))).rejects.toThrow(/gap in WAL/);
  });

  test("is never in bytes behind a missing part, nor in a part that begins in the middle", async () => {
    await backup();
    const last = wal.commit(10, at(1));
    wal.fillToEnd(0);
    wal.fillToEnd(0);
    await archive.part(wal, 1, 0, Number(last - startOf(1)) + 40);
    await archive.part(wal, 1, 4096, 8192);
    await archive.part(wal, 2, 4096, 8192);
    const view = await archive.view();
    expect(await view.read(nameOf(1, 1))).toHaveLength(Number(last - startOf(1)) + 40);
    expect(await resolve({ kind: "latest" }, { acceptGap: true })).toMatchObject({ record: last, segments: [nameOf(1, 1)] });
    await archive.segments(wal, [1]);
    expect((await resolve({ kind: "latest" }, { acceptGap: true })).segments).toEqual([nameOf(1, 1)]);
  });

  test("is never behind WAL that does not continue what is before it, as of a server that was set back", async () => {
    await backup();
    wal.commit(10, at(1));
    wal.fillToEnd(0);
    const other = new WalBuilder({ segments: 2, firstSegment: 2, after: addBytes(startOf(1), 40) });
    other.commit(11, at(5));
    other.fillToEnd(0);
    other.commit(12, at(9));
    other.fillToEnd(0);
    await archive.segments(wal, [1]);
    await archive.segments(other, [2]);
    await expect(resolve({ kind: "latest" })).rejects.toThrow(/WAL breaks off/);
    await expect(resolve(time(3))).rejects.toThrow(/WAL breaks off/);
    expect(await resolve(time(0, 30))).toMatchObject({ nextCommit: { xid: 10 } });
  });

  test("for an LSN is the record that begins there or next; exclusive, the one before", async () => {
    await backup();
    const before = wal.commit(10, at(1));
    const chosen = wal.filler(100);
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    expect(await resolve({ kind: "lsn", lsn: chosen })).toMatchObject({ record: chosen });
    expect(await resolve({ kind: "lsn", lsn: lsn(chosen - 3n) })).toMatchObject({ record: chosen });
    expect(await resolve({ kind: "lsn", lsn: chosen }, { exclusive: true })).toMatchObject({ record: before });
    await expect(resolve({ kind: "lsn", lsn: startOf(1) })).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
    await expect(resolve({ kind: "lsn", lsn: startOf(9) })).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
  });

  test("for a name or a transaction is its record; one that is there twice is refused and both are named", async () => {
    await backup();
    const named = wal.restorePoint("before the upgrade", at(1));
    const commit = wal.commit(77, at(2));
    wal.restorePoint("twice", at(3));
    wal.restorePoint("twice", at(4));
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    expect(await resolve({ kind: "name", name: "before the upgrade" })).toMatchObject({ record: named });
    expect(await resolve({ kind: "xid", xid: 77 })).toMatchObject({ record: commit });
    await expect(resolve({ kind: "name", name: "twice" })).rejects.toMatchObject({ code: "HF-TARGET" });
    await expect(resolve({ kind: "xid", xid: 78 })).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
  });

  test("is never before the backup is consistent", async () => {
    const first = wal.commit(10, at(1));
    wal.filler(64);
    await archive.backup(BACKUP, startOf(1), wal.position, { stopAt: at(2).toISOString() });
    wal.commit(11, at(3));
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    await expect(resolve({ kind: "lsn", lsn: first })).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
    await expect(resolve(time(0))).rejects.toMatchObject({ code: "HF-TARGET-UNREACHABLE" });
    expect(await resolve({ kind: "immediate" })).toMatchObject({ lastCommit: { xid: 10 }, nextCommit: { xid: 11 } });
  });

  test("is on the timeline asked for: what the old primary wrote after the fork is of its own timeline only", async () => {
    await backup();
    wal.commit(10, at(1));
    wal.fillToEnd(SEGMENT_BYTES / 2 + 4096);
    const fork = wal.position;
    // The new timeline's first segment begins as the old one's does, up to the fork.
    await archive.part(wal, 1, 0, Number(fork - startOf(1)), { timeline: 2 });
    wal.commit(11, at(2));
    wal.fillToEnd(0);
    await archive.segments(wal, [1]);
    await archive.history(2, historyFile(1, fork));
    expect(await resolve({ kind: "latest" })).toMatchObject({ timeline: 2, lastCommit: { xid: 10 }, segments: [nameOf(2, 1)] });
    expect(await resolve({ kind: "latest" }, { timeline: 1 })).toMatchObject({ timeline: 1, lastCommit: { xid: 11 }, segments: [nameOf(1, 1)] });
  });

  test("before a fork is on the timeline that was left there, whichever was asked for: the server was never on the other", async () => {
    await backup();
    wal.commit(10, at(1));
    const last = wal.filler(100);
    wal.commit(11, at(3));
    wal.fillToEnd(SEGMENT_BYTES / 2 + 4096);
    const fork = wal.position;
    wal.commit(12, at(5));
    wal.fillToEnd(0);
    await archive.segments(wal, [1], { timeline: 2 });
    await archive.history(2, historyFile(1, fork));
    expect(await resolve(time(2))).toMatchObject({ timeline: 1, record: last, nextCommit: { xid: 11 } });
    expect(await resolve(time(5))).toMatchObject({ timeline: 2, lastCommit: { xid: 12 } });
  });

  for (const how of ["in parts", "whole"])
    test(`is the fork, where nothing of the newer timeline is there yet: what the older one has of that segment, ${how}, counts up to there`, async () => {
      await backup();
      wal.commit(10, at(1));
      wal.fillToEnd(SEGMENT_BYTES / 2 + 4096);
      const fork = wal.position;
      // Only the server that was left has it.
      wal.commit(11, at(2));
      const beyond = wal.position;
      wal.fillToEnd(0);
      if (how === "whole") await archive.segments(wal, [1]);
      else await archive.part(wal, 1, 0, Number(beyond - startOf(1)));
      await archive.history(2, historyFile(1, fork));
      const resolved = await resolve({ kind: "latest" });
      expect(resolved).toMatchObject({ timeline: 2, end: fork, walEnd: fork, lastCommit: { xid: 10 }, nextCommit: null, segments: [nameOf(1, 1)] });
      const view = await archive.view();
      const history = view.histories.get(2);
      expect(history === undefined ? null : (await findWindows(view, history)).map(({ timeline, end, to }) => ({ timeline, end, to }))).toEqual([
        { timeline: 2, end: fork, to: fromDate(at(1)) },
      ]);
      expect(await resolve({ kind: "latest" }, { timeline: 1 })).toMatchObject({ timeline: 1, lastCommit: { xid: 11 } });
    });
});
