import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../../src/clock.ts";
import type { Clock } from "../../../../src/clock.ts";
import { addBytes } from "../../../../src/domain/lsn.ts";
import type { Lsn } from "../../../../src/domain/lsn.ts";
import { emptyHistory } from "../../../../src/domain/timeline.ts";
import type { TimelineHistory } from "../../../../src/domain/timeline.ts";
import { readOwnSummaries } from "../../../../src/operations/backup/own-summaries.ts";
import type { OwnSummaryRequest } from "../../../../src/operations/backup/own-summaries.ts";
import type { Repository } from "../../../../src/repository/repository.ts";
import { listSummaries } from "../../../../src/repository/wal-summaries.ts";
import { openRepositoryFixture } from "../../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../../support/repository-fixture.ts";
import { SEGMENT_BYTES, WalBuilder } from "../../../support/wal-builder.ts";
import { startOf, WalFixture } from "../../../support/wal-fixture.ts";

/** Four segments, each with a change of its own, and with one that crosses into the next: blocks 10, 20, 30, 40 and 15, 25, 35. */
interface History {
  readonly wal: WalBuilder;
  readonly from: Lsn;
  readonly to: Lsn;
  readonly records: ReadonlyMap<number, Lsn>;
}

function fourSegments(timeline = 1): History {
  const wal = new WalBuilder({ segments: 4, timeline });
  const records = new Map<number, Lsn>();
  wal.filler(100);
  const from = wal.position;
  let to = from;
  for (const block of [10, 20, 30, 40]) {
    records.set(block, wal.change(900, block));
    to = wal.position;
    wal.filler(200);
    wal.fillToEnd(block === 40 ? 0 : 32);
    if (block < 40) records.set(block + 5, wal.change(900, block + 5));
  }
  return { wal, from, to, records };
}

const ALL = [10, 15, 20, 25, 30, 35, 40];

