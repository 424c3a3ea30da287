import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import { addBytes, formatLsn } from "../../../../src/domain/lsn.ts";
import type { Lsn } from "../../../../src/domain/lsn.ts";
import { formatMicros, fromDate } from "../../../../src/domain/timestamp.ts";
import { HoldfastError } from "../../../../src/errors.ts";
import { streamWal } from "../../../../src/operations/wal/stream-wal.ts";
import { WalKeys } from "../../../../src/operations/wal/wal-keys.ts";
import type { WalMessage, WalReceiver } from "../../../../src/postgres/wal-receiver.ts";
import { acquireLease, readLease } from "../../../../src/repository/lease.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { withFaults } from "../../../support/store-faults.ts";
import { SEGMENT_BYTES, SYSTEM_IDENTIFIER, WalBuilder } from "../../../support/wal-builder.ts";
import { historyFile, nameOf, startOf, WalFixture } from "../../../support/wal-fixture.ts";

const at = (second: number): Date => new Date(Date.UTC(2026, 0, 1, 12, 0, second));

/** What a server does that was restarted, set back or cut off is said here message by message: no real one does it when it is asked to. */
interface Script {
  readonly timeline?: number;
  readonly position: Lsn;
  readonly history?: string;
  /** What comes when streaming of a timeline is asked for. */
  stream(timeline: number, start: Lsn): readonly WalMessage[] | Error;
}

