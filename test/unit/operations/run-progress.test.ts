import { expect, test } from "vitest";
import { readProgress } from "../../../src/catalog/run-progress.ts";
import type { OperationContext, Progress } from "../../../src/operations/context.ts";
import { tellingProgress } from "../../../src/operations/run-progress.ts";
import { openHistory } from "../compliance/recorded-history.ts";

test("a run tells how far it is at most once a second, and whoever ran it hears every word", async () => {
  await using history = await openHistory();
  const run = history.began({ operation: "backup", type: "full", at: "2026-11-08 11:00" });
  const heard: Progress[] = [];
  let nowMs = 0;
  const context: OperationContext = {
    clock: { now: () => new Date(nowMs), monotonicMs: () => nowMs, sleep: async () => undefined },
    signal: new AbortController().signal,
    onProgress: (progress) => void heard.push(progress),
    onNotice: () => undefined,
  };
  const { onProgress } = tellingProgress(history.catalog, run, context);
  for (const [atMs, doneBytes] of [
    [0, 10.4],
    [999, 20],
    [1000, 30],
    [1500, 40],
  ] as const) {
    nowMs = atMs;
    onProgress({ phase: "copy", doneBytes, totalBytes: 100 });
  }
  expect(heard).toHaveLength(4);
  expect(readProgress(history.catalog)).toEqual([
    { run, source: "orders", operation: "backup", type: "full", at: "1970-01-01T00:00:01.000Z", phase: "copy", doneBytes: 30, totalBytes: 100 },
  ]);
});

test("a catalog that cannot be written does not stop the run", async () => {
  await using history = await openHistory();
  const run = history.began({ operation: "backup", at: "2026-11-08 11:00" });
  history.catalog.run("drop table run_progress", {});
  const context: OperationContext = {
    clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async () => undefined },
    signal: new AbortController().signal,
    onProgress: () => undefined,
    onNotice: () => undefined,
  };
  expect(() => tellingProgress(history.catalog, run, context).onProgress({ phase: "copy", doneBytes: 1, totalBytes: null })).not.toThrow();
});
