import { expect, test } from "vitest";
import { lsn } from "../../../src/domain/lsn.ts";
import { judgeReattachment } from "../../../src/domain/reattachment.ts";
import type { HeldHistory, ServerState } from "../../../src/domain/reattachment.ts";
import type { TimelineHistory } from "../../../src/domain/timeline.ts";

const history = (timeline: number, ...forks: [number, number][]): TimelineHistory => ({
  timeline,
  forks: forks.map(([of, at]) => ({ timeline: of, switchpoint: lsn(BigInt(at)) })),
});
const server = (of: TimelineHistory, position: number, systemIdentifier = "7"): ServerState => ({ systemIdentifier, history: of, position: lsn(BigInt(position)) });
const held = (ends: Record<number, number>, histories: TimelineHistory[] = [], branch: HeldHistory["branch"] = null): HeldHistory => ({
  systemIdentifier: "7",
  histories: new Map(histories.map((each) => [each.timeline, each])),
  ends: new Map(Object.entries(ends).map(([timeline, end]) => [Number(timeline), lsn(BigInt(end))])),
  branch,
});
const SECOND = history(2, [1, 100]);
const BRANCH = { timeline: 2, parentTimeline: 1, forkLsn: lsn(100n) };

test("a server that was brought back is followed from its fork, and what lies beyond it is left", () => {
  expect(judgeReattachment(server(SECOND, 110), held({ 1: 150 }))).toEqual({ kind: "forked", branch: BRANCH, abandoned: { from: 100n, to: 150n } });
  expect(judgeReattachment(server(SECOND, 110), held({ 1: 100 }))).toMatchObject({ kind: "forked", abandoned: null });
  expect(judgeReattachment(server(history(3, [1, 100], [2, 200]), 210), held({ 1: 100, 2: 200 }, [SECOND], BRANCH))).toMatchObject({ branch: { timeline: 3, parentTimeline: 2 } });
});

test("a server that goes on where it was is attached already", () => {
  expect(judgeReattachment(server(history(1), 200), held({ 1: 150 }))).toEqual({ kind: "attached" });
  expect(judgeReattachment(server(SECOND, 200), held({ 1: 100, 2: 150 }, [SECOND], BRANCH))).toEqual({ kind: "attached" });
});

test.each([
  ["another cluster", server(history(1), 200, "8"), held({ 1: 100 }), "HF-OTHER-CLUSTER"],
  ["an old primary that came back", server(history(1), 120), held({ 1: 100, 2: 150 }, [SECOND]), "HF-DIVERGED"],
  ["an old primary, after it was left", server(history(1), 90), held({ 1: 100, 2: 150 }, [SECOND], BRANCH), "HF-DIVERGED"],
  ["another server that made the same timeline", server(history(2, [1, 80]), 120), held({ 1: 100, 2: 110 }, [SECOND]), "HF-DIVERGED"],
  ["a server that went back on its timeline", server(history(1), 90), held({ 1: 100 }), "HF-DIVERGED"],
] as const)("%s is refused", (_, at, what, code) => {
  expect(judgeReattachment(at, what)).toMatchObject({ kind: "refused", code });
});
