import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/clock.ts";
import { openLocalStore, prepareLocalStore } from "../../src/storage/local-store.ts";
import { putIfAbsent } from "../../src/storage/object-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { throttled } from "../../src/storage/throttled-store.ts";
import type { Rate } from "../../src/token-bucket.ts";
import { openScratchFolder } from "../support/scratch-folder.ts";
import { describeObjectStore } from "./object-store.ts";
import { openLocalUnderTest } from "./local-under-test.ts";

describeObjectStore("objects in a folder, written at a limited rate", async () => openLocalUnderTest((store) => throttled(store, () => 4e9, systemClock)));

/** Time that passes only where somebody waits for it. */
function countedClock(from: Date): Clock {
  let ms = 0;
  return {
    now: () => new Date(from.getTime() + ms),
    monotonicMs: () => ms,
    sleep: async (more) => {
      ms += more;
    },
  };
}

const MB = 1_000_000;

/** Seconds that an act takes on a counted clock, in a store behind a limit. */
async function measured(rate: Rate, act: (store: ObjectStore, clock: Clock) => Promise<void>): Promise<number> {
  await using scratch = await openScratchFolder();
  const root = join(scratch.path, "repository");
  await prepareLocalStore(root);
  const clock = countedClock(new Date("2026-11-21T07:59:55Z"));
  await act(throttled(openLocalStore(root), rate, clock), clock);
  return clock.monotonicMs() / 1000;
}

const write = async (store: ObjectStore, key: string, bytes: number): Promise<void> => void (await putIfAbsent(store, key, Buffer.alloc(bytes)));

test("ten megabytes at one a second take ten seconds, in one write or in many, of one object or of two at once", async () => {
  const whole = await measured(
    () => MB,
    async (store) => write(store, "one", 10 * MB),
  );
  const pieces = await measured(
    () => MB,
    async (store) => {
      const writer = await store.create("many");
      for (let i = 0; i < 100; i++) await writer.write(Buffer.alloc(MB / 10));
      await writer.commit();
    },
  );
  const twins = await measured(
    () => MB,
    async (store) => void (await Promise.all([write(store, "a", 5 * MB), write(store, "b", 5 * MB)])),
  );
  for (const seconds of [whole, pieces, twins]) {
    expect(seconds).toBeGreaterThan(9);
    expect(seconds).toBeLessThan(11.5);
  }
});

test("the rate is that of the moment: 10 MB/s until 08:00, 1 MB/s from then on, and a bucket saves up for a second at most", async () => {
  const rate: Rate = (at) => (at.getUTCHours() < 8 ? 10 * MB : MB);
  // Five seconds at ten, then ten more megabytes at one.
  expect(await measured(rate, async (store) => write(store, "across", 60 * MB))).toBeCloseTo(15, 0);
  const afterIdling = await measured(rate, async (store, clock) => {
    await clock.sleep(60_000);
    await write(store, "later", 10 * MB);
  });
  expect(afterIdling - 60).toBeGreaterThan(8.5);
});

test("without a limit nothing waits, and what waits when the limit ends goes on within a second", async () => {
  expect(
    await measured(
      () => null,
      async (store) => write(store, "free", 50 * MB),
    ),
  ).toBe(0);
  const lifted: Rate = (at) => (at.getTime() < Date.parse("2026-11-21T08:00:05Z") ? 10 : null);
  expect(await measured(lifted, async (store) => write(store, "lifted", MB))).toBeLessThanOrEqual(11);
});

test("small objects do not wait, and the large ones after them pay for them", async () => {
  expect(
    await measured(
      () => MB,
      async (store) => {
        for (let i = 0; i < 100; i++) await write(store, `lease-${i}`, 50_000);
      },
    ),
  ).toBe(0);
  const afterwards = await measured(
    () => MB,
    async (store) => {
      for (let i = 0; i < 100; i++) await write(store, `lease-${i}`, 50_000);
      await write(store, "large", MB);
    },
  );
  expect(afterwards).toBeGreaterThan(5);
});

test("a write that is aborted while it waits leaves nothing, and those behind it go on", async () => {
  await using under = await openLocalUnderTest();
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const clock: Clock = { ...countedClock(new Date(0)), sleep: async () => gate };
  let rate: number | null = 1;
  const store = throttled(under.store, () => rate, clock);
  const writer = await store.create("gone");
  const waiting = writer.write(Buffer.alloc(MB));
  await writer.abort();
  rate = null;
  open();
  await waiting;
  await write(store, "next", MB);
  expect(await under.leftovers()).toEqual(["next"]);
});
