import { expect, test } from "vitest";
import { lsn } from "../../../src/domain/lsn.ts";
import { parseHistory, timelineAt } from "../../../src/domain/timeline.ts";

const forks = (timeline: number, ...lines: string[]): [number, bigint][] | null =>
  parseHistory(timeline, lines.join("\n"))?.forks.map((fork) => [fork.timeline, BigInt(fork.switchpoint)]) ?? null;

test("a history tells each timeline that was left, and where", () => {
  expect(forks(3, "1\t0/300\tno recovery target specified", "", "# by hand", "2\t0/500\tbefore 2026-01-01 12:00:00+00")).toEqual([
    [1, 0x300n],
    [2, 0x500n],
  ]);
});

test("a timeline that recovery only aimed at, and ended before it began, was never lived on", () => {
  expect(forks(3, "1\t0/300\tx", "2\t0/200\tbefore 2026-01-01 12:00:00+00")).toEqual([[1, 0x200n]]);
  expect(forks(4, "1\t0/300\tx", "2\t0/500\tx", "3\t0/200\tx")).toEqual([[1, 0x200n]]);
  expect(forks(4, "1\t0/300\tx", "2\t0/500\tx", "3\t0/400\tx")).toEqual([
    [1, 0x300n],
    [2, 0x400n],
  ]);
  // Left where it began: it was reached.
  expect(forks(3, "1\t0/300\tx", "2\t0/300\tx")).toEqual([
    [1, 0x300n],
    [2, 0x300n],
  ]);
});

test.each([
  ["a line of another form", ["1 0/300 x", "what is this"]],
  ["timelines that do not ascend", ["2 0/300 x", "1 0/500 x"]],
  ["its own timeline", ["3 0/300 x"]],
  ["a timeline twice", ["1 0/300 x", "1 0/500 x"]],
])("nothing is concluded from %s", (_, lines) => {
  expect(forks(3, ...lines)).toBeNull();
});

test("a position before a fork is on the older timeline, at it and behind it on the newer", () => {
  const history = { timeline: 3, forks: [1, 2].map((timeline) => ({ timeline, switchpoint: lsn(BigInt(timeline * 0x100)) })) };
  expect([0x0, 0xff, 0x100, 0x1ff, 0x200, 0x9000].map((at) => timelineAt(history, lsn(BigInt(at))))).toEqual([1, 1, 2, 2, 3, 3]);
});