function play(script: Script): WalReceiver & { readonly asked: [number, string][]; readonly flushed: Lsn[] } {
  const asked: [number, string][] = [];
  const flushed: Lsn[] = [];
  return {
    asked,
    flushed,
    lost: new AbortController().signal,
    identify: async () => ({ systemIdentifier: SYSTEM_IDENTIFIER, timeline: script.timeline ?? 1, position: script.position }),
    history: async () => Buffer.from(script.history ?? ""),
    ensureSlot: async () => undefined,
    async *stream({ timeline, start }) {
      asked.push([timeline, formatLsn(start)]);
      const messages = script.stream(timeline, start);
      if (messages instanceof Error) throw messages;
      yield* messages;
      return null;
    },
    report: (flush) => void flushed.push(flush),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

describe("streaming WAL", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  let wal: WalBuilder;
  const gaps: string[] = [];

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
    wal = new WalBuilder({ segments: 4 });
    for (let i = 1; i <= 4; i++) wal.fillToEnd(0);
    gaps.length = 0;
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  async function stream(receiver: WalReceiver, repository = archive.repository): Promise<string | null> {
    const { place } = archive;
    const lease = await acquireLease(repository, { scope: "db.wal", runId: "stream", clock: systemClock });
    try {
      await streamWal({
        receiver,
        store: { place, repositories: [repository], walKeys: new WalKeys(systemClock), clock: systemClock, onLagging: () => undefined },
        lease,
        slot: null,
        clock: systemClock,
        signal: new AbortController().signal,
        onPosition: () => undefined,
        onGap: async ({ timeline, from, to }) => void gaps.push(`${timeline} ${formatLsn(from)} ${formatLsn(to)}`),
      });
    } finally {
      await lease.release();
    }
    return (await readLease(repository, "db.wal"))?.position?.coveredUntil ?? null;
  }

  /** Bytes of segment 1 from its start, and how far the server says it is. */
  const sent = (bytes: number, serverEnd: Lsn, second: number): WalMessage => ({
    kind: "wal",
    start: startOf(1),
    bytes: wal.segment(1).subarray(0, bytes),
    serverEnd,
    sentAt: fromDate(at(second)),
  });
  const keepalive = (serverEnd: Lsn, second: number): WalMessage => ({ kind: "keepalive", serverEnd, sentAt: fromDate(at(second)), replyRequested: true });
  const end = addBytes(startOf(1), 8192);

  test("covers until the server's clock when everything it had was there", async () => {
    expect(await stream(play({ position: end, stream: () => [sent(8192, end, 1)] }))).toBe(formatMicros(fromDate(at(1))));
    expect(await stream(play({ position: end, stream: () => [sent(8192, end, 1), keepalive(end, 9)] }))).toBe(formatMicros(fromDate(at(9))));
  });

  test("covers nothing while there is more: a keepalive then tells how much was sent, and not that this is all", async () => {
    const more = addBytes(end, 100_000);
    expect(await stream(play({ position: more, stream: () => [sent(8192, more, 1), keepalive(end, 31)] }))).toBeNull();
  });

  test("tells the server 'flushed' only of what is durable, also where it asks while a segment is being written", async () => {
    using faulty = withFaults(fixture.store);
    const repository = await fixture.open("one", faulty.store);
    const messages = [sent(SEGMENT_BYTES, startOf(2), 1), keepalive(startOf(2), 2)];
    const receiver = play({ position: end, stream: () => messages });
    let beforeCommit: Lsn[] = [];
    const look = async (): Promise<void> => {
      // Long enough for the question that is waiting to be answered.
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
      beforeCommit = [...receiver.flushed];
    };
    faulty.queue("commit", { meanwhile: look }, (key) => key.includes(`/${nameOf(1, 1)}-`));
    await stream(receiver, repository);
    expect(beforeCommit.length).toBeGreaterThan(0);
    expect(beforeCommit.filter((flush) => flush > startOf(1))).toEqual([]);
    expect(receiver.flushed.at(-1)).toBe(startOf(2));
  });

  test("stores nothing of a server that was set back and has passed what we hold: it does not follow", async () => {
    await archive.segments(wal, [1]);
    const other = new WalBuilder({ segments: 1, firstSegment: 2, after: addBytes(startOf(1), 40) });
    other.fillToEnd(0);
    const messages: WalMessage[] = [{ kind: "wal", start: startOf(2), bytes: other.segment(2), serverEnd: startOf(3), sentAt: fromDate(at(1)) }];
    await expect(stream(play({ position: startOf(3), stream: () => messages }))).rejects.toMatchObject({ code: "HF-DIVERGED" });
    const { inventory } = await archive.view();
    expect([...inventory.segments.keys()]).toEqual([nameOf(1, 1)]);
    expect(inventory.parts.size).toBe(0);
  });

  test("refuses a server that is behind what we hold of its timeline", async () => {
    await archive.segments(wal, [1, 2]);
    await expect(stream(play({ position: addBytes(startOf(1), 9000), stream: () => [] }))).rejects.toMatchObject({ code: "HF-DIVERGED" });
  });

  test("goes on in the segment of which it holds the beginning only, wherever the server is by now", async () => {
    await archive.part(wal, 1, 0, 8192);
    const receiver = play({ position: addBytes(startOf(3), 500), stream: () => [] });
    await stream(receiver);
    expect(receiver.asked).toEqual([[1, formatLsn(startOf(1))]]);
  });

  test("goes on from what it reported where there was nothing to store, wherever the server is by now", async () => {
    await stream(play({ position: startOf(1), stream: () => [] }));
    const receiver = play({ position: addBytes(startOf(3), 500), stream: () => [] });
    await stream(receiver);
    expect(receiver.asked).toEqual([[1, formatLsn(startOf(1))]]);
  });

  test("goes on behind the timelines it has left, of which it remembers how far it had come", async () => {
    const fork = addBytes(startOf(1), -4096);
    await stream(play({ position: startOf(1), stream: () => [sent(8192, end, 1)] }));
    await stream(play({ timeline: 2, history: historyFile(1, fork), position: addBytes(startOf(3), 500), stream: () => [] }));
    expect((await archive.view()).stream?.position).toMatchObject({ timeline: 2, lsn: formatLsn(startOf(0)), left: [{ timeline: 1, lsn: formatLsn(end) }] });
    expect((await archive.view()).reportedOn(1)).toBe(end);
  });

  test("goes on behind a gap, which is put on record, where the server has removed what comes next", async () => {
    await archive.segments(wal, [1]);
    const removed = new HoldfastError("HF-WAL", "requested WAL segment has already been removed", { facts: { sqlState: "58P01" } });
    const receiver = play({ position: addBytes(startOf(3), 500), stream: (_, start) => (start === startOf(2) ? removed : []) });
    await stream(receiver);
    expect(receiver.asked).toEqual([
      [1, formatLsn(startOf(2))],
      [1, formatLsn(startOf(3))],
    ]);
    expect(gaps).toEqual([`1 ${formatLsn(startOf(2))} ${formatLsn(startOf(3))}`]);
  });

  test("goes on along the server's own timeline where it was promoted and the end of the old one is gone", async () => {
    await archive.segments(wal, [1]);
    const fork = addBytes(startOf(2), 4096);
    const removed = new HoldfastError("HF-WAL", "requested WAL segment has already been removed", { facts: { sqlState: "58P01" } });
    const receiver = play({ timeline: 2, history: historyFile(1, fork), position: addBytes(startOf(3), 500), stream: (timeline) => (timeline === 1 ? removed : []) });
    await stream(receiver);
    expect(receiver.asked).toEqual([
      [1, formatLsn(startOf(2))],
      [2, formatLsn(startOf(3))],
    ]);
    expect((await archive.view()).histories.get(2)?.forks).toEqual([{ timeline: 1, switchpoint: fork }]);
  });
});
