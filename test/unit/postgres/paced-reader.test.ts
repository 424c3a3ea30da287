import { expect, test } from "vitest";
import type { ClusterReader } from "../../../src/postgres/cluster-reader.ts";
import { pacedReader } from "../../../src/postgres/paced-reader.ts";
import { FolderListing } from "../../../src/postgres/folder-listing.ts";

/** A clock that goes on only while somebody sleeps. */
function openClock(): { now: () => Date; monotonicMs: () => number; sleep: (ms: number) => Promise<void> } {
  let ms = 0;
  return { now: () => new Date(ms), monotonicMs: () => ms, sleep: async (for_) => void (ms += for_) };
}

test("a source is read no faster than its rate, whatever is stored of it", async () => {
  const clock = openClock();
  const read: number[] = [];
  const inner: ClusterReader = {
    kind: "local",
    list: async () => new FolderListing(),
    read: async (ranges) => {
      read.push(clock.monotonicMs());
      return ranges.map(({ length }) => Buffer.alloc(length));
    },
    reuse: () => undefined,
    assertSameServer: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
  // In the first minute a mebibyte a second, then as fast as it goes.
  const reader = pacedReader(inner, (at) => (at.getTime() < 60_000 ? 1 << 20 : null), clock);
  const signal = new AbortController().signal;
  for (let i = 0; i < 40; i++) await reader.read([{ path: "base/5/1", offset: 0, length: 4 << 20 }], signal);
  const within = read.filter((at) => at < 60_000).length;
  expect(within).toBeGreaterThanOrEqual(14);
  expect(within).toBeLessThanOrEqual(16);
  expect(read).toHaveLength(40);
  expect(read.at(-1)).toBeLessThanOrEqual(61_000);
});
