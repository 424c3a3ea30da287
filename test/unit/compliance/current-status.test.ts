import { expect, test } from "vitest";
import { currentStatus } from "../../../src/compliance/current-status.ts";
import type { CurrentStatus } from "../../../src/compliance/current-status.ts";
import { iso, loadTestInventory, openHistory, SNAPSHOT } from "./recorded-history.ts";
import type { History } from "./recorded-history.ts";

const inventory = await loadTestInventory();
const NOW = "2026-11-08 12:00:10";

function statusOf(history: History, name = "orders"): CurrentStatus {
  const source = inventory.sources.get(name);
  if (source === undefined) throw new Error(`no ${name}`);
  return currentStatus(history.catalog, source, new Date(iso(NOW)));
}

async function healthy(): Promise<History> {
  const history = await openHistory();
  history.ran({ operation: "backup", type: "full", at: "2026-11-01 02:00:01", slot: "2026-11-01 02:00", seconds: 720, figures: { id: "20261101T020001Z-full" } });
  history.drilled("2026-11-02 04:00:00");
  history.seen("2026-11-08 12:00");
  for (const repository of ["onsite", "cloud"]) history.observed({ repository, from: "2026-11-08 11:55", to: "2026-11-08 12:00:05", seconds: () => 4 });
  return history;
}

test("a source that is observed, within its objectives and proven is ok", async () => {
  await using history = await healthy();
  expect(statusOf(history)).toMatchObject({
    verdict: "ok",
    reasons: [],
    recoverableTo: "2026-11-08T11:59:50.000000Z",
    lastProvenAt: "2026-11-02T04:05:00.000Z",
    lastRtoSeconds: 412.5,
    gaps: [],
  });
  expect(statusOf(history).lastBackups).toEqual([
    { type: "full", lastSuccessAt: "2026-11-01T02:12:01.000Z", lastSuccessId: "20261101T020001Z-full", lastRunAt: "2026-11-01T02:00:01.000Z", lastOutcome: "succeeded" },
    { type: "incremental", lastSuccessAt: null, lastSuccessId: null, lastRunAt: null, lastOutcome: null },
  ]);
});

test("a source of which nothing is known is unknown, and has no figures", async () => {
  await using history = await healthy();
  const wiki = statusOf(history, "wiki");
  expect(wiki).toMatchObject({ verdict: "unknown", recoverableTo: null, lastDrill: null, lastProvenAt: null, lastRtoSeconds: null, gaps: null, seenAt: null });
  expect(wiki.copies[0]).toEqual({
    repository: "onsite",
    objectiveApplies: true,
    observed: false,
    exposureSeconds: null,
    exposureBytes: null,
    sampledAt: null,
    held: null,
    recoverableFrom: null,
    recoverableTo: null,
    gaps: null,
  });
});

test("a sample says nothing any more after a minute", async () => {
  await using history = await openHistory();
  history.observed({ from: "2026-11-08 11:58", to: "2026-11-08 11:59:10", seconds: () => 4 });
  expect(statusOf(history).copies[0]).toMatchObject({ observed: false, exposureSeconds: null, exposureBytes: null, held: null, sampledAt: "2026-11-08T11:59:00.000Z" });
});

test("the newest sample counts, also when it observed nothing", async () => {
  await using history = await healthy();
  history.observed({ from: "2026-11-08 12:00:07", to: "2026-11-08 12:00:08", seconds: () => null });
  expect(statusOf(history).copies[0]).toMatchObject({ observed: false, exposureSeconds: null, held: null });
});

test("a copy beyond the objective is a breach, and says so in figures and words", async () => {
  await using history = await healthy();
  history.observed({ repository: "cloud", from: "2026-11-08 12:00:07", to: "2026-11-08 12:00:08", seconds: () => 301.4 });
  const status = statusOf(history);
  expect(status).toMatchObject({ verdict: "breached", reasons: [{ kind: "breached", text: "the copy in cloud is exposed for 5 min 1 s, the recovery point objective is 5m" }] });
  expect(status.copies[1]).toMatchObject({ held: false, exposureSeconds: 301.4 });
});

test("an inconclusive drill neither proves nor takes away; the last that came to a result counts", async () => {
  await using history = await healthy();
  history.drilled("2026-11-08 04:00:00", { verdict: "inconclusive", fault: "environment", rtoActualSeconds: 5 });
  expect(statusOf(history)).toMatchObject({ verdict: "ok", lastDrill: { verdict: "inconclusive" }, lastRtoSeconds: 412.5, lastProvenAt: "2026-11-02T04:05:00.000Z" });
});

test("a drill that is missed or still running is not the last drill", async () => {
  await using history = await healthy();
  history.passedOver({ operation: "drill", slot: "2026-11-08 04:00" });
  history.began({ operation: "drill", at: "2026-11-08 11:59" });
  expect(statusOf(history).lastDrill).toMatchObject({ startedAt: "2026-11-02T04:00:00.000Z" });
});

test("gaps are unknown for a repository that could not be looked at", async () => {
  await using history = await openHistory();
  const onsite = ({ repository }: { repository: string }): boolean => repository === "onsite";
  history.seen("2026-11-08 12:00", { windows: SNAPSHOT.windows.filter(onsite), backups: SNAPSHOT.backups.map((backup) => ({ ...backup, copies: backup.copies.filter(onsite) })) });
  expect(statusOf(history).copies.map(({ repository, gaps }) => [repository, gaps])).toEqual([
    ["onsite", 0],
    ["cloud", null],
  ]);
});

test("the window that counts is on the newest timeline", async () => {
  await using history = await openHistory();
  const window = { repository: "onsite", startLsn: "0/4000028", endLsn: "0/5000148" };
  const windows = [
    { ...window, timeline: 2, from: "2026-11-07T00:00:00.000000Z", to: "2026-11-08T11:00:00.000000Z" },
    { ...window, timeline: 1, from: "2026-11-08T00:00:00.000000Z", to: "2026-11-08T11:30:00.000000Z" },
    { ...window, timeline: 2, from: "2026-11-06T00:00:00.000000Z", to: "2026-11-06T01:00:00.000000Z" },
  ];
  history.seen("2026-11-08 12:00", { windows });
  expect(statusOf(history).copies[0]).toMatchObject({ recoverableFrom: "2026-11-07T00:00:00.000000Z", recoverableTo: "2026-11-08T11:00:00.000000Z" });
});

test("a backup that failed last is a note, and its last success is still known", async () => {
  await using history = await healthy();
  history.ran({ operation: "backup", type: "full", at: "2026-11-08 02:00:01", slot: "2026-11-08 02:00", outcome: "failed", reason: "HF-CONNECT: refused" });
  const status = statusOf(history);
  expect(status).toMatchObject({ verdict: "ok", reasons: [{ kind: "note" }] });
  expect(status.lastBackups[0]).toMatchObject({ lastSuccessId: "20261101T020001Z-full", lastOutcome: "failed" });
});
