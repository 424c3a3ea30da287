import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { stateOf } from "../../../src/domain/hold.ts";
import type { HoldAction, HoldMark } from "../../../src/domain/hold.ts";
import { findHoldDamage, readHolds, writeHold } from "../../../src/repository/holds.ts";
import type { HoldOutcome } from "../../../src/repository/holds.ts";
import { keys } from "../../../src/repository/layout.ts";
import type { WritableRepository } from "../../../src/repository/repository.ts";
import { openRepositoryFixture } from "../../support/repository-fixture.ts";
import type { RepositoryFixture } from "../../support/repository-fixture.ts";

const BACKUP = "20260101T000000Z-full";
const OTHER = "20260102T000000Z-full";

const mark = (reason: string | null = null): HoldMark => ({ by: "ann@host", at: "2026-11-27T12:00:00.000Z", reason });

describe("pins and holds", () => {
  let fixture: RepositoryFixture;
  let repository: WritableRepository;
  beforeEach(async () => {
    fixture = await openRepositoryFixture();
    repository = await fixture.open();
  });
  afterEach(async () => fixture[Symbol.asyncDispose]());

  const act = async (action: HoldAction, backup: string | null = BACKUP, reason: string | null = null): Promise<HoldOutcome | null> =>
    writeHold(repository, "db", { backup, action, mark: mark(reason) });

  test("a backup is pinned and held independently, and who, when and why are kept", async () => {
    await act("pin", BACKUP, "before the migration");
    await act("hold", BACKUP, "case 4711");
    expect(stateOf(await readHolds(repository, "db"), BACKUP)).toEqual({ pinned: mark("before the migration"), held: mark("case 4711") });
    await act("unpin");
    expect(stateOf(await readHolds(repository, "db"), BACKUP)).toEqual({ pinned: null, held: mark("case 4711") });
    await act("release", BACKUP, "closed");
    expect(stateOf(await readHolds(repository, "db"), BACKUP)).toEqual({ pinned: null, held: null });
    expect(await fixture.store.listNames(keys.holdsOf("db", BACKUP))).toHaveLength(4);
  });

  test("a hold on the whole source is on every backup, and releasing it leaves those of their own", async () => {
    await act("hold", null, "all of it");
    await act("hold", OTHER, "this one too");
    const held = await readHolds(repository, "db");
    expect([stateOf(held, BACKUP).held?.reason, stateOf(held, OTHER).held?.reason, stateOf(held, "20990101T000000Z-full").held?.reason]).toEqual([
      "all of it",
      "this one too",
      "all of it",
    ]);
    await act("release", null, "over");
    const released = await readHolds(repository, "db");
    expect([stateOf(released, BACKUP).held, stateOf(released, OTHER).held?.reason]).toEqual([null, "this one too"]);
  });

  test("what is so already is not written again, and what was never put on is not taken off", async () => {
    expect(await act("unpin")).toBeNull();
    expect(await act("release", null)).toBeNull();
    expect(await act("pin")).toMatchObject({ changed: true });
    expect(await act("pin", BACKUP, "again")).toMatchObject({ changed: false, object: keys.hold("db", BACKUP, 1) });
    expect(await act("release")).toBeNull();
    expect(await fixture.store.listNames(keys.holdsOf("db", BACKUP))).toEqual(["000000000001.json"]);
  });

  test("of ten hosts that pin at once one does, and none of it is lost where they differ", async () => {
    const hosts = await Promise.all(Array.from({ length: 5 }, async (_, i) => fixture.open(`host-${i}`)));
    const outcomes = await Promise.all(
      hosts.flatMap((host) => (["pin", "hold"] as const).map(async (action) => writeHold(host, "db", { backup: BACKUP, action, mark: mark(action) }))),
    );
    expect(outcomes.filter((outcome) => outcome?.changed === true)).toHaveLength(2);
    expect(stateOf(await readHolds(repository, "db"), BACKUP)).toEqual({ pinned: mark("pin"), held: mark("hold") });
    expect((await findHoldDamage(repository, "db")).damage).toEqual([]);
  });

  test.each([
    ["the first of a row is gone", 1],
    ["one in the middle is gone", 2],
  ])("nobody knows what is held where %s, and verification names it", async (_, sequence) => {
    for (const action of ["pin", "hold", "unpin"] as const) await act(action);
    await fixture.store.remove([keys.hold("db", BACKUP, sequence)]);
    await expect(readHolds(repository, "db")).rejects.toThrow(keys.hold("db", BACKUP, sequence));
    expect((await findHoldDamage(repository, "db")).damage.map(({ object, kind }) => [object, kind])).toEqual([[keys.hold("db", BACKUP, sequence), "missing"]]);
  });
});