describe("changes from WAL in a repository", () => {
  let fixture: RepositoryFixture;
  let archive: WalFixture;
  let history: History;
  let asked: number;
  let clock: Clock;

  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    archive = await WalFixture.open(await fixture.open());
    history = fourSegments();
    asked = 0;
    let passedMs = 0;
    // Waiting for what will never come takes no time.
    clock = { ...systemClock, now: () => systemClock.now(), monotonicMs: () => passedMs, sleep: async (ms: number) => void (passedMs += ms) };
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  /** A host that can write and read maps, and cannot open data. */
  function writeOnly(): Repository {
    const { repository } = archive;
    const refuse = async (): Promise<Buffer> => {
      throw new Error("this host must not open data");
    };
    return { ...repository, keyRing: { ...repository.keyRing, canOpenData: false, open: refuse } };
  }

  async function blocks(request: Partial<OwnSummaryRequest> = {}): Promise<string | number[] | null> {
    const whole: OwnSummaryRequest = {
      repository: archive.repository,
      place: archive.place,
      history: emptyHistory(1),
      from: history.from,
      to: history.to,
      before: null,
      rereadBytes: 100 * SEGMENT_BYTES,
      endSegment: async () => void asked++,
      ...request,
    };
    const context = { clock, signal: new AbortController().signal, onProgress: () => undefined, onNotice: () => undefined };
    const changes = await readOwnSummaries(whole, context);
    if (typeof changes === "string") return changes;
    expect(changes.of("1663/5/901", "main")).toBeNull();
    const found = changes.of("1663/5/900", "main");
    return found === null || found === "all" ? null : [...found.blocks];
  }

  test("are those of summaries stored with it, which a host reads that cannot open the WAL itself", async () => {
    await archive.segments(history.wal, [1, 2, 3, 4], { summaries: true });
    expect(await blocks({ repository: writeOnly() })).toEqual(ALL);
    expect(await blocks()).toEqual(ALL);
    expect(asked).toBe(0);
  });

  test("are those since the position asked for, and before the other", async () => {
    await archive.segments(history.wal, [1, 2, 3, 4], { summaries: true });
    const at = (block: number): Lsn => history.records.get(block) as Lsn;
    // A summary is taken whole: what lies beside the range in its segments is read in vain, and never the other way round.
    expect(await blocks({ from: at(25), to: at(30) })).toEqual([15, 20, 25, 30]);
    expect(await blocks({ from: at(25), to: addBytes(at(35), 8) })).toEqual([15, 20, 25, 30, 35, 40]);
  });

  test("are found by reading again where a segment was summarised without the one before it, and a record lies across", async () => {
    await archive.segments(history.wal, [1, 2, 3, 4], { summaries: true, alone: true });
    expect(await blocks()).toEqual(ALL);
    expect(await blocks({ repository: writeOnly() })).toMatch(/no summary of the WAL in \w+2 that follows/);
  });

  test("are found by reading again where there are no summaries, up to a limit", async () => {
    await archive.segments(history.wal, [1, 2, 3, 4]);
    expect(await listSummaries(archive.repository, archive.place, "00000001")).toEqual([]);
    expect(await blocks()).toEqual(ALL);
    expect(await blocks({ rereadBytes: 4 * SEGMENT_BYTES })).toEqual(ALL);
    expect(await blocks({ rereadBytes: 3 * SEGMENT_BYTES })).toMatch(/would have to be read again from \w+4/);
  });

  test("are found by reading again where a summary is damaged or gone", async () => {
    await archive.segments(history.wal, [1, 2, 3, 4], { summaries: true });
    const [, second = "", third = ""] = await listSummaries(archive.repository, archive.place, "00000001");
    await fixture.store.remove([second, third]);
    const writer = await fixture.store.create(third);
    await writer.write(Buffer.from("not a container"));
    await writer.commit();
    expect(await blocks()).toEqual(ALL);
    expect(await blocks({ repository: writeOnly() })).toMatch(/no summary of the WAL in \w+2 /);
  });

  test("are known from the parts of the segment that is being written", async () => {
    await archive.segments(history.wal, [1, 2, 3], { summaries: true });
    const end = Number(history.to - startOf(4));
    await archive.part(history.wal, 4, 0, end);
    expect(await blocks()).toMatch(/did not arrive/);
    expect(asked).toBe(1);
    await archive.part(history.wal, 4, end, end + 300);
    expect(await blocks()).toEqual(ALL);
  });

  test("are known before the record at the end has come, where the server says that it follows the last one", async () => {
    await archive.segments(history.wal, [1, 2, 3], { summaries: true });
    const [before, to] = [history.records.get(35) as Lsn, history.records.get(40) as Lsn];
    expect(await blocks({ to, before: history.records.get(30) as Lsn })).toMatch(/did not arrive/);
    // That record crosses into a segment that is not there: it is not covered.
    expect(await blocks({ to, before })).toMatch(/did not arrive/);
    expect(asked).toBe(2);
    await archive.part(history.wal, 4, 0, Number(to - startOf(4)));
    expect(await blocks({ to })).toMatch(/did not arrive/);
    expect(await blocks({ to, before })).toEqual([10, 15, 20, 25, 30, 35]);
    expect(asked).toBe(3);
  });

  test("wait for the segment to be ended where its parts cannot be opened", async () => {
    await archive.segments(history.wal, [1, 2, 3], { summaries: true });
    await archive.part(history.wal, 4, 0, Number(history.to - startOf(4)) + 300);
    const endSegment = async (): Promise<void> => {
      asked++;
      await archive.segments(history.wal, [3, 4], { summaries: true });
    };
    expect(await blocks({ repository: writeOnly() })).toMatch(/did not arrive/);
    expect(asked).toBe(1);
    expect(await blocks({ repository: writeOnly(), endSegment })).toEqual(ALL);
    expect(asked).toBe(2);
  });

  test("follow a timeline into the next one: the segment where it was left is read there", async () => {
    const next = fourSegments(2);
    const fork = next.records.get(30) as Lsn;
    await archive.segments(history.wal, [1, 2, 3], { summaries: true });
    await archive.segments(next.wal, [3, 4], { timeline: 2, summaries: true });
    const forked: TimelineHistory = { timeline: 2, forks: [{ timeline: 1, switchpoint: fork }] };
    expect(await blocks({ history: forked })).toEqual(ALL);
    expect(await blocks()).toMatch(/did not arrive/);
  });

  describe("cannot be told", () => {
    test("where a segment is missing", async () => {
      await archive.segments(history.wal, [1, 2], { summaries: true });
      await archive.segments(history.wal, [4], { summaries: true });
      expect(await blocks()).toBe("test holds no WAL from 0/300000 on");
    });

    test("where one of them holds a record that is not known", async () => {
      const wal = new WalBuilder({ segments: 2 });
      const from = wal.position;
      wal.change(900, 1);
      wal.unknown();
      wal.fillToEnd(0);
      const to = wal.change(900, 2);
      wal.fillToEnd(0);
      await archive.segments(wal, [1, 2], { summaries: true });
      expect(await listSummaries(archive.repository, archive.place, "00000001")).toHaveLength(1);
      expect(await blocks({ from, to })).toMatch(/cannot be summarised: a record is of resource manager 99/);
    });

    test("where two servers left different content for one segment", async () => {
      const other = new WalBuilder({ segments: 4 });
      other.filler(100);
      for (const block of [10, 20, 30, 40]) {
        other.change(901, block);
        other.fillToEnd(0);
      }
      await archive.segments(history.wal, [1, 2, 3, 4], { summaries: true });
      await archive.segments(other, [3], { summaries: true });
      expect(await blocks()).toMatch(/cannot be read: .*two writers left different content/);
    });

    test("where WAL of another server follows, record by record", async () => {
      const other = new WalBuilder({ segments: 4 });
      other.filler(300);
      for (let i = 0; i < 4; i++) {
        other.filler(500);
        other.fillToEnd(0);
      }
      await archive.segments(history.wal, [1, 2], { summaries: true });
      await archive.segments(other, [3, 4], { summaries: true });
      expect(await blocks()).toMatch(/cannot be followed|does not follow/);
    });

    test("where this backup begins before its parent", async () => {
      expect(await blocks({ to: addBytes(history.from, -8) })).toMatch(/before the one it would be made from/);
    });
  });
});
