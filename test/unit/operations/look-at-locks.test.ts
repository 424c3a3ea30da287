import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { addBytes } from "../../../src/domain/lsn.ts";
import type { SourceInfo } from "../../../src/domain/source-info.ts";
import { HoldfastError } from "../../../src/errors.ts";
import { CopyView } from "../../../src/operations/copy-view.ts";
import { describeSource, REPOSITORIES_ALONE } from "../../../src/operations/info.ts";
import { askLocks, keepLocks } from "../../../src/operations/look-at-locks.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";
import { startOf, WalFixture } from "../../support/wal-fixture.ts";

const [FIRST, SECOND] = ["20260101T000000Z-full", "20260102T000000Z-full"] as const;
const UNTIL = "2026-03-01T00:00:00.000Z";

let fixture: RepositoryFixture;
let archive: WalFixture;
/** Backups that the store was asked for. */
let asked: string[];
let now: Date;
let answer: () => Promise<Date | null>;

beforeEach(async () => {
  fixture = await openRepositoryFixture();
  archive = await WalFixture.open(await fixture.open());
  asked = [];
  now = new Date("2026-01-03T00:00:00Z");
  answer = async () => new Date(UNTIL);
  await archive.backup(FIRST, startOf(1), addBytes(startOf(1), 100));
});
afterEach(async () => fixture[Symbol.asyncDispose]());

/** On a real store, that is asked for locks as one in a bucket is. */
async function openView(): Promise<CopyView> {
  const lock = {
    mode: "governance" as const,
    lockedUntil: async (key: string) => {
      asked.push(/\d{8}T\d{6}Z-full/.exec(key)?.[0] ?? key);
      return answer();
    },
    extend: async () => undefined,
    assertEnforced: async () => undefined,
  };
  const view = await CopyView.open({ ...archive.repository, store: { ...archive.repository.store, lock } }, "db");
  if (view === null) throw new Error("the source is not bound");
  return view;
}

async function look(before: SourceInfo | null): Promise<SourceInfo> {
  const views = [await openView()];
  return describeSource({ ...REPOSITORIES_ALONE, name: "db", views, former: [], now, locks: await keepLocks(views, before, { ...systemClock, now: () => now }) });
}

const locks = ({ backups }: SourceInfo): unknown[] => backups.flatMap(({ copies }) => copies.map(({ lockedUntil }) => lockedUntil));

test("what is seen is kept: a store is asked for a backup once, for a new one when it is there, and for all of them after an hour", async () => {
  const first = await look(null);
  expect([locks(first), first.locksAskedAt, asked]).toEqual([[UNTIL], now.toISOString(), [FIRST]]);
  now = new Date("2026-01-03T00:59:00Z");
  await archive.backup(SECOND, startOf(1), addBytes(startOf(1), 100));
  const second = await look(first);
  expect([locks(second), second.locksAskedAt, asked]).toEqual([[UNTIL, UNTIL], first.locksAskedAt, [FIRST, SECOND]]);
  await look(second);
  expect(asked).toEqual([FIRST, SECOND]);
  now = new Date("2026-01-03T01:00:00Z");
  answer = async () => null;
  const later = await look(second);
  expect([locks(later), later.locksAskedAt, asked]).toEqual([[null, null], now.toISOString(), [FIRST, SECOND, FIRST, SECOND]]);
});

test("a clock that went back does not keep what was seen for ever", async () => {
  const first = await look(null);
  now = new Date("2026-01-02T00:00:00Z");
  expect((await look(first)).locksAskedAt).toBe(now.toISOString());
  expect(asked).toEqual([FIRST, FIRST]);
});

test("a store that does not tell leaves what was seen before, and nothing where nothing was", async () => {
  const first = await look(null);
  answer = async () => {
    throw new HoldfastError("HF-STORAGE", "away");
  };
  now = new Date("2026-01-03T02:00:00Z");
  expect(locks(await look(first))).toEqual([UNTIL]);
  expect(locks(await look(null))).toEqual([undefined]);
  await expect(askLocks([await openView()], now)).rejects.toMatchObject({ code: "HF-STORAGE" });
});
